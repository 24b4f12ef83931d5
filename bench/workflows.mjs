// Workflows: what a run costs beside the work itself. The floor starts the same commands as fen does, with nothing kept; GNU parallel and xargs
// from Debian do the same in the same minute. Prints a table, writes bench/results/workflows.json. Words narrow: node bench/workflows.mjs fleet
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { forgetDeleted, scratchFolder } from "./scratch.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const program = join(root, "dist/fen.cjs");
const env = { ...process.env, SWAMP_REPO_DIR: "", SWAMP_DATASTORE: "" };
delete env.NODE_EXTRA_CA_CERTS;
const only = process.argv.slice(2).filter((word) => !word.startsWith("-"));
const scratch = scratchFolder("fen-bench-workflows-");
const atOnce = cpus().length * 2;
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const rows = [];

const idOf = (number) => `${String(number).padStart(8, "0")}-0000-4000-a000-000000000000`;
const shell = (name, number, run) =>
  `type: command/shell\nid: ${idOf(number)}\nname: ${name}\nversion: 1\nmethods:\n  execute:\n    arguments:\n      run: ${JSON.stringify(run)}\n`;
const idle = (name, number) => `type: bench/nothing\nid: ${idOf(number)}\nname: ${name}\nversion: 1\n`;
const call = (step, model, more = "") =>
  `      - name: ${step}\n${more}        task: { type: model_method, modelIdOrName: ${model}, methodName: execute }\n`;

function repository(name, models, steps, head = "") {
  const path = join(scratch, name);
  execFileSync(process.execPath, [program, "init", path], { env, stdio: "ignore" });
  for (const [number, text] of models.entries()) writeFileSync(join(path, "models", `${number}.yaml`), text);
  mkdirSync(join(path, "workflows"), { recursive: true });
  const workflow = `id: ${idOf(99_999_999)}\nname: bench\nversion: 1\n${head}jobs:\n  - name: all\n    steps:\n${steps.join("")}`;
  writeFileSync(join(path, "workflows/workflow-bench.yaml"), workflow);
  return path;
}

function timed(file, args, cwd = scratch) {
  const start = performance.now();
  const done = spawnSync(file, args, { cwd, env, stdio: ["ignore", "ignore", "pipe"], maxBuffer: 1 << 28 });
  if (done.status !== 0) throw new Error(`${file} ${args.join(" ")}: ${String(done.stderr).slice(-2000)}`);
  return performance.now() - start;
}

/** The commands alone, started as fen starts them. */
function spawnFloor(count) {
  const start = performance.now();
  let started = 0;
  let ended = 0;
  return new Promise((resolve) => {
    const next = () => {
      if (started++ >= count) return;
      const child = spawn("/bin/sh", ["-c", "true"], { stdio: ["ignore", "pipe", "pipe"], detached: true });
      child.stdout.resume();
      child.stderr.resume();
      child.on("close", () => (++ended === count ? resolve(performance.now() - start) : next()));
    };
    for (let at = 0; at < atOnce; at++) next();
  });
}

async function engineProgram() {
  const folder = join(root, "node_modules/.cache/fen-bench");
  const bundle = await rolldown({
    input: { engine: join(root, "bench/workflow-engine.ts") },
    platform: "node",
    external: [/^fs-native-extensions/],
    logLevel: "warn",
    transform: { target: "node20.18" },
  });
  await bundle.write({ dir: folder, format: "esm", entryFileNames: "engine.mjs" });
  await bundle.close();
  return join(folder, "engine.mjs");
}

const add = (name, values, unit, { beside = {}, reach, ok }) =>
  rows.push({
    name,
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
    unit,
    beside,
    reach,
    ok,
    load: loadavg()[0],
  });

/** Files of the same size, each written aside and renamed, not synced. */
function filesFloor(folder) {
  mkdirSync(folder, { recursive: true });
  const text = "x".repeat(200);
  const start = performance.now();
  for (let at = 0; at < 10_000; at++) {
    writeFileSync(join(folder, `.${at}.tmp`), text);
    renameSync(join(folder, `.${at}.tmp`), join(folder, `${at}.yaml`));
  }
  return performance.now() - start;
}

/** Where starts are dearer than where it was set, as much of the spawn floor is to be reached as there; where they are cheaper, the same time. */
function reachedBy(reach, floor, { ours, floors }) {
  const times = median(ours.map((ms, turn) => ms / floors[turn]));
  const most = reach / floor;
  return {
    reach: `<= ${reach} ms, or ${most.toFixed(2)} x the spawn floor (${reach} of ${floor}); it is ${times.toFixed(2)} x`,
    ok: median(ours) <= reach || times <= most,
  };
}

