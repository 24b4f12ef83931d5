// Measures what fen promises, each beside its floor: the two take turns, after a warm-up that isn't counted; medians of 11. Prints a table; --json
// prints JSON; results also go to bench/results/. Words narrow: node bench/run.mjs start run
// Times mean something on a machine that does nothing else: the load before each measurement is in the results, and a busy machine is told.
import { spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { scratchFolder } from "./scratch.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const program = join(root, "dist/fen.cjs");
const env = { ...process.env, SWAMP_REPO_DIR: "", SWAMP_DATASTORE: "" };
delete env.NODE_EXTRA_CA_CERTS;
const only = process.argv.slice(2).filter((word) => !word.startsWith("-"));
const scratch = scratchFolder("fen-bench-");
let repositories = 0;
const repeats = 11;
const rows = [];

const spread = (values) => ({ median: median(values), min: Math.min(...values), max: Math.max(...values) });
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const fen = (...args) => [process.execPath, program, ...args];
const floorCommand = [process.execPath, "-e", "0"];

function timed([file, ...args], cwd = tmpdir()) {
  const start = performance.now();
  const done = spawnSync(file, args, {
    cwd,
    env,
    stdio: ["ignore", "ignore", "pipe"],
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  const ms = performance.now() - start;
  if (done.status !== 0) throw new Error(`${args.join(" ")}: ${done.stderr}`);
  return ms;
}

/** Both in turn, so that noise hits both; the first turn warms up. */
async function inTurn(floor, ours, turns = repeats) {
  const results = { floor: [], ours: [] };
  for (let turn = 0; turn <= turns; turn++) {
    const pair = [await floor(), await ours()];
    if (turn === 0) continue;
    results.floor.push(pair[0]);
    results.ours.push(pair[1]);
  }
  return results;
}

function row(name, unit, values, more) {
  const { floor, reach, ok = true, at } = more;
  const base = floor === undefined ? undefined : Array.isArray(floor) ? median(floor) : floor;
  // Of each turn's pair: what slows the machine down for a while slows down both.
  const ratio =
    base === undefined
      ? undefined
      : median(values.map((value, turn) => value / (Array.isArray(floor) ? floor[turn] : base)));
  rows.push({
    name,
    unit,
    ...spread(values),
    samples: values.length,
    floor: base,
    ratio,
    reach,
    ok: ok && (at === undefined || at(median(values), ratio)),
    load,
  });
}

/** The load of the machine when the measurement began. */
let load = loadavg()[0];

async function ratio(name, command, cwd, most) {
  const { floor, ours } = await inTurn(
    () => timed(floorCommand),
    () => timed(command, cwd),
  );
  row(name, "ms", ours, { floor, reach: `<= ${most} x node -e 0`, at: (_, by) => by <= most });
}

async function together(commands, cwd) {
  const start = performance.now();
  const results = await Promise.all(
    commands.map(
      ([file, ...args]) =>
        new Promise((resolve) => {
          const child = spawn(file, args, { cwd, env, stdio: ["ignore", "ignore", "pipe"] });
          let stderr = "";
          child.stderr.on("data", (chunk) => (stderr += chunk));
          child.on("close", (code) => resolve({ code, stderr }));
        }),
    ),
  );
  return {
    ms: performance.now() - start,
    failures: results.filter((one) => one.code !== 0).length,
    waits: results.filter((one) => one.stderr.includes("waiting for the lock")).length,
    first: results.find((one) => one.code !== 0)?.stderr,
  };
}

/** Most resident memory of a process, KiB, from /proc. */
function peakOf(args, cwd) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, ...args], { cwd, env, stdio: ["ignore", "ignore", "ignore"] });
    let peak = 0;
    const timer = setInterval(() => {
      try {
        peak = Math.max(
          peak,
          Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1] ?? 0),
        );
      } catch {
        // It has ended.
      }
    }, 2);
    child.on("close", (code) => {
      clearInterval(timer);
      resolve({ peak, code });
    });
  });
}

function repository(models, run) {
  const path = join(scratch, String(++repositories));
  mkdirSync(path);
  timed(fen("init"), path);
  const folder = join(path, "models/command/shell");
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < models; i++) {
    const id = randomUUID();
    writeFileSync(
      join(folder, `${id}.yaml`),
      `type: command/shell\ntypeVersion: 2026.02.09.1\nid: ${id}\nname: m-${String(i).padStart(5, "0")}\nversion: 1\ntags: {}\nglobalArguments: {}\nmethods:\n  execute:\n    arguments:\n      run: ${run}\n`,
    );
  }
  return path;
}

const run = (number) => fen("model", "method", "run", `m-${String(number).padStart(5, "0")}`, "execute", "--json");

