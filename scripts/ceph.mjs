// A real S3 server on loopback, for tests and for trying things out: Ceph with one monitor, one OSD in memory and one gateway, in a folder of its own.
//   node scripts/ceph.mjs            says where it is and runs until its standard input ends or it is told to stop
//   node scripts/ceph.mjs COMMAND    runs a command that finds it by its environment (AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID, ...)
// Its processes are ended by their ids and its folder is removed, however this one ends, but for kill -9 of itself.
import { spawn, spawnSync } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

const packages = ["ceph-mon", "ceph-osd", "radosgw"];
const patienceMs = 60_000;

install();
const folder = mkdtempSync(join(tmpdir(), "fen-ceph-"));
const conf = join(folder, "ceph.conf");
const daemons = [];
let stopping;
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => void stop(1));
try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  await stop(1);
}

async function main() {
  const started = performance.now();
  const server = await startServer();
  const readyMs = Math.round(performance.now() - started);
  const [command, ...args] = process.argv.slice(2);
  if (command === undefined) {
    console.log(JSON.stringify({ ...server, readyMs, folder }));
    process.stdin.resume().on("end", () => void stop(0));
    return;
  }
  const env = {
    ...process.env,
    AWS_ENDPOINT_URL_S3: server.endpoint,
    AWS_ACCESS_KEY_ID: server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
    AWS_REGION: server.region,
  };
  spawn(command, args, { stdio: "inherit", env }).on("exit", (code) => void stop(code ?? 1));
}

async function startServer() {
  const [monitorPort, gatewayPort] = await freePorts(2);
  writeConfiguration(monitorPort, gatewayPort);
  for (const name of ["mon", "osd"]) mkdirSync(join(folder, name));
  const map = join(folder, "monmap");
  const id = randomUUID();
  run("monmaptool", "--create", "--fsid", id, "--addv", "a", `[v2:127.0.0.1:${monitorPort}]`, map);
  run("ceph-mon", "-c", conf, "--mkfs", "-i", "a", "--monmap", map);
  daemon("ceph-mon", "-i", "a");
  const osd = randomUUID();
  run("ceph", "-c", conf, "--connect-timeout", "30", "osd", "new", osd);
  run("ceph-osd", "-c", conf, "-i", "0", "--mkfs", "--osd-uuid", osd);
  daemon("ceph-osd", "-i", "0");
  const gateway = daemon("radosgw", "-n", "client.gateway");
  const keys = {
    accessKeyId: `test${randomBytes(8).toString("hex")}`,
    secretAccessKey: randomBytes(20).toString("hex"),
  };
  await answers(gatewayPort, gateway);
  run(
    "radosgw-admin",
    "-c",
    conf,
    "user",
    "create",
    "--uid",
    "tester",
    "--display-name",
    "tester",
    "--access-key",
    keys.accessKeyId,
    "--secret-key",
    keys.secretAccessKey,
  );
  return { endpoint: `http://127.0.0.1:${gatewayPort}`, region: "us-east-1", ...keys };
}

function writeConfiguration(monitorPort, gatewayPort) {
  const lines = [
    "[global]",
    "auth cluster required = none",
    "auth service required = none",
    "auth client required = none",
    `mon host = [v2:127.0.0.1:${monitorPort}]`,
    "public addr = 127.0.0.1",
    "cluster addr = 127.0.0.1",
    "ms bind ipv6 = false",
    "ms mon client mode = crc",
    "ms bind port min = 20000",
    "ms bind port max = 32000",
    "osd objectstore = memstore",
    "memstore device bytes = 4294967296",
    "osd pool default size = 1",
    "osd pool default min size = 1",
    "osd pool default pg num = 1",
    "osd pool default pgp num = 1",
    "osd pool default pg autoscale mode = off",
    "osd crush chooseleaf type = 0",
    "osd class load list = *",
    "osd class default list = *",
    "mon allow pool size one = true",
    "paxos propose interval = 0.01", // a change of the map waits for so long, and there are about ten
    "paxos min wait = 0.01",
    "mon data avail warn = 1",
    "mon data avail crit = 0",
    `mon data = ${folder}/mon`,
    `osd data = ${folder}/osd`,
    `admin socket = ${folder}/$name.asok`,
    `pid file = ${folder}/$name.pid`,
    `run dir = ${folder}`,
    `crash dir = ${folder}`,
    `log file = ${folder}/$name.log`,
    "log to stderr = false",
    "mon cluster log file = /dev/null",
    "[client.gateway]",
    `rgw frontends = beast endpoint=127.0.0.1:${gatewayPort} tcp_nodelay=1`,
    `rgw data = ${folder}/gateway`,
  ];
  writeFileSync(conf, `${lines.join("\n")}\n`);
}

/** Runs it to its end; what it said is told where it fails. */
function run(command, ...args) {
  const done = spawnSync(command, args, { encoding: "utf8", timeout: patienceMs, env: environment() });
  if (done.status !== 0)
    throw new Error(
      `${command} ${args.join(" ")}: ${done.error?.message ?? done.signal ?? ""}${done.stdout}${done.stderr}`,
    );
}

function daemon(command, ...args) {
  const output = openSync(join(folder, `${command}.out`), "a");
  const child = spawn(command, ["-f", "-c", conf, ...args], { stdio: ["ignore", output, output], env: environment() });
  closeSync(output);
  const ended = new Promise((resolve) => child.once("close", resolve).once("error", resolve));
  const one = { command, child, ended, isEnded: false };
  void ended.then(() => {
    one.isEnded = true;
    if (stopping !== undefined) return;
    console.error(`${command} has ended: ${readFileSync(join(folder, `${command}.out`), "utf8").slice(-2000)}`);
    void stop(1);
  });
  daemons.push(one);
  return one;
}

/** Python warns of nothing we want to hear. */
function environment() {
  return { ...process.env, PYTHONWARNINGS: "ignore", CEPH_ARGS: "" };
}

async function answers(port, gateway) {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(5000) });
      return;
    } catch (error) {
      if (gateway.isEnded || performance.now() > deadline)
        throw new Error("the gateway doesn't answer", { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

function stop(code) {
  stopping ??= (async () => {
    for (const { child } of daemons) child.kill("SIGKILL"); // all they know is in memory
    await Promise.all(daemons.map(({ ended }) => ended));
    process.exit(code);
  })();
  return stopping;
}

async function freePorts(count) {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise((resolve) => {
          const server = createServer().listen(0, "127.0.0.1", () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function install() {
  const has = (program) => process.env.PATH.split(delimiter).some((path) => existsSync(join(path, program)));
  if (["ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "monmaptool"].every(has)) return;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args) => spawnSync("apt-get", args, { stdio: ["ignore", "ignore", "inherit"], env }).status === 0;
  if (apt("update", "-qq") && apt("install", "-y", "-qq", "--no-install-recommends", ...packages)) return;
  console.error(`The S3 server of the tests needs the Debian packages ${packages.join(" ")}.`);
  process.exit(1);
}
