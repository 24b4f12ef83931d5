// Cuts the power, again and again, while commands and runs are at work, and looks at what is left: npm run torture:power -- [--kinds ext4,xfs,btrfs] [--cuts 40] [--seconds 60] [--steps 600]
// The datastore is on a disk of its own, an image on a filesystem that clones files in an instant. A clone is what the disk held at that moment; whatever
// was in the memory of the machine only is lost, as in a power cut. Each clone is mounted, as after a restart (another boot id), and must hold
// what commands that had ended had said, whole versions only, and runs that can be resumed without a step that had ended being run again.
// Of a run with more than 512 steps another thread carries out the commits (src/kernel/disk-steps.ts); with --steps 120 the run's own does.
// What it can't do: lose or reorder what the disk has taken but not yet been told to keep. As root, on Debian.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { load } from "js-yaml";

const root = fileURLToPath(new URL("..", import.meta.url));
const program = join(root, "dist/fen.cjs");
const { values } = parseArgs({
  options: {
    kinds: { type: "string", default: "ext4,xfs,btrfs" },
    cuts: { type: "string", default: "40" },
    seconds: { type: "string", default: "60" },
    steps: { type: "string", default: "600" },
    inside: { type: "boolean", default: false },
  },
});
if (!values.inside) {
  const tools = ["btrfs-progs", "xfsprogs", "e2fsprogs"];
  execFileSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...tools], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdio: "ignore",
  });
  // A mount namespace of its own: nothing of it is left, however it ends.
  const args = ["--mount", "--propagation", "private", process.execPath, ...process.argv.slice(1), "--inside"];
  process.exit(spawnSync("unshare", args, { stdio: "inherit" }).status ?? 1);
}

const [cuts, seconds, steps] = [Number(values.cuts), Number(values.seconds), Number(values.steps)];
const models = 5;
const callers = 3;
const env = { ...process.env, SWAMP_REPO_DIR: "", SWAMP_DATASTORE: "", SWAMP_LOCK_TIMEOUT_MS: "60000" };
delete env.NODE_EXTRA_CA_CERTS;

const scratch = mkdtempSync(join(tmpdir(), "fen-power-"));
const host = join(scratch, "host");
const disk = join(scratch, "disk");
const did = join(scratch, "did.log"); // what methods really did: not on the disk
const repo = join(disk, "repo");
const restart = {
  "/proc/sys/kernel/random/boot_id": join(scratch, "boot_id"),
  "/proc/uptime": join(scratch, "uptime"),
};
const mount = (...args) => execFileSync("mount", args, { stdio: ["ignore", "ignore", "inherit"] });
const unmount = () => execFileSync("umount", [disk]);
const tokenOf = (index) => join(repo, ".swamp/.fen/tokens", encodeURIComponent(`command/shell/${idOf(index)}`));

/** Of a lock's record. By its ticket others find it when its owner has died; where a filesystem keeps it and forgets the ticket (btrfs), a few hundred bytes stay. */
const draft = /^\.[0-9a-f-]{36}\.(new|old)\.tmp$/;

let broken = 0;
try {
  for (const folder of [host, disk]) mkdirSync(folder);
  execFileSync("truncate", ["-s", "6G", join(scratch, "host.img")]);
  execFileSync("mkfs.xfs", ["-q", "-m", "reflink=1", join(scratch, "host.img")]);
  mount("-o", "loop", join(scratch, "host.img"), host);
  for (const kind of values.kinds.split(",")) broken += await torture(kind);
} finally {
  spawnSync("umount", ["-l", disk], { stdio: "ignore" });
  spawnSync("umount", ["-l", host], { stdio: "ignore" });
  rmSync(scratch, { recursive: true, force: true });
}
process.exit(broken === 0 ? 0 : 1);

