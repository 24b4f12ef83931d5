// Runs everything that a change can break, stage by stage, and sums it up in one last line. --quick leaves out what is slow.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const quick = process.argv.includes("--quick");
const bin = (name) => join(root, "node_modules/.bin", name);
const scratch = mkdtempSync(join(tmpdir(), "fen-test-"));
const totals = { passed: 0, failed: 0 };

const tool = (name, command, ...args) => ({
  name,
  run: () => [spawnSync(command, args, { cwd: root, stdio: "inherit" }).status === 0 ? 1 : 0, 1],
});
const vitest = (project) => ({
  name: project,
  run: () => {
    const report = join(scratch, `${project}.json`);
    const done = spawnSync(
      bin("vitest"),
      ["run", "--project", project, "--reporter", "default", "--reporter", "json", "--outputFile.json", report],
      // One planted bug in six, other ones each day; `npm run mutants` plants all of them.
      { cwd: root, stdio: "inherit", env: { ...process.env, FEN_MUTANTS: "share", FEN_QUICK: quick ? "1" : "" } },
    );
    if (!existsSync(report)) return [0, 1];
    const { numPassedTests, numTotalTests, numPendingTests, numTodoTests } = JSON.parse(readFileSync(report, "utf8"));
    const leftOut = numPendingTests + numTodoTests;
    if (leftOut > 0) console.log(`${leftOut} tests were left out`);
    // A test that was left out is not a test that passed, but where that was asked for; a run that failed elsewhere counts as one more failure.
    const failed = numTotalTests - numPassedTests - (quick ? leftOut : 0);
    return [numPassedTests, numPassedTests + failed + (done.status !== 0 && failed === 0 ? 1 : 0)];
  },
});

const stages = [
  ...(quick ? [] : [tool("set-up", "sh", "scripts/setup-tests.sh")]),
  tool("build", process.execPath, "scripts/build.mjs"),
  tool("types", bin("tsc"), "-p", "."),
  tool("lint", bin("oxlint"), "--quiet"),
  tool("format", bin("oxfmt"), "--check", "."),
  ...(quick ? [] : [tool("unused", bin("knip"), "--no-progress", "--no-config-hints")]),
  vitest("house"),
  vitest("unit"),
  vitest("mocked"),
  ...(quick
    ? []
    : [vitest("conformance"), vitest("simulation"), vitest("mutants"), vitest("e2e"), vitest("s3"), vitest("torture")]),
];

const summary = [];
for (const { name, run } of stages) {
  console.log(`\n=== ${name}`);
  const start = performance.now();
  const [passed, all] = run();
  totals.passed += passed;
  totals.failed += all - passed;
  summary.push(
    `${name.padEnd(12)} ${String(passed).padStart(4)} of ${String(all).padStart(4)}   ${((performance.now() - start) / 1000).toFixed(1)} s`,
  );
}
rmSync(scratch, { recursive: true, force: true });
console.log(`\n${summary.join("\n")}\n\n${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed === 0 ? 0 : 1;
