/** Methods that run fen themselves: they work within the locks of their callers, or are told at once that they would wait for them. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { program, runFen, type Scratch, scratchRepo, until } from "../support/cli.ts";

const fen = `${process.execPath} ${program}`;
let repo: Scratch;
beforeEach(async () => {
  repo = await scratchRepo();
});
afterEach(() => repo.remove());

const read = (file: string) => readFileSync(join(repo.path, file), "utf8");
const appears = (file: string) =>
  until(
    () => existsSync(join(repo.path, file)),
    () => file,
  );
const waitingCount = async () => (await repo.fen("datastore", "lock", "status", "--json")).json().waiting.length;
const errorIn = (file: string) => JSON.parse(read(file)).error;

describe("lock-34: a command within another", () => {
  test("the same model: it works under its caller's lock, and both leave their data", async () => {
    repo.model(
      "same",
      `[ -n "$INNER" ] || INNER=1 ${fen} model method run same execute --json > inner.json; echo done`,
    );
    expect((await repo.fen("model", "method", "run", "same", "execute")).exitCode).toBe(0);
    expect(JSON.parse(read("inner.json"))).toMatchObject({ status: "succeeded", data: { version: 1 } });
    expect((await repo.fen("data", "versions", "same", "result", "--json")).json().total).toBe(2);
    expect((await repo.fen("datastore", "lock", "status", "--json")).json()).toMatchObject({ models: [], waiting: [] });
  });

  test("two children on their caller's model take turns", async () => {
    const inner = `${fen} model method run shared execute --json`;
    repo.model(
      "shared",
      `if [ -n "$INNER" ]; then echo in >> order; sleep 0.3; echo out >> order; else export INNER=1; ${inner} & ${inner} & wait; fi`,
    );
    expect((await repo.fen("model", "method", "run", "shared", "execute")).exitCode).toBe(0);
    expect(read("order")).toBe("in\nout\nin\nout\n");
    expect((await repo.fen("data", "versions", "shared", "result", "--json")).json().total).toBe(3);
  });

  test("another model, two levels deep", async () => {
    repo.model("top", `${fen} model method run middle execute`);
    repo.model("middle", `${fen} model method run bottom execute`);
    repo.model("bottom", "echo reached the bottom");
    const run = await repo.fen("model", "method", "run", "top", "execute");
    expect(run).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("reached the bottom") });
  });

  test("a method that runs itself without an end is stopped, and so are those who called it", async () => {
    repo.model("self", `echo in >> levels; ${fen} model method run self execute --json 2>> errors`);
    const run = await repo.fen("model", "method", "run", "self", "execute");
    expect(run.exitCode).toBe(1);
    expect(read("levels")).toBe("in\n".repeat(16));
    const refusal = /"code": "definition_invalid",\n\s*"message": "Methods call fen 16 deep/;
    expect(read("errors")).toMatch(refusal);
    expect(run.stderr).toContain("error: ");
  });

  test("the whole datastore: refused at once, with a code of its own", async () => {
    repo.model("cleaner", `${fen} data gc --force --json 2> gc.json; echo $? > gc.code`);
    const start = Date.now();
    expect((await repo.fen("model", "method", "run", "cleaner", "execute")).exitCode).toBe(0);
    expect(Date.now() - start).toBeLessThan(10_000);
    expect(read("gc.code").trim()).toBe("75");
    expect(errorIn("gc.json")).toMatchObject({ code: "lock_would_deadlock", resource: "datastore" });
  });

  test("the same model two levels deep through another model works under the lock of its grandparent", async () => {
    repo.model("circle", `[ -n "$INNER" ] && echo inside || INNER=1 ${fen} model method run between execute`);
    repo.model("between", `${fen} model method run circle execute`);
    const run = await repo.fen("model", "method", "run", "circle", "execute");
    expect(run).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("inside") });
  });

  test("another model while a structural command waits for the caller", async () => {
    repo.model("caller", `touch begun; while [ ! -e go ]; do sleep 0.05; done; ${fen} model method run callee execute`);
    repo.model("callee", "echo called");
    const caller = repo.start("model", "method", "run", "caller", "execute");
    await appears("begun");
    const gc = repo.start("data", "gc", "--force");
    await until(
      async () => (await waitingCount()) === 1,
      () => "gc in the queue",
    );
    repo.write("go", "");
    expect(await caller.done).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("called") });
    expect((await gc.done).exitCode).toBe(0);
  });

  test("a child that lost the descriptor is told at once that it would wait for its caller", async () => {
    repo.model(
      "cut",
      `[ -n "$INNER" ] || INNER=1 ${fen} model method run cut execute --json 2> inner.json 3>&- 4>&-; echo $? > inner.code`,
    );
    const start = Date.now();
    await repo.fen("model", "method", "run", "cut", "execute");
    expect(Date.now() - start).toBeLessThan(10_000);
    expect(read("inner.code").trim()).toBe("75");
    expect(errorIn("inner.json")).toMatchObject({ code: "lock_would_deadlock" });
  });

  test("a copied environment variable gives nothing: its bearer waits like everybody", async () => {
    repo.model("owner", `printenv FEN_HELD_LOCKS > held; mv held held.json; while [ ! -e go ]; do sleep 0.05; done`);
    const owner = repo.start("model", "method", "run", "owner", "execute");
    await appears("held.json");
    const args = ["model", "method", "run", "owner", "execute", "--lock-timeout", "500ms", "--json"];
    const thief = await runFen(args, { cwd: repo.path, env: { FEN_HELD_LOCKS: read("held.json") } });
    expect(thief.exitCode).toBe(75);
    expect(thief.error()).toMatchObject({ code: "lock_timeout", holder: { pid: owner.child.pid } });
    repo.write("go", "");
    expect((await owner.done).exitCode).toBe(0);
  });

  test("what a method leaves in the background takes the lock anew once its caller is done", async () => {
    repo.model(
      "leaver",
      `[ -n "$INNER" ] && echo late || (INNER=1; export INNER; exec >/dev/null 2>&1; while [ ! -e go ]; do sleep 0.05; done; ${fen} model method run leaver execute --json > late.json) &`,
    );
    expect((await repo.fen("model", "method", "run", "leaver", "execute")).exitCode).toBe(0);
    repo.write("go", "");
    await until(
      async () => (await repo.fen("data", "versions", "leaver", "result", "--json")).json().total === 2,
      () => "the late run",
    );
    expect((await repo.fen("datastore", "lock", "status", "--json")).json().models).toEqual([]);
  });

  test("what a killed caller started is told that its own lock is in its way", async () => {
    repo.model(
      "killed",
      `[ -n "$INNER" ] && exit; echo $$ > begun; while [ ! -e go ]; do sleep 0.05; done; INNER=1 ${fen} model method run killed execute --json 2> inner.json; mv inner.json told.json`,
    );
    const caller = repo.start("model", "method", "run", "killed", "execute");
    await appears("begun");
    caller.kill("SIGKILL");
    await caller.done;
    repo.write("go", "");
    await appears("told.json");
    expect(errorIn("told.json")).toMatchObject({ code: "lock_would_deadlock" });
    await until(
      async () =>
        (await repo.fen("datastore", "lock", "status", "--json"))
          .json()
          .models.every((lock: { state: string }) => lock.state !== "orphaned"),
      () => "the end of the orphan",
    );
  });
});

describe("lock-35: commands that wait for each other in a circle", () => {
  test("one of the two gives way with lock_wait_cycle, the other goes on", async () => {
    const cross = (own: string, other: string) =>
      `touch ${own}.begun; while [ ! -e go ]; do sleep 0.02; done; ${fen} model method run ${other} inner --json 2> ${own}.err`;
    const two = (run: string) => ({ methods: { execute: { arguments: { run } } } });
    repo.model(
      "left",
      "",
      two(`[ -n "$INNER" ] && exit; export INNER=1; ${cross("left", "right").replace(" inner ", " execute ")}`),
    );
    repo.model(
      "right",
      "",
      two(`[ -n "$INNER" ] && exit; export INNER=1; ${cross("right", "left").replace(" inner ", " execute ")}`),
    );
    const start = () => ["left", "right"].map((name) => repo.start("model", "method", "run", name, "execute"));
    const runs = start();
    await Promise.all([appears("left.begun"), appears("right.begun")]);
    repo.write("go", "");
    const before = Date.now();
    const codes = (await Promise.all(runs.map((run) => run.done))).map((run) => run.exitCode).sort();
    expect(Date.now() - before).toBeLessThan(8000);
    expect(codes).toEqual([0, 1]);
    const told = ["left.err", "right.err"].map(read).filter((text) => text.includes('"error"'));
    expect(told).toHaveLength(1);
    expect(told[0]).toContain("lock_wait_cycle");
  });
});
