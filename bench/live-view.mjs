// Measures the live view of a run of 1,000 steps: frames a second and the share of a core that it takes, following (workflow history watch) on a terminal of
// 120 x 40 a journal that grows: 200 steps at work at once, 200 starts and ends a second, each step saying something. Prints a line; --json prints JSON.
import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { loadavg, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const program = join(root, "dist/fen.cjs");
const steps = 1000;
const seconds = 8;
const atWork = 200;
const reach = { share: 0.05, frames: 10 };
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const idOf = (n) => `e0000000-0000-4000-a000-${String(n).padStart(12, "0")}`;

const scratch = mkdtempSync(join(tmpdir(), "fen-bench-view-"));
const env = { ...process.env, SWAMP_REPO_DIR: "", SWAMP_DATASTORE: "" };
spawnSync(process.execPath, [program, "init"], { cwd: scratch, env });
const stem = join(scratch, `.swamp/workflow-runs/${idOf(1)}/workflow-run-${idOf(2)}`);
mkdirSync(dirname(stem), { recursive: true });
own(join(scratch, `.swamp/.fen/runs/${idOf(2)}.owner`));

const step = (n) => ({
  name: `step-${n}`,
  task: { type: "model_method", modelIdOrName: `web-${n}`, methodName: "execute", inputs: {} },
  dependsOn: [],
  weight: 0,
  allowFailure: false,
  dataOutputOverrides: [],
});
const jobs = [{ name: "all", dependsOn: [], weight: 0, steps: Array.from({ length: steps }, (_, n) => step(n)) }];
const definition = { id: idOf(1), name: "bench", version: 1, tags: {}, lock: "run", jobs };
const by = { holder: "bench@here", pid: process.pid, command: "bench" };
const write = (...entries) => {
  const at = Date.now();
  appendFileSync(`${stem}.journal`, entries.map((entry) => `${JSON.stringify({ at, ...entry })}\n`).join(""));
};
write(
  { e: "run", run: idOf(2), definition, hash: "0".repeat(64), inputs: {}, tags: {}, by },
  { e: "job", j: 0, s: "running" },
);
writeFileSync(`${stem}.log`, "");

let written = "";
const command = `stty cols 120 rows 40; exec ${process.execPath} ${program} workflow history watch ${idOf(2)}`;
const terminal = spawn("script", ["-qfec", command, "/dev/null"], {
  cwd: scratch,
  env: { ...env, TERM: "xterm", SHELL: "/bin/sh" },
  stdio: ["ignore", "pipe", "inherit"],
});
terminal.stdout.setEncoding("utf8").on("data", (text) => (written += text));

let next = 0;
for (; next < atWork; next++) write({ e: "start", n: next, a: 1, model: `web-${next}`, out: idOf(next) });
while (!written.includes("200 at work")) await sleep(20);
const before = { cpu: cpuSeconds(), frames: frames(), at: performance.now() };
// Every 5 ms a step ends and another starts; those at work say something. In the second half nothing but time passes.
while (next < steps) {
  const ended = next - atWork;
  write({
    e: "end",
    n: ended,
    s: ended % 40 === 0 ? "failed" : "succeeded",
    ...(ended % 40 === 0 ? { error: "no route" } : {}),
  });
  write({ e: "start", n: next, a: 1, model: `web-${next}`, out: idOf(next) });
  const time = new Date().toISOString();
  appendFileSync(
    `${stem}.log`,
    `${time.slice(0, 10)} ${time.slice(11, 23)} +00:00 [INF] workflow·run·bench·all·step-${next}: working on it\n`,
  );
  next++;
  await sleep(5);
}
while (performance.now() - before.at < seconds * 1000) await sleep(50);
const took = (performance.now() - before.at) / 1000;
const result = {
  name: "live view, 1,000 steps",
  cpuShare: (cpuSeconds() - before.cpu) / took,
  framesPerSecond: (frames() - before.frames) / took,
  bytesPerSecond: Math.round(written.length / took),
  reach: `<= ${reach.share * 100} % of a core, >= ${reach.frames} frames a second`,
  load: loadavg()[0],
};
result.ok = result.cpuShare <= reach.share && result.framesPerSecond >= reach.frames;
write({ e: "done", s: "failed" });
await new Promise((resolve) => terminal.once("close", resolve));
rmSync(scratch, { recursive: true, force: true });
mkdirSync(join(root, "bench/results"), { recursive: true });
writeFileSync(join(root, "bench/results/live-view.json"), `${JSON.stringify(result, undefined, 2)}\n`);
if (process.argv.includes("--json")) console.log(JSON.stringify(result, undefined, 2));
else
  console.log(
    `${result.name}: ${(result.cpuShare * 100).toFixed(1)} % of a core, ${result.framesPerSecond.toFixed(1)} frames a second (reach: ${result.reach}) ${result.ok ? "ok" : "MISSED"}`,
  );
process.exitCode = result.ok ? 0 : 1;

function frames() {
  return written.split("\u001B[?2026h").length - 1;
}

/** Of the program that watches: the only child of script(1). */
function cpuSeconds() {
  const [pid] = readFileSync(`/proc/${terminal.pid}/task/${terminal.pid}/children`, "utf8").trim().split(" ");
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** As a run does it: the file is locked as long as we live. */
function own(path) {
  const require = createRequire(import.meta.url);
  mkdirSync(dirname(path), { recursive: true });
  const fd = openSync(path, "wx+");
  require("fs-native-extensions").tryLock(fd, 0, 0, { exclusive: true });
}