async function torture(kind) {
  const image = join(host, "disk.img");
  rmSync(image, { force: true });
  writeFileSync(did, "");
  execFileSync("truncate", ["-s", "700M", image]);
  execFileSync(`mkfs.${kind}`, ["-q", image], { stdio: "ignore" });
  mount("-o", "loop", image, disk);
  makeRepository();
  const { acks, created, clones } = await work(image);
  unmount();
  await sleep(2500); // a machine takes longer to start
  const sum = {
    cuts: clones.length,
    acks: acks.length,
    owed: 0,
    versions: 0,
    resumed: 0,
    kept: 0,
    ran: 0,
    outputs: 0,
    faults: [],
  };
  for (const clone of clones) {
    const report = (fault) => sum.faults.push(`${kind}, cut ${clones.indexOf(clone)}: ${fault}`);
    try {
      mount("-o", kind === "xfs" ? "loop,nouuid" : "loop", clone.image, disk);
    } catch (error) {
      report(`the disk can't be mounted, see dmesg: ${error.message}`);
      rmSync(clone.image);
      continue;
    }
    writeFileSync(restart["/proc/sys/kernel/random/boot_id"], `${randomUUID()}\n`);
    writeFileSync(restart["/proc/uptime"], "0.01 0.01\n");
    for (const [what, by] of Object.entries(restart)) mount("--bind", by, what);
    try {
      check(clone, { acks, created }, sum, report);
    } catch (error) {
      report(`the check failed: ${error.stack}`);
    }
    execFileSync("umount", Object.keys(restart));
    unmount();
    rmSync(clone.image);
  }
  console.log(
    `${kind}: ${sum.cuts} power cuts over ${sum.acks} commands that had said done (${sum.owed} looked up after the cuts), ${sum.versions} versions whole, ${sum.outputs} outputs of steps there; ` +
      `${sum.resumed} runs resumed, ${sum.kept} steps that had ended stayed so, ${sum.ran} others ran; ${sum.faults.length} faults`,
  );
  for (const fault of sum.faults.slice(0, 20)) console.log(`  ${fault}`);
  return sum.faults.length;
}

function idOf(index) {
  return `${String(index + 1).padStart(8, "0")}-0000-4000-a000-000000000000`;
}

function makeRepository() {
  execFileSync(process.execPath, [program, "init", repo], { env, stdio: "ignore" });
  const put = (path, text) => writeFileSync(join(repo, path), text);
  const model = (name, index, pause = "") =>
    `type: command/shell\nid: ${idOf(index)}\nname: ${name}\nversion: 1\ninputs: { properties: { word: { type: string } }, required: [word] }\n` +
    `methods:\n  execute:\n    arguments:\n      run: '${pause}echo \${{ inputs.word }} | tee -a ${did}'\n`;
  // A commit is made ready beside a command that is at work for 20 ms or more.
  for (let n = 0; n < models; n++) put(`models/m-${n}.yaml`, model(`m-${n}`, n, n % 2 === 0 ? "sleep 0.04; " : ""));
  for (let n = 0; n < models; n++) put(`models/w-${n}.yaml`, model(`w-${n}`, 100 + n));
  put("models/d.yaml", model("d", 200));
  mkdirSync(join(repo, "workflows"), { recursive: true });
  const calls = Array.from(
    { length: steps },
    (_, n) =>
      `      - name: s-${n}\n        task: { type: model_method, modelIdOrName: w-${n % models}, methodName: execute, inputs: { word: "\${{ inputs.run }}:${n}" } }\n`,
  );
  put(
    "workflows/workflow-w.yaml",
    `id: ${idOf(999)}\nname: w\nversion: 1\ninputs: { properties: { run: { type: string } }, required: [run] }\njobs:\n  - name: all\n    steps:\n${calls.join("")}`,
  );
  execFileSync("sync", ["-f", repo]);
}

