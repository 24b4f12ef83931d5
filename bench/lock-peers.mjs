// The peers of the lock bench, each as its users run it: flock(1), `etcdctl lock`, PostgreSQL advisory locks through psql. Installed from Debian where they are missing;
// servers live in a scratch folder on loopback and are ended by their pid.
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const nobody = 65534;

function hasProgram(name) {
  return spawnSync("sh", ["-c", 'command -v "$0"', name]).status === 0;
}

function postgresFolder() {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : [];
  return versions.map((version) => join(root, version, "bin")).find((folder) => existsSync(join(folder, "initdb")));
}

/** Installs what is missing; says what is there afterwards. */
export function installPeers() {
  const missing = [
    ...(hasProgram("flock") ? [] : ["util-linux"]),
    ...(hasProgram("etcd") ? [] : ["etcd-server"]),
    ...(hasProgram("etcdctl") ? [] : ["etcd-client"]),
    ...(postgresFolder() === undefined ? ["postgresql"] : []),
  ];
  if (missing.length > 0) {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    spawnSync("apt-get", ["update", "-qq"], { env, stdio: "inherit" });
    spawnSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...missing], { env, stdio: "ignore" });
  }
  return {
    flock: hasProgram("flock"),
    etcd: hasProgram("etcdctl") && hasProgram("etcd"),
    postgres: postgresFolder() !== undefined,
  };
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function until(what, condition) {
  for (let n = 0; n < 200; n++) {
    if (await condition()) return;
    await sleep(50);
  }
  throw new Error(`${what} didn't start`);
}

function run(file, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(file, args, { stdio: ["pipe", "pipe", "ignore"], ...options });
    let out = "";
    child.stdout.on("data", (chunk) => (out += chunk));
    child.on("error", () => resolve({ code: -1, out }));
    child.on("close", (code) => resolve({ code, out }));
    child.stdin.on("error", () => undefined); // it needed none
    child.stdin.end(options.input ?? "");
  });
}

/** What a shell does in its turn: says when it enters and leaves, in microseconds of the wall clock. */
const turnScript = (holdMs) => `echo $(($(date +%s%N)/1000)); sleep ${holdMs / 1000}; echo $(($(date +%s%N)/1000))`;

function turnOf(out) {
  const [enter, leave] = out
    .split("\n")
    .filter((line) => /^\d{10,}/.test(line))
    .map(Number);
  return { enter, leave };
}

export function flockPeer(scratch) {
  const file = join(scratch, "flock");
  return {
    name: "flock(1)",
    turn: async (holdMs) => turnOf((await run("flock", [file, "sh", "-c", turnScript(holdMs)])).out),
    stop() {},
  };
}

export async function etcdPeer(scratch) {
  const [client, peer] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${client}`;
  const peerUrl = `http://127.0.0.1:${peer}`;
  const server = spawn(
    "etcd",
    [
      ...["--data-dir", join(scratch, "etcd"), "--listen-client-urls", url, "--advertise-client-urls", url],
      ...[
        "--listen-peer-urls",
        peerUrl,
        "--initial-advertise-peer-urls",
        peerUrl,
        "--initial-cluster",
        `default=${peerUrl}`,
      ],
    ],
    { stdio: "ignore", cwd: scratch },
  );
  const env = { ...process.env, ETCDCTL_API: "3", ETCDCTL_ENDPOINTS: url };
  const post = async (path, body) =>
    (await fetch(`${url}/v3/${path}`, { method: "POST", body: JSON.stringify(body) })).json();
  await until("etcd", async () => (await run("etcdctl", ["endpoint", "health"], { env })).code === 0);
  return {
    name: "etcdctl lock",
    turn: async (holdMs) =>
      turnOf((await run("etcdctl", ["lock", "bench", "--", "sh", "-c", turnScript(holdMs)], { env })).out),
    /** One lock and unlock over its HTTP door, which stays open. */
    alone: async () => {
      const start = performance.now();
      const { key } = await post("lock/lock", { name: Buffer.from("alone").toString("base64") });
      await post("lock/unlock", { key });
      return performance.now() - start;
    },
    stop: () => server.kill("SIGKILL"),
  };
}

export async function postgresPeer(scratch) {
  const bin = postgresFolder();
  const folder = join(scratch, "postgres");
  const port = await freePort();
  mkdirSync(folder);
  // PostgreSQL refuses to run as root.
  const as = process.getuid() === 0 ? { uid: nobody, gid: nobody } : {};
  if (as.uid !== undefined) {
    chmodSync(scratch, 0o755);
    chownSync(folder, nobody, nobody);
  }
  const data = join(folder, "data");
  const options = { ...as, cwd: folder };
  spawnSync(join(bin, "initdb"), ["-D", data, "-A", "trust", "-U", "bench", "--no-sync"], {
    ...options,
    stdio: "ignore",
  });
  const server = spawn(
    join(bin, "postgres"),
    [
      "-D",
      data,
      "-p",
      String(port),
      "-c",
      "listen_addresses=127.0.0.1",
      "-c",
      `unix_socket_directories=${folder}`,
      "-c",
      "max_connections=150",
    ],
    { ...options, stdio: "ignore" },
  );
  const args = ["-h", folder, "-p", String(port), "-U", "bench", "-d", "postgres", "-qAt"];
  const psql = join(bin, "psql");
  const query = (input) => run(psql, args, { input });
  await until("PostgreSQL", async () => (await query("select 1;")).code === 0);
  const stamp = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint;";
  return {
    name: "PostgreSQL",
    turn: async (holdMs) =>
      turnOf(
        (
          await query(
            `select pg_advisory_lock(7);\n${stamp}\nselect pg_sleep(${holdMs / 1000});\n${stamp}\nselect pg_advisory_unlock(7);\n`,
          )
        ).out,
      ),
    /** `count` times of a lock and an unlock in one session, as psql tells them. */
    aloneMany: async (count) => {
      const pair = "select pg_advisory_lock(8);\nselect pg_advisory_unlock(8);\n";
      const times = [...(await query(`\\timing on\n${pair.repeat(count)}`)).out.matchAll(/Time: ([\d.]+) ms/g)].map(
        (match) => Number(match[1]),
      );
      return Array.from({ length: count }, (_, n) => times[2 * n] + times[2 * n + 1]);
    },
    /** Milliseconds from kill -9 of a session that holds a lock until one that waits has it. */
    takeover: async () => {
      const holder = spawn(psql, args, { stdio: ["pipe", "pipe", "ignore"] });
      holder.stdin.write("select pg_advisory_lock(9);\n\\echo held\n");
      await new Promise((resolve) => holder.stdout.on("data", (chunk) => String(chunk).includes("held") && resolve()));
      const waiting = query(`select pg_advisory_lock(9);\n${stamp}\n`);
      await sleep(100);
      const killed = Date.now() * 1000;
      holder.kill("SIGKILL");
      return (turnOf((await waiting).out).enter - killed) / 1000;
    },
    // Immediate shutdown: it ends the processes that it started.
    stop: () => server.kill("SIGQUIT"),
  };
}
