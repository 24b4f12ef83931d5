/** A run of a workflow as a person sees it on a terminal while it goes on. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { program, type Scratch, scratchRepo, until } from "../support/cli.ts";
import { Terminal } from "../support/terminal.ts";

const id = "f0000000-0000-4000-a000-000000000001";
const size = { columns: 80, rows: 12 };
const colors = new RegExp(`${String.fromCodePoint(27)}\\[\\d+m`);

let repo: Scratch;
/** Models that are there. */
let made: Set<string>;
beforeEach(async () => {
  repo = await scratchRepo();
  made = new Set();
});
afterEach(() => repo.remove());

const untilThere = (file: string): string => `until [ -e ${file} ]; do sleep 0.02; done`;

/** A workflow whose jobs call models of the names of their steps. */
function workflow(jobs: Readonly<Record<string, Readonly<Record<string, string>>>>, more: object = {}): void {
  const written = Object.entries(jobs).map(([name, steps], index, all) => ({
    name,
    ...(index === 0 ? {} : { dependsOn: [{ job: all[index - 1]?.[0], condition: { type: "always" } }] }),
    steps: Object.entries(steps).map(([step, run]) => {
      if (!made.has(step)) repo.model(step, run);
      made.add(step);
      return { name: step, task: { type: "model_method", modelIdOrName: step, methodName: "execute" } };
    }),
  }));
  repo.write(`workflows/workflow-${id}.yaml`, JSON.stringify({ id, name: "fleet", jobs: written, ...more }));
}

function run(
  words = "workflow run fleet --concurrency 40",
  options: { rows?: number; env?: Record<string, string> } = {},
) {
  const { rows = size.rows, env = {} } = options;
  return new Terminal(`${process.execPath} ${program} ${words}`, { cwd: repo.path, ...size, rows, env });
}

const many = (count: number, script: string): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`web-${String(index).padStart(2, "0")}`, script]));

test("forty steps at once in a low window: counts, a bar, some of them, never more than the window; at the end a summary stays", async () => {
  const failing = "for word in one two three four; do echo $word; done; exit 3";
  workflow({
    patch: { ...many(40, `echo patching; ${untilThere("go")}`), broken: failing },
    report: { report: "true" },
  });
  const terminal = run();
  await terminal.shows("40 at work, 1 to come, 1 failed");
  await terminal.shows("four");
  const seen = terminal.window.visible();
  expect(seen[0]).toMatch(/^fleet {2}[█░]+ 1\/42 {2}2 % {2}\d+\.\d s$|^fleet {2}[█░]+ 1\/42 {2}2 % {2}\d+ ms$/);
  expect(seen.filter((line) => line.startsWith("● patch/web-")).length).toBeGreaterThanOrEqual(2);
  expect(seen.some((line) => /^ {2}… \d+ more at work$/.test(line))).toBe(true);
  expect(seen.find((line) => line.startsWith("✘ "))).toContain("patch/broken");
  expect(seen.some((line) => line.includes("✘ patch/broken"))).toBe(true);
  expect(seen.some((line) => line.trim() === "four")).toBe(true);
  expect(terminal.window.cursorShown).toBe(false);
  repo.write("go", "");
  expect(await terminal.done).toBe(1);
  const left = terminal.window.text().trim().split("\n");
  expect(left[0]).toMatch(/^failed fleet in .*: 41 succeeded, 1 failed$/);
  expect(left[1]).toMatch(/^ {2}failed patch\/broken: /);
  expect(left.join("\n")).not.toContain("at work");
  expect(terminal.window.wrapped).toEqual([]);
  expect(terminal.window.lostTop).toBe(false);
  expect(terminal.window.cursorShown).toBe(true);
});

test("who waits for which lock, and who has it: before the run, and step by step", async () => {
  workflow({ all: { one: "true", two: untilThere("go") } }, { lock: "step" });
  const holder = repo.start("model", "method", "run", "two", "execute");
  await until(
    async () => (await repo.fen("datastore", "lock", "status", "--json")).json().models.length === 1,
    () => "a lock that is held",
  );
  const byStep = run("workflow run fleet");
  await byStep.shows("◌ all/two  waits for the lock on two, held by ");
  await byStep.shows("1 waiting for a lock, 1 succeeded");
  workflow({ all: { one: "true", two: untilThere("go") } }, { lock: "run" });
  const byRun = run("workflow run fleet");
  await byRun.shows("waiting for the lock on two");
  expect(byRun.window.text()).toContain(`pid ${holder.child.pid}`);
  repo.write("go", "");
  expect([(await holder.done).exitCode, await byStep.done, await byRun.done]).toEqual([0, 0, 0]);
  expect(byRun.window.text()).toContain("succeeded fleet in ");
  expect(byRun.window.text()).not.toContain("waiting for");
});