/** Runs commands and runs until time is up, and clones the disk meanwhile. `at`: milliseconds, when a command had said that it is done, or before a clone was begun. */
async function work(image) {
  const until = performance.now() + seconds * 1000;
  const acks = [];
  const created = [];
  const clones = [];
  const living = new Set();
  let words = 0;
  const run = (args) =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, [program, ...args], {
        cwd: repo,
        env,
        stdio: ["ignore", "pipe", "pipe"],
        detached: true,
      });
      living.add(child);
      let [out, err] = ["", ""];
      child.stdout.on("data", (chunk) => (out += chunk));
      child.stderr.on("data", (chunk) => (err += chunk));
      child.on("close", (code) => {
        living.delete(child);
        resolve({ code, out, err });
      });
    });
  const caller = async () => {
    while (performance.now() < until) {
      const index = Math.floor(Math.random() * models);
      const word = `c${words++}`;
      const { code, out, err } = await run([
        "model",
        "method",
        "run",
        `m-${index}`,
        "execute",
        "--input",
        `word=${word}`,
        "--json",
      ]);
      if (performance.now() >= until) return;
      if (code !== 0) throw new Error(`a command failed: ${out}${err}`);
      acks.push({
        at: performance.now(),
        index,
        word,
        ...JSON.parse(out),
        token: Number(readFileSync(tokenOf(index), "utf8").slice(0, 16)),
      });
    }
  };
  const creator = async () => {
    for (let n = 0; performance.now() < until; n++) {
      const made = await run(["model", "create", "command/shell", `new-${n}`, "--json"]);
      const other = await run(["init", join(disk, `repo-${n}`), "--json"]);
      if (performance.now() >= until) return;
      if (made.code !== 0 || other.code !== 0)
        throw new Error(`can't create: ${made.out}${made.err}${other.out}${other.err}`);
      created.push({ at: performance.now(), model: `new-${n}`, repo: join(disk, `repo-${n}`) });
      await sleep(300);
    }
  };
  const runner = async () => {
    while (performance.now() < until) {
      const { code, out, err } = await run(["workflow", "run", "w", "--input", `run=r${words++}`, "--json"]);
      if (code !== 0 && performance.now() < until) throw new Error(`a run failed: ${out}${err}`);
    }
  };
  const deleter = async () => {
    for (let n = 1; performance.now() < until; n++) {
      const made = await run(["model", "method", "run", "d", "execute", "--input", `word=d${n}`, "--json"]);
      const { version } = JSON.parse(made.out || "{}").data ?? {};
      const which = n % 4 === 0 ? [] : ["--version", String(version)];
      const done = await run(["data", "delete", "d", "result", ...which, "--force", "--json"]);
      if (performance.now() < until && made.code + done.code !== 0)
        throw new Error(`can't delete: ${made.out}${made.err}${done.out}${done.err}`);
    }
  };
  const cutter = async () => {
    for (let n = 0; n < cuts; n++) {
      await sleep((seconds * 1000) / (cuts + 1) - 15 + Math.random() * 30);
      const clone = { at: performance.now(), image: join(host, `clone-${n}.img`) };
      await new Promise((resolve, reject) =>
        spawn("cp", ["--reflink=always", image, clone.image], { stdio: "inherit" }).on("exit", (code) =>
          code === 0 ? resolve() : reject(new Error("the disk could not be cloned")),
        ),
      );
      clones.push(clone);
    }
  };
  await Promise.all([...Array.from({ length: callers }, caller), creator(), runner(), deleter(), cutter()]);
  for (const child of living) process.kill(-child.pid, "SIGKILL");
  while (living.size > 0) await sleep(20);
  return { acks, created, clones };
}

function check(clone, { acks, created }, sum, report) {
  for (const { model, repo: path } of created.filter(({ at }) => at < clone.at)) {
    const got = fen(["model", "get", model, "--json"]);
    if (got.status !== 0) report(`${model} was created: ${got.stdout}${got.stderr}`);
    const search = fen(["model", "search", "--json", "--repo-dir", path]);
    if (search.status !== 0) report(`${path} was made: ${search.stdout}${search.stderr}`);
  }
  const owed = acks.filter(({ at }) => at < clone.at);
  sum.owed += owed.length;
  looked(owed, report);
  allWhole(sum, report);
  readable("after the cut", report);
  const before = journals();
  for (const { id, path } of before) outputsOf(id, path, sum, report); // before anybody finishes what was begun
  for (let n = 0; n < models; n++) runAgain(`m-${n}`, n, owed, report);
  for (const { id, path, ended, isDone } of before) {
    if (isDone) {
      recordsOf(id, path, report);
      continue;
    }
    const size = readFileSync(did).length;
    const done = fen(["workflow", "resume", id, "--retry-unknown", "--json"]);
    const lines = readFileSync(did, "utf8").slice(size).split("\n");
    if (done.status !== 0) {
      report(`run ${id} can't be resumed: ${done.stdout.slice(-500)}${done.stderr}`);
      continue;
    }
    const again = lines.map((line) => Number(line.split(":")[1])).filter((step) => ended.has(step));
    if (again.length > 0) report(`run ${id}: steps that had ended ran again: ${again.join(" ")}`);
    sum.resumed++;
    sum.kept += ended.size;
    sum.ran += lines.length - 1;
    recordsOf(id, path, report);
  }
  for (let n = 0; n < models; n++) runAgain(`w-${n}`, 100 + n, owed, report);
  runAgain("d", 200, owed, report);
  looked(owed, report);
  allWhole(sum, report);
  readable("at the end", report);
  const gc = fen(["data", "gc", "--force", "--json"]);
  if (gc.status !== 0 || gc.stderr !== "") report(`data gc ends with ${gc.status}: ${gc.stdout}${gc.stderr}`);
  allWhole(sum, report);
  const hidden = readdirSync(join(repo, ".swamp/data"), { recursive: true }).filter((name) => /\/\.[^/]*$/.test(name));
  if (hidden.length > 0) report(`data gc has left ${hidden.join(" ")}`);
  const status = fen(["datastore", "lock", "status", "--json"]);
  if (JSON.parse(status.stdout).models.length > 0) report(`locks are left: ${status.stdout}`);
}

