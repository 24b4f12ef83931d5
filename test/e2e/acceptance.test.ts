/** The main job as a user sees it: two models at once, one model in turn, a crash, a structural command. */
import { mkdtempSync, readdirSync, rmSync, symlinkSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { program, runFen, type Scratch, scratchRepo, startFen, until } from "../support/cli.ts";

const a = "a0000000-0000-4000-a000-000000000001";
const b = "b0000000-0000-4000-b000-000000000002";
const definition = (name: string, id: string, run: string) => `type: "command/shell"
typeVersion: 1
id: "${id}"
name: "${name}"
version: 1
tags: {}
globalArguments: {}
methods:
  execute:
    arguments:
      run: "${run}"
`;

let repo: Scratch;
beforeEach(async () => {
  repo = await scratchRepo();
});
afterEach(() => repo.remove());

const lockFiles = () =>
  readdirSync(join(repo.path, ".swamp"), { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(".lock"))
    .sort();
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe.each([{ called: "fen" }, { called: "swamp" }])("two models at once, called $called", ({ called }) => {
  test("each has its own lock, both end together, nothing is left", async () => {
    const bin = mkdtempSync(join(tmpdir(), "fen-bin-"));
    symlinkSync(program, join(bin, called));
    const options = { cwd: repo.path, as: [join(bin, called)] };
    repo.write("models/command/shell/model-a.yaml", definition("model-a", a, "sleep 5"));
    repo.write("models/command/shell/model-b.yaml", definition("model-b", b, "sleep 5"));
    const start = Date.now();
    const runs = ["model-a", "model-b"].map((name) => startFen(["model", "method", "run", name, "execute"], options));
    await wait(2000);
    expect(lockFiles()).toEqual([`data/command/shell/${a}/.lock`, `data/command/shell/${b}/.lock`]);
    const status = (await runFen(["datastore", "lock", "status", "--json"], options)).json();
    expect(status.datastore).toBeNull();
    expect(status.waiting).toEqual([]);
    expect(status.models.map((lock: { modelName: string }) => lock.modelName).sort()).toEqual(["model-a", "model-b"]);
    const results = await Promise.all(runs.map((run) => run.done));
    expect(results.map((result) => result.exitCode)).toEqual([0, 0]);
    const took = Date.now() - start;
    expect(took).toBeGreaterThan(4900);
    expect(took).toBeLessThan(8000);
    expect(lockFiles()).toEqual([]);
    rmSync(bin, { recursive: true });
  });
});

describe("one model", () => {
  test("lock-19: the second run starts when the first ends, and says for whom it waits", async () => {
    repo.write("models/a.yaml", definition("model-a", a, "echo begin >> order; sleep 1; echo end >> order"));
    const first = repo.start("model", "method", "run", "model-a", "execute");
    await until(
      () => lockFiles().length === 1,
      () => "the first lock",
    );
    const second = repo.start("model", "method", "run", "model-a", "execute");
    await second.says("waiting for the lock on");
    expect(second.stderr).toContain(`pid ${first.child.pid}`);
    expect(second.stderr).toContain("model method run model-a execute");
    expect(second.stderr).toContain("next in line");
    const status = (await repo.fen("datastore", "lock", "status", "--json")).json();
    expect(status.waiting).toMatchObject([{ modelName: "model-a", pid: second.child.pid, place: 1 }]);
    expect((await first.done).exitCode).toBe(0);
    expect((await second.done).exitCode).toBe(0);
    const { readFileSync } = await import("node:fs");
    expect(readFileSync(join(repo.path, "order"), "utf8")).toBe("begin\nend\nbegin\nend\n");
  });

  test("lock-22: a wait that is too long ends with exit 75 and says who was in the way", async () => {
    repo.model("slow", "sleep 3");
    const first = repo.start("model", "method", "run", "slow", "execute");
    await until(
      () => lockFiles().length === 1,
      () => "the first lock",
    );
    const second = await repo.fen("model", "method", "run", "slow", "execute", "--lock-timeout", "300ms", "--json");
    expect(second.exitCode).toBe(75);
    expect(second.stdout).toBe("");
    expect(second.error()).toMatchObject({ code: "lock_timeout", retryable: true, holder: { pid: first.child.pid } });
    first.kill("SIGTERM");
    expect((await first.done).exitCode).toBe(143);
  });

  test("the child of a killed holder keeps the lock, and the waiter names it", async () => {
    repo.model("orphaning", "echo $$ > child.pid; sleep 60");
    const first = repo.start("model", "method", "run", "orphaning", "execute");
    await until(
      () => existsSync(join(repo.path, "child.pid")),
      () => "the child",
    );
    first.kill("SIGKILL");
    await first.done;
    const { readFileSync } = await import("node:fs");
    const child = Number(readFileSync(join(repo.path, "child.pid"), "utf8"));
    const second = repo.start("model", "method", "run", "orphaning", "execute");
    await second.says(`pid ${child}`);
    const status = (await repo.fen("datastore", "lock", "status", "--json")).json();
    expect(status.models).toMatchObject([{ modelName: "orphaning", state: "orphaned" }]);
    process.kill(-child, "SIGKILL");
    await until(
      () => readFileSync(join(repo.path, "child.pid"), "utf8").trim() !== String(child),
      () => "the next run",
    );
    second.kill("SIGTERM");
    expect((await second.done).exitCode).toBe(143);
    expect(lockFiles()).toEqual([]);
  });
});

describe("the whole datastore", () => {
  test("lock-32: gc waits for a run, and a run that comes meanwhile waits for gc", async () => {
    repo.model("runner", "sleep 2; date +%s%N > runner.end");
    repo.model("later", "date +%s%N > later.start");
    const run = repo.start("model", "method", "run", "runner", "execute");
    await until(
      () => lockFiles().length === 1,
      () => "the lock",
    );
    const gc = repo.start("data", "gc", "--force");
    await gc.says("waiting for the lock on datastore");
    const later = repo.start("model", "method", "run", "later", "execute");
    await later.says("a command on the whole datastore comes first");
    expect(later.stderr).toContain("data gc");
    expect((await Promise.all([run.done, gc.done, later.done])).map((result) => result.exitCode)).toEqual([0, 0, 0]);
    const { readFileSync } = await import("node:fs");
    expect(Number(readFileSync(join(repo.path, "later.start"), "utf8"))).toBeGreaterThan(
      Number(readFileSync(join(repo.path, "runner.end"), "utf8")),
    );
    expect(lockFiles()).toEqual([]);
  });
});

describe("break-glass", () => {
  test("lock-9, lock-61: a revoked holder stops, commits nothing, and says where its output is kept", async () => {
    repo.model("stuck", "echo produced; sleep 60");
    const holder = repo.start("model", "method", "run", "stuck", "execute", "--json");
    await until(
      () => lockFiles().length === 1,
      () => "the lock",
    );
    const refused = await repo.fen("datastore", "lock", "release", "--force", "--model", "stuck", "--json");
    expect(refused.exitCode).toBe(75);
    expect(refused.error()).toMatchObject({ code: "lock_holder_alive" });
    const { nonce } = refused.error().holder;
    const released = await repo.fen(
      "datastore",
      "lock",
      "release",
      "--force",
      "--model",
      "stuck",
      "--nonce",
      nonce,
      "--json",
    );
    expect(released.json()).toMatchObject({ released: true, previousHolder: { pid: holder.child.pid } });
    const result = await holder.done;
    expect(result.exitCode).toBe(75);
    expect(result.error()).toMatchObject({ code: "lock_lost", keptAside: expect.stringContaining("aside") });
    expect((await repo.fen("data", "list", "stuck", "--json")).json().total).toBe(0);
    expect((await repo.fen("datastore", "lock", "release", "--force", "--model", "stuck")).exitCode).toBe(1);
  });
});

describe("many at once", () => {
  test("lock-46: 40 parallel runs of one model leave 40 records and 40 versions, in one line of versions", async () => {
    repo.model("busy", "true");
    const runs = await Promise.all(
      Array.from({ length: 40 }, () => repo.fen("model", "method", "run", "busy", "execute", "--json")),
    );
    expect(runs.map((run) => run.exitCode)).toEqual(runs.map(() => 0));
    expect(runs.map((run) => run.json().data.version).sort((x, y) => x - y)).toEqual(
      Array.from({ length: 40 }, (_, index) => index + 1),
    );
    const history = (await repo.fen("model", "output", "search", "--limit", "100", "--json")).json();
    expect(history.results).toHaveLength(40);
  });

  test("lock-38: of 8 parallel creates of one name exactly one succeeds", async () => {
    const made = await Promise.all(
      Array.from({ length: 8 }, () => repo.fen("model", "create", "command/shell", "same", "--json")),
    );
    expect(made.filter((one) => one.exitCode === 0)).toHaveLength(1);
    for (const one of made.filter((result) => result.exitCode !== 0)) expect(one.error().code).toBe("model_exists");
    expect((await repo.fen("model", "search", "--json")).json().results).toHaveLength(1);
  });
});
