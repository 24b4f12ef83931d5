// Measures what fen promises, each beside its floor in the same minute, medians of several runs. Prints a table; --json prints JSON; results also go
// to bench/results/. One argument narrows: node bench/run.mjs start
import { spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const program = join(root, "dist/fen.cjs");
const env = { ...process.env, SWAMP_REPO_DIR: "", SWAMP_DATASTORE: "" };
delete env.NODE_EXTRA_CA_CERTS;
const only = process.argv.slice(2).find((word) => !word.startsWith("-"));
const repeats = 11;
const rows = [];

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

/** Both in turn, so that noise hits both. */
function ratio(name, command, cwd, reach) {
  const ours = [];
  const floor = [];
  for (let i = 0; i < repeats; i++) {
    floor.push(timed(floorCommand));
    ours.push(timed(command, cwd));
  }
  rows.push({
    name,
    value: median(ours),
    unit: "ms",
    floor: median(floor),
    ratio: median(ours) / median(floor),
    reach: `<= ${reach} x node -e 0`,
    ok: median(ours) / median(floor) <= reach,
  });
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
  const path = mkdtempSync(join(tmpdir(), "fen-bench-"));
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

const benches = {
  start() {
    ratio("fen version", fen("version"), tmpdir(), 1.6);
    ratio("fen --help", fen("--help"), tmpdir(), 1.6);
  },
  async run() {
    const path = repository(1, "'true'");
    ratio("model method run of true", fen("model", "method", "run", "m-00000", "execute", "--json"), path, 3.5);
    const peaks = [];
    for (let i = 0; i < repeats; i++)
      peaks.push((await peakOf(["model", "method", "run", "m-00000", "execute", "--json"], path)).peak / 1024);
    rows.push({
      name: "its memory",
      value: median(peaks),
      unit: "MiB",
      reach: "<= 90 MB",
      ok: median(peaks) * 1.048576 <= 90,
    });
    rmSync(path, { recursive: true });
  },
  async fleet() {
    const path = repository(100, "echo hello");
    const ours = [];
    const floor = [];
    let failures = 0;
    let waits = 0;
    for (let i = 0; i < 10; i++) {
      floor.push(
        (
          await together(
            Array.from({ length: 100 }, () => floorCommand),
            path,
          )
        ).ms,
      );
      const done = await together(
        Array.from({ length: 100 }, (_, n) =>
          fen("model", "method", "run", `m-${String(n).padStart(5, "0")}`, "execute", "--json"),
        ),
        path,
      );
      ours.push(done.ms);
      failures += done.failures;
      waits += done.waits;
      if (done.first !== undefined) console.error(done.first);
    }
    const by = median(ours) / median(floor);
    rows.push({
      name: `100 processes, 100 models (${failures} failures, ${waits} waits)`,
      value: median(ours),
      unit: "ms",
      floor: median(floor),
      ratio: by,
      reach: "<= 3.5 x 100 x node -e 0 at once",
      ok: by <= 3.5 && failures + waits === 0,
    });
    rmSync(path, { recursive: true });
  },
  async queue() {
    const path = repository(1, "sleep 0.1");
    const ours = [];
    let failures = 0;
    for (let i = 0; i < 10; i++) {
      const done = await together(
        Array.from({ length: 20 }, () => fen("model", "method", "run", "m-00000", "execute", "--json")),
        path,
      );
      ours.push(done.ms);
      failures += done.failures;
    }
    rows.push({
      name: `20 processes x 100 ms on one model (${failures} failures)`,
      value: median(ours),
      unit: "ms",
      floor: 2000,
      ratio: median(ours) / 2000,
      reach: "<= 2600 ms",
      ok: median(ours) <= 2600 && failures === 0,
    });
    rmSync(path, { recursive: true });
  },
  search() {
    const path = repository(10_000, "'true'");
    const ours = Array.from({ length: repeats }, () => timed(fen("model", "search", "--json"), path));
    rows.push({
      name: "model search, 10,000 definitions",
      value: median(ours),
      unit: "ms",
      reach: "<= 1000 ms",
      ok: median(ours) <= 1000,
    });
    const runs = Array.from({ length: repeats }, () =>
      timed(fen("model", "method", "run", "m-05000", "execute", "--json"), path),
    );
    rows.push({
      name: "model method run beside 10,000 definitions",
      value: median(runs),
      unit: "ms",
      reach: "",
      ok: true,
    });
    // Reading one model must not grow with the versions that others have.
    const before = median(Array.from({ length: repeats }, () => timed(fen("data", "list", "m-05000", "--json"), path)));
    const lockBefore = median(
      Array.from({ length: repeats }, () => timed(fen("datastore", "lock", "status", "--json"), path)),
    );
    addVersions(path, 100, 100);
    const after = median(Array.from({ length: repeats }, () => timed(fen("data", "list", "m-05000", "--json"), path)));
    const lockAfter = median(
      Array.from({ length: repeats }, () => timed(fen("datastore", "lock", "status", "--json"), path)),
    );
    rows.push({
      name: "data list, 10,000 versions of others",
      value: after,
      unit: "ms",
      floor: before,
      ratio: after / before,
      reach: "as without them",
      ok: after / before <= 1.3,
    });
    rows.push({
      name: "lock status, 10,000 versions of others",
      value: lockAfter,
      unit: "ms",
      floor: lockBefore,
      ratio: lockAfter / lockBefore,
      reach: "as without them",
      ok: lockAfter / lockBefore <= 1.3,
    });
    rmSync(path, { recursive: true });
  },
  async output() {
    const path = repository(1, "head -c 1073741824 /dev/zero");
    const { peak, code } = await peakOf(["model", "method", "run", "m-00000", "execute", "--json"], path);
    const data = join(path, ".swamp/data/command/shell");
    const id = readdirSync(data)[0];
    const size = Number(/size: (\d+)/.exec(readFileSync(join(data, id, "log/1/metadata.yaml"), "utf8"))?.[1]);
    rows.push({
      name: `1 GiB of output (exit ${code}, ${size} bytes kept)`,
      value: peak / 1024,
      unit: "MiB",
      reach: "<= 150 MB",
      ok: (peak * 1024) / 1e6 <= 150 && size === 1073741824 + 9,
    });
    rmSync(path, { recursive: true });
  },
};

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

for (const [name, bench] of Object.entries(benches)) if (only === undefined || only === name) await bench();
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
    `${row.value.toFixed(1)} ${row.unit}`,
    row.floor === undefined ? "" : `${row.floor.toFixed(1)} ms`,
    row.ratio === undefined ? "" : `${row.ratio.toFixed(2)} x`,
    row.reach,
    row.ok ? "reached" : "MISSED",
  ]);
  const all = [["what", "median", "floor", "ratio", "reach", ""], ...cells];
  const widths = all[0].map((_, column) => Math.max(...all.map((row) => row[column].length)));
  for (const row of all)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join("  ")
        .trimEnd(),
    );
}
process.exitCode = rows.every((row) => row.ok) ? 0 : 1;