/** The next command on a model: it needn't wait for who died, and tidies up. */
function runAgain(name, index, owed, report) {
  const word = `after-${randomUUID()}`;
  const done = fen(["model", "method", "run", name, "execute", "--input", `word=${word}`, "--json"]);
  if (done.status !== 0) return report(`${name} can't be run: ${done.stdout}${done.stderr}`);
  if (done.stderr !== "") report(`${name} waited: ${done.stderr.slice(0, 200)}`);
  looked([{ index, word, ...JSON.parse(done.stdout) }], report);
  const known = Math.max(0, ...owed.filter((ack) => ack.index === index).map(({ token }) => token));
  const token = Number(readFileSync(tokenOf(index), "utf8").slice(0, 16));
  if (token <= known) report(`the token of ${name} went back: ${token} after ${known}`);
  leftovers(index, report);
}

/** Looking back works, whatever the cut has left. */
function readable(when, report) {
  for (const command of [
    "model search",
    "model output search",
    "model method history search",
    "workflow history search",
    "data search",
    "data list m-0",
    "datastore status",
    "datastore lock status",
    "workflow search",
  ]) {
    const { status, stdout, stderr } = fen([...command.split(" "), "--json"]);
    if (status !== 0 || stderr !== "")
      report(`${when}: fen ${command} ends with ${status}: ${stdout.slice(0, 300)} ${stderr.slice(0, 600)}`);
  }
}

function fen(args) {
  return spawnSync(process.execPath, [program, ...args], {
    cwd: repo,
    env,
    encoding: "utf8",
    timeout: 120_000,
    maxBuffer: 1 << 28,
  });
}

/** What commands had said is there. */
function looked(owed, report) {
  const records = join(repo, ".swamp/outputs/command/shell/execute");
  const names = existsSync(records) ? readdirSync(records) : [];
  for (const { index, word, outputId, data } of owed) {
    const name = names.find((one) => one.endsWith(`${outputId.slice(0, 8)}.yaml`));
    const record = name === undefined ? undefined : recordIn(join(records, name));
    if (record?.status !== "succeeded")
      report(`m-${index} ${word}: its record is ${record === undefined ? "gone" : record?.status}`);
    const raw = join(repo, ".swamp/data/command/shell", idOf(index), data.name, String(data.version), "raw");
    if (!existsSync(raw)) report(`m-${index} ${word}: version ${data.version} is gone`);
    else if (JSON.parse(readFileSync(raw, "utf8") || "{}").stdout?.trim() !== word)
      report(`m-${index} ${word}: version ${data.version} holds something else`);
  }
}

/** Every version that can be seen is whole. */
function allWhole(sum, report) {
  const data = join(repo, ".swamp/data/command/shell");
  for (const model of existsSync(data) ? readdirSync(data) : []) {
    for (const name of readdirSync(join(data, model)).filter((one) => !one.startsWith("."))) {
      for (const version of readdirSync(join(data, model, name)).filter((one) => /^\d+$/.test(one))) {
        const folder = join(data, model, name, version);
        sum.versions++;
        if (!isWhole(folder)) report(`${model} ${name} ${version} is not whole: ${readdirSync(folder).join(" ")}`);
      }
    }
  }
}

function recordIn(path) {
  const text = readFileSync(path, "utf8");
  return text === "" ? undefined : load(text);
}

function isWhole(folder) {
  try {
    const { size, checksum, version } = load(readFileSync(join(folder, "metadata.yaml"), "utf8"));
    const raw = readFileSync(join(folder, "raw"));
    return (
      raw.length === size &&
      createHash("sha256").update(raw).digest("hex") === checksum &&
      folder.endsWith(`/${version}`)
    );
  } catch {
    return false;
  }
}