const benches = {
  async fleet() {
    const models = Array.from({ length: 1000 }, (_, at) => shell(`m-${at}`, at + 1, "true"));
    const steps = Array.from({ length: 1000 }, (_, at) => call(`s-${at}`, `m-${at}`));
    const path = repository("fleet", models, steps);
    const [ours, floors, parallels, xargs] = [[], [], [], []];
    for (let turn = 0; turn < 5; turn++) {
      floors.push(await spawnFloor(1000));
      parallels.push(timed("sh", ["-c", `seq 1000 | parallel -j${atOnce} true {}`]));
      xargs.push(timed("sh", ["-c", `seq 1000 | xargs -P${atOnce} -I{} sh -c true`]));
      forgetDeleted();
      timed(process.execPath, [program, "workflow", "run", "bench", "--dry-run", "--json"], path); // reads it again
      ours.push(timed(process.execPath, [program, "workflow", "run", "bench", "--json"], path));
    }
    add("1,000 steps `true`, 1,000 models, all records durable", ours, "ms", {
      beside: {
        "spawn floor": median(floors),
        "GNU parallel (keeps nothing)": median(parallels),
        xargs: median(xargs),
      },
      ...reachedBy(5000, 3050, { ours, floors }),
    });
  },

  async one() {
    const items = JSON.stringify(Array.from({ length: 300 }, (_, at) => at));
    const fan = `        forEach: { item: i, in: "\${{ ${items} }}" }\n`;
    const path = repository("one", [shell("m", 1, "true")], [call("s", "m", fan)]);
    const [ours, floors] = [[], []];
    for (let turn = 0; turn < 5; turn++) {
      floors.push(await spawnFloor(300));
      ours.push(timed(process.execPath, [program, "workflow", "run", "bench", "--json"], path));
    }
    add("300 forEach steps on one model", ours, "ms", {
      beside: { "spawn floor": median(floors) },
      ...reachedBy(2500, 915, { ours, floors }),
    });
  },

  async engine() {
    const models = Array.from({ length: 100 }, (_, at) => idle(`m-${at}`, at + 1));
    const steps = (count) => Array.from({ length: count }, (_, at) => call(`s-${at}`, `m-${at % 100}`));
    const small = repository("engine-0", models, steps(100));
    const large = repository("engine", models, steps(10_000));
    const wide = repository("engine-64", models, steps(10_000), "concurrency: 64\n");
    const engine = await engineProgram();
    const run = (path) =>
      JSON.parse(
        execFileSync(process.execPath, [engine, path, "bench"], { env, encoding: "utf8", maxBuffer: 1 << 28 }),
      );
    const perStep = [];
    const perWideStep = [];
    let last;
    for (let turn = 0; turn < 3; turn++) {
      const start = run(small).ms;
      last = run(large);
      perStep.push((last.ms - start) / 9900);
      perWideStep.push((run(wide).ms - start) / 9900);
    }
    // With few at once a step also waits for the disk; with many what is left is the engine.
    for (const [values, how] of [
      [perStep, `${atOnce} at once`],
      [perWideStep, "64 at once"],
    ]) {
      add(`engine overhead per step (a method that does nothing), ${how}`, values, "ms", {
        reach: "<= 0.5",
        ok: median(values) <= 0.5,
      });
      const rate = values.map((ms) => 1000 / ms);
      add(`durable steps a second, ${how}`, rate, "/s", { reach: ">= 3000", ok: median(rate) >= 3000 });
    }
    const megabytes = (last.rss * 1024) / 1e6;
    add("10,000 steps: memory", [megabytes], "MB", { reach: "<= 300", ok: megabytes <= 300 });
    const bytes = statSync(last.path).size + statSync(last.path.replace(/yaml$/, "journal")).size;
    add("10,000 steps: journal and record per step", [bytes / 10_000], "bytes", {
      reach: "<= 2048",
      ok: bytes / 10_000 <= 2048,
    });
  },

  async evaluate() {
    const text = (at) =>
      `type: command/shell\nid: ${idOf(at + 1)}\nname: m-${at}\nversion: 1\nglobalArguments:\n  host: "\${{ self.name }}.example"\nmethods:\n  execute:\n    arguments:\n      run: "ssh \${{ self.globalArguments.host }} true"\n`;
    const path = repository(
      "evaluate",
      Array.from({ length: 10_000 }, (_, at) => text(at)),
      [call("s", "m-0")],
    );
    const [anew, again] = [[], []];
    const evaluate = () => timed(process.execPath, [program, "model", "evaluate", "--all", "--json"], path);
    for (let turn = 0; turn < 3; turn++) {
      // Moved away, not removed: ext4 looks for a free inode past all that were freed in the last minutes, which is no time of ours.
      if (turn > 0) renameSync(join(path, ".swamp/definitions-evaluated"), join(scratch, `evaluated-${turn}`));
      anew.push(evaluate());
      again.push(evaluate());
    }
    const floor = { "writing 10,000 files alone": filesFloor(join(scratch, "files")) };
    for (const [name, ours] of Object.entries({ anew, again }))
      add(`model evaluate --all, 10,000 models with expressions, ${name}`, ours, "ms", {
        beside: name === "anew" ? floor : {},
        reach: "<= 3000",
        ok: median(ours) <= 3000,
      });
  },
};

spawnSync("sh", ["-c", "command -v parallel || apt-get install -y parallel"], { stdio: "ignore" });
for (const [name, bench] of Object.entries(benches)) if (only.length === 0 || only.includes(name)) await bench();
rmSync(scratch, { recursive: true, force: true });

const show = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(2));
for (const { name, unit, reach, ok, beside, ...row } of rows) {
  const peers = Object.entries(beside).map(([peer, value]) => `${peer} ${show(value)}`);
  console.log(
    `${ok ? "reached" : "MISSED "}  ${name}: ${show(row.median)} ${unit} (${show(row.min)} - ${show(row.max)}), reach ${reach}${peers.length > 0 ? `; beside: ${peers.join(", ")}` : ""}`,
  );
}
const busiest = Math.max(...rows.map((row) => row.load));
if (busiest > atOnce) console.error(`The machine was busy (load up to ${busiest.toFixed(1)}): times say little.`);
if (only.length === 0) {
  const results = { node: process.version, cpus: cpus().length, rows };
  writeFileSync(join(root, "bench/results/workflows.json"), `${JSON.stringify(results, undefined, 2)}\n`);
}
process.exitCode = rows.every((row) => row.ok) ? 0 : 1;