test("a window that is made smaller is kept to", async () => {
  workflow({ patch: many(30, untilThere("go")) });
  const terminal = run(undefined, { rows: 40 });
  await terminal.shows("30 at work");
  await terminal.shows("web-29");
  terminal.resize(50, 8);
  await until(
    () => terminal.window.visible().some((line) => line.endsWith("more at work")),
    () => terminal.window.text(),
  );
  const frames = terminal.raw.length;
  await until(
    () => terminal.raw.length > frames,
    () => "another frame",
  );
  expect(terminal.window.visible()[0]).toMatch(/^fleet /);
  expect(terminal.window.visible().every((line) => line.length < 50)).toBe(true);
  repo.write("go", "");
  expect(await terminal.done).toBe(0);
  expect(terminal.window.text()).toContain("succeeded fleet in ");
});

test("Ctrl-C ends it, and gives the cursor back", async () => {
  workflow({ patch: many(3, untilThere("never")) });
  const terminal = run();
  await terminal.shows("3 at work");
  terminal.type("\u0003");
  expect(await terminal.done).toBe(130);
  expect(terminal.window.cursorShown).toBe(true);
  expect(terminal.window.text()).not.toContain("at work");
});

test("colours are left out where they aren't wanted; --quiet shows nothing; what a step prints gives no orders to the terminal", async () => {
  const nasty = `printf '\\033[2J\\033[31mred\\a\\n'; ${untilThere("go")}`;
  workflow({ patch: { nasty } });
  const colored = run();
  await colored.shows("red");
  expect(colored.raw).toMatch(colors);
  expect(colored.raw).not.toContain("\u001B[2J");
  expect(colored.raw).not.toContain("\u0007");
  repo.write("go", "");
  expect(await colored.done).toBe(0);
  const plain = run(undefined, { env: { NO_COLOR: "1" } });
  expect(await plain.done).toBe(0);
  expect(plain.raw).not.toMatch(colors);
  const quiet = run("workflow run fleet --quiet");
  expect(await quiet.done).toBe(0);
  expect(quiet.raw).toBe("");
});

test("not on a terminal each start and end is a line, with the last words of what failed; --verbose gives all of them", async () => {
  workflow({ patch: { good: "echo fine", bad: "for n in 1 2 3 4 5; do echo said $n; done; exit 3" } });
  const done = await repo.fen("workflow", "run", "fleet");
  expect(done.exitCode).toBe(1);
  expect(done.stdout).toBe("");
  expect(done.stderr).not.toContain("\u001B");
  expect(done.stderr).toMatch(/^ +\d\.\d s {2}starts {5}patch\/good$/m);
  expect(done.stderr).toMatch(/^ +\d\.\d s {2}succeeded {2}patch\/good \d+ ms$/m);
  expect(done.stderr).toMatch(
    /^ +\d\.\d s {2}failed {5}patch\/bad \d+ ms: .*code 3.*\n {12}\| said 3\n {12}\| said 4\n {12}\| said 5$/m,
  );
  const verbose = await repo.fen("workflow", "run", "fleet", "--verbose");
  expect(verbose.stderr).toContain("patch/good | fine");
  expect(verbose.stderr).toContain("patch/bad | said 1");
});

test("followed from another terminal, a run shows what its own shows", async () => {
  workflow({ patch: { ...many(20, untilThere("go")), broken: "echo last words; exit 3" } });
  const own = run();
  await own.shows("20 at work");
  await own.shows("1 failed");
  const other = run("workflow history watch fleet");
  await other.shows("20 at work, 1 failed");
  await other.shows("last words");
  repo.write("go", "");
  expect([await own.done, await other.done]).toEqual([1, 1]);
  expect(other.window.text()).toContain("failed fleet in ");
  expect(other.window.lostTop).toBe(false);
});

test("a run that is taken up again shows what it had done, and tells as lines only what it does now", async () => {
  workflow({ patch: { done: "true", slow: untilThere("go") } });
  const first = repo.start("workflow", "run", "fleet");
  await first.says("succeeded  patch/done ");
  await first.says("starts     patch/slow");
  first.kill("SIGTERM");
  await first.done;
  const terminal = run(`workflow resume ${await idOfRun()}`);
  await terminal.shows("1 at work, 1 succeeded");
  terminal.type("\u0003");
  expect(await terminal.done).toBe(130);
  repo.write("go", "");
  const { stderr, exitCode } = await repo.fen("workflow", "resume", await idOfRun());
  expect(exitCode).toBe(0);
  expect(stderr).toMatch(/^ +0\.\d s {2}resumed {4}by /m);
  expect(stderr).toMatch(/succeeded {2}patch\/slow/);
  expect(stderr).not.toContain("patch/done");
});

async function idOfRun(): Promise<string> {
  return (await repo.fen("workflow", "history", "search", "--json")).json().results[0].runId;
}