/** After a command has had the model: nothing half-done, and `latest` is the last. */
function leftovers(index, report) {
  const data = join(repo, ".swamp/data/command/shell", idOf(index));
  if (!existsSync(data)) return;
  const staging = join(repo, ".swamp/.fen/staging", encodeURIComponent(`command/shell/${idOf(index)}`));
  const left = [
    ...(existsSync(staging) ? readdirSync(staging) : []),
    ...readdirSync(data).filter((name) => name.startsWith(".") && !draft.test(name)),
  ];
  if (left.length > 0) report(`${idOf(index)}: left are ${left.join(" ")}`);
  for (const name of readdirSync(data).filter((one) => !one.startsWith("."))) {
    const last = Math.max(
      ...readdirSync(join(data, name))
        .filter((one) => /^\d+$/.test(one))
        .map(Number),
    );
    const latest = readFileSync(join(data, name, "latest"), "utf8").trim();
    if (Number(latest) !== last) report(`${idOf(index)} ${name}: latest says ${latest}, the last is ${last}`);
  }
}

/** The journals of all runs: which steps have an end. A last line without its end is one that was being written. */
function journals() {
  const folder = join(repo, ".swamp/workflow-runs", idOf(999));
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(".journal"))
    .map((name) => {
      const path = join(folder, name);
      const lines = linesOf(path);
      const ended = new Set(lines.filter(({ e }) => e === "end").map(({ n }) => n));
      return {
        id: name.slice("workflow-run-".length, -".journal".length),
        path,
        ended,
        isDone: lines.some(({ e }) => e === "done"),
      };
    });
}

/** Who says that a step has ended says that its outputs are data: not only committed, for the next command to make them data. */
function outputsOf(id, path, sum, report) {
  const modelOf = new Map();
  for (const { e, n, model, data = [] } of linesOf(path)) {
    if (e === "start") modelOf.set(n, model);
    if (e !== "end") continue;
    for (const [, name, version] of data) {
      const folder = join(repo, ".swamp/data/command/shell", idOf(100 + Number(modelOf.get(n).slice(2))), name);
      sum.outputs++;
      // Old versions are removed by the definition's rule; newer ones are there then.
      const last = existsSync(folder) ? Math.max(0, ...readdirSync(folder).map((one) => Number(one) || 0)) : 0;
      if (last < version)
        report(`run ${id}: step ${n} has ended, but ${name} ${version} isn't there: the last is ${last}`);
    }
  }
}

/** Of a run that is done: each step has its record, and the data that it names. */
function recordsOf(id, path, report) {
  const lines = linesOf(path);
  const ended = lines.filter(({ e }) => e === "end").length;
  if (ended < steps) report(`run ${id}: only ${ended} of ${steps} steps have an end`);
  const records = join(repo, ".swamp/outputs/command/shell/execute");
  const names = readdirSync(records).filter((name) => name.endsWith(".yaml"));
  const missing = new Set(Array.from({ length: steps }, (_, n) => `s-${n}`));
  for (const name of names) {
    const text = readFileSync(join(records, name), "utf8");
    if (!text.includes(id)) continue;
    const record = load(text);
    if (record.status !== "succeeded") continue;
    missing.delete(record.provenance.stepName);
    for (const { name: data, version } of record.artifacts?.dataArtifacts ?? []) {
      const folder = join(repo, ".swamp/data/command/shell", record.definitionId, data, String(version));
      // Old versions are removed by the definition's rule; newer ones are there then.
      if (!existsSync(folder) && Number(readFileSync(join(folder, "../latest"), "utf8")) <= version)
        report(`run ${id}: ${name} names ${data} ${version}, which is gone`);
    }
  }
  if (missing.size === 0) return;
  const [first] = missing;
  const about = lines.filter(({ n }) => `s-${n}` === first).map((line) => JSON.stringify(line));
  report(`run ${id}: ${missing.size} steps without a record, the first ${first}: ${about.join(" ")}`);
}

/** Of a journal. One that was being written when the power went is no line. */
function linesOf(path) {
  return readFileSync(path, "utf8")
    .split("\n")
    .flatMap((line) => {
      try {
        return [JSON.parse(line)];
      } catch {
        return [];
      }
    });
}
