// Runs everything that a change can break, stage by stage, and sums it up in one last line. --quick leaves out what is slow.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const quick = process.argv.includes("--quick");
const bin = (name) => join(root, "node_modules/.bin", name);
const scratch = mkdtempSync(join(tmpdir(), "fen-test-"));
/** What hasn't changed since the last quick run needn't be checked again. */
const checked = join(root, "node_modules/.cache/fen-quick/types");
const totals = { passed: 0, failed: 0 };
const summary = [];

const ended = (child) => new Promise((resolve) => child.once("error", () => resolve(1)).once("close", resolve));

/** What it says is shown when it has ended: others may run beside it. */
const tool = (name, command, ...args) => ({
  names: [name],
  run: async () => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    const said = [];
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => said.push(chunk));
    const status = await ended(child);
    console.log(`\n=== ${name}\n${Buffer.concat(said).toString().trim()}`);
    return { [name]: [status === 0 ? 1 : 0, 1] };
  },
});

/** Projects of vitest.config.ts in one run of it: none waits for the last file of another. */
const vitest = (names, { workers = 2 } = {}) => ({
  names,
  run: async () => {
    console.log(`\n=== ${names.join(", ")}`);
    const report = join(scratch, `${names[0]}.json`);
    // Tests beside the source are one project, or two: those that need modules of their own.
    const projects = names.flatMap((name) => (name === "unit" ? ["unit", "mocked"] : [name]));
    const chosen = projects.flatMap((project) => ["--project", project]);
    const reporters = ["--reporter", "default", "--reporter", "json", "--outputFile.json", report];
    // One planted bug in eight, other ones each day; `npm run mutants` plants all of them.
    const env = { ...process.env, FEN_MUTANTS: "share", FEN_QUICK: quick ? "1" : "" };
    const args = ["run", ...chosen, "--maxWorkers", String(workers), ...reporters];
    const status = await ended(spawn(bin("vitest"), args, { cwd: root, stdio: "inherit", env }));
    if (!existsSync(report)) return { [names[0]]: [0, 1] };
    return counts(names, JSON.parse(readFileSync(report, "utf8")), status);
  },
});

/** Of each how many tests passed, and how many there are. */
function counts(names, { testResults, numPassedTests, numTotalTests, numPendingTests, numTodoTests }, status) {
  const found = Object.fromEntries(names.map((name) => [name, [0, 0]]));
  const leftOut = numPendingTests + numTodoTests;
  if (leftOut > 0) console.log(`${leftOut} tests were left out`);
  for (const { name: path, assertionResults } of testResults) {
    const [folder, name] = relative(root, path).split(sep);
    const own = found[folder === "test" ? name : "unit"];
    for (const { status: one } of assertionResults) {
      if (one === "passed") own[0]++;
      // A test that was left out is not a test that passed, but where that was asked for.
      if (one === "passed" || one === "failed" || !quick) own[1]++;
    }
  }
  for (const own of Object.values(found)) if (own[1] === 0) own[1] = 1;
  // A run that failed elsewhere counts as one more failure.
  const failed = Object.values(found).reduce((sum, [passed, all]) => sum + all - passed, 0);
  const untold = numTotalTests - numPassedTests - (quick ? leftOut : 0) - failed;
  if (untold > 0 || (status !== 0 && failed === 0)) found[names[0]][1] += Math.max(untold, 1);
  return found;
}

/** Those of one list run side by side. */
const stages = [
  ...(quick ? [] : [[tool("set-up", "sh", "scripts/setup-tests.sh")]]),
  [tool("build", process.execPath, "scripts/build.mjs")],
  [
    tool("types", bin("tsc"), "-p", ".", ...(quick ? ["--incremental", "--tsBuildInfoFile", checked] : [])),
    tool("lint", bin("oxlint"), "--quiet"),
    tool("format", bin("oxfmt"), "--check", "."),
    ...(quick ? [] : [tool("unused", bin("knip"), "--no-progress", "--no-config-hints")]),
    ...(quick ? [vitest(["house", "unit"])] : []),
  ],
  ...(quick
    ? []
    : [
        [vitest(["house", "unit"])],
        [vitest(["conformance"])],
        [vitest(["simulation", "mutants"])],
        // These wait for processes, locks and a server: two would leave a third of two cores idle.
        [vitest(["e2e", "s3"], { workers: 3 })],
        [vitest(["torture"])],
        [vitest(["alone"])],
      ]),
];

async function runStage({ names, run }) {
  const start = performance.now();
  const found = await run();
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  for (const [name, [passed, all]] of Object.entries(found)) {
    totals.passed += passed;
    totals.failed += all - passed;
    const time =
      names.length === 1 ? `${seconds} s` : `${seconds} s with ${names.filter((one) => one !== name).join(", ")}`;
    summary.push(`${name.padEnd(12)} ${String(passed).padStart(4)} of ${String(all).padStart(4)}   ${time}`);
  }
}

for (const sideBySide of stages) await Promise.all(sideBySide.map(runStage));
rmSync(scratch, { recursive: true, force: true });
console.log(`\n${summary.join("\n")}\n\n${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed === 0 ? 0 : 1;