const benches = {
  async start() {
    await ratio("fen version", fen("version"), tmpdir(), 1.6);
    await ratio("fen --help", fen("--help"), tmpdir(), 1.6);
  },
  async run() {
    const path = repository(1, "'true'");
    await ratio("model method run of true", run(0), path, 3.5);
    const peaks = [];
    for (let i = 0; i < repeats; i++) peaks.push((await peakOf(run(0).slice(2), path)).peak / 1024);
    row("its memory", "MiB", peaks, { reach: "<= 90 MB", at: (peak) => peak * 1.048576 <= 90 });
    rmSync(path, { recursive: true });
  },
  async fleet() {
    const path = repository(100, "echo hello");
    const hundred = Array.from({ length: 100 }, (_, number) => run(number));
    const counts = { failures: 0, waits: 0 };
    const { floor, ours } = await inTurn(
      async () =>
        (
          await together(
            hundred.map(() => floorCommand),
            path,
          )
        ).ms,
      async () => counted(counts, await together(hundred, path)),
    );
    row(`100 processes, 100 models (${counts.failures} failures, ${counts.waits} waits)`, "ms", ours, {
      floor,
      reach: "<= 3.5 x 100 x node -e 0 at once",
      ok: counts.failures + counts.waits === 0,
      at: (_, by) => by <= 3.5,
    });
    rmSync(path, { recursive: true });
  },
  async queue() {
    const path = repository(1, "sleep 0.1");
    const counts = { failures: 0, waits: 0 };
    // The same without us: twenty Node.js that start, and the system's own lock.
    const lock = join(path, "flock");
    const plain = `"${process.execPath}" -e 0; exec flock "${lock}" sh -c "sleep 0.1"`;
    const { floor, ours } = await inTurn(
      async () =>
        (
          await together(
            Array.from({ length: 20 }, () => ["sh", "-c", plain]),
            path,
          )
        ).ms,
      async () =>
        counted(
          counts,
          await together(
            Array.from({ length: 20 }, () => run(0)),
            path,
          ),
        ),
    );
    row(`20 processes x 100 ms on one model (${counts.failures} failures), beside node -e 0 and flock`, "ms", ours, {
      floor,
      reach: "<= 2600 ms",
      ok: counts.failures === 0,
      at: (ms) => ms <= 2600,
    });
    rmSync(path, { recursive: true });
  },
  async search() {
    const path = repository(10_000, "'true'");
    const { floor, ours } = await inTurn(
      () => timed(fen("model", "search", "--json"), path),
      () => timed(run(5000), path),
    );
    row("model search, 10,000 definitions", "ms", floor, { reach: "<= 1000 ms", at: (ms) => ms <= 1000 });
    row("model method run beside 10,000 definitions", "ms", ours, { reach: "" });
    rmSync(path, { recursive: true });
  },
  async others() {
    const [alone, crowded] = [repository(1, "'true'"), repository(1, "'true'")];
    for (const path of [alone, crowded]) timed(run(0), path);
    addVersions(crowded, 100, 100);
    for (const [name, command] of [
      ["data list", fen("data", "list", "m-00000", "--json")],
      ["lock status", fen("datastore", "lock", "status", "--json")],
    ]) {
      const { floor, ours } = await inTurn(
        () => timed(command, alone),
        () => timed(command, crowded),
      );
      row(`${name}, 10,000 versions of others`, "ms", ours, {
        floor,
        reach: "as without them",
        at: (_, by) => by <= 1.3,
      });
    }
    for (const path of [alone, crowded]) rmSync(path, { recursive: true });
  },
  async output() {
    const path = repository(1, "head -c 1073741824 /dev/zero");
    const { peak, code } = await peakOf(run(0).slice(2), path);
    const data = join(path, ".swamp/data/command/shell");
    const id = readdirSync(data)[0];
    const size = Number(/size: (\d+)/.exec(readFileSync(join(data, id, "log/1/metadata.yaml"), "utf8"))?.[1]);
    row(`1 GiB of output (exit ${code}, ${size} bytes kept)`, "MiB", [peak / 1024], {
      reach: "<= 150 MB",
      ok: size === 1073741824 + 9,
      at: (most) => most * 1.048576 <= 150,
    });
    rmSync(path, { recursive: true });
  },
};

function counted(counts, done) {
  counts.failures += done.failures;
  counts.waits += done.waits;
  if (done.first !== undefined) console.error(done.first);
  return done.ms;
}

function addVersions(path, models, versions) {
  for (let m = 0; m < models; m++) {
    for (let v = 1; v <= versions; v++) {
      const folder = join(
        path,
        ".swamp/data/command/shell",
        `${String(m).padStart(8, "0")}-0000-4000-8000-000000000000`,
        "result",
        String(v),
      );
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "raw"), "{}");
    }
  }
}

for (const word of only)
  if (!(word in benches)) throw new Error(`there is no bench ${word}; there are: ${Object.keys(benches).join(", ")}`);
for (const [name, bench] of Object.entries(benches)) {
  if (only.length > 0 && !only.includes(name)) continue;
  [load] = loadavg();
  await bench();
}
const results = {
  at: new Date().toISOString(),
  node: process.version,
  cores: cpus().length,
  cpu: cpus()[0]?.model,
  rows,
};
mkdirSync(join(root, "bench/results"), { recursive: true });
writeFileSync(join(root, "bench/results/main.json"), JSON.stringify(results, undefined, 2));
if (process.argv.includes("--json")) console.log(JSON.stringify(results, undefined, 2));
else {
  const cells = rows.map((row) => [
    row.name,
    `${row.median.toFixed(1)} ${row.unit}`,
    row.samples === 1 ? "" : `${row.min.toFixed(0)} - ${row.max.toFixed(0)}`,
    row.floor === undefined ? "" : `${row.floor.toFixed(1)} ms`,
    row.ratio === undefined ? "" : `${row.ratio.toFixed(2)} x`,
    row.reach,
    row.ok ? "reached" : "MISSED",
  ]);
  const all = [["what", "median", "from - to", "floor", "ratio", "reach", ""], ...cells];
  const widths = all[0].map((_, column) => Math.max(...all.map((row) => row[column].length)));
  for (const row of all)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join("  ")
        .trimEnd(),
    );
}
rmSync(scratch, { recursive: true, force: true });
const busiest = Math.max(...rows.map((row) => row.load));
if (busiest > 1) console.error(`The machine was busy (load up to ${busiest.toFixed(1)}): times say little.`);
process.exitCode = rows.every((row) => row.ok) ? 0 : 1;
