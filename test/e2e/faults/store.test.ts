/** A datastore that may not be written, holds the wrong things, or goes away. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { program, type Result, runFen, type Scratch, scratchRepo, startFen, until } from "../../support/cli.ts";
import { execute, expectClean, expectRefusal, expectWholeData, tree } from "./attack.ts";

let repo: Scratch;
let id: string;
beforeEach(async () => {
  repo = await scratchRepo();
  id = repo.model("web", "touch ran; echo fine");
});
afterEach(() => repo.remove());

const spoilId = "2d4b7c1a-0e6f-4a3b-8c5d-9f1e2a3b4c5d";
const store = (): string => join(repo.path, ".swamp");
const ran = (): boolean => existsSync(join(repo.path, "ran"));
const asNobody = (args: readonly string[], input = ""): Promise<Result> =>
  runFen(args, {
    cwd: repo.path,
    input,
    as: ["setpriv", "--reuid=65534", "--clear-groups", process.execPath, program],
  });
const limited = (files: number, args: readonly string[]): Promise<Result> =>
  runFen(args, {
    cwd: repo.path,
    as: ["/usr/bin/env", "sh", "-c", `ulimit -n ${files}; exec "$@"`, "sh", process.execPath, program],
  });

describe("a repository of somebody else", () => {
  test("can be read; whatever writes is refused before anything runs", async () => {
    expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
    rmSync(join(repo.path, "ran"));
    chmodSync(repo.path, 0o755);
    const before = tree(repo.path);
    for (const args of [
      ["model", "get", "web"],
      ["model", "search"],
      ["data", "list", "web"],
      ["data", "get", "web", "result"],
      ["model", "output", "search"],
      ["datastore", "lock", "status"],
      ["data", "gc", "--dry-run"],
    ]) {
      const result = await asNobody([...args, "--json"]);
      expect(result.exitCode, result.stderr).toBe(0);
    }
    const text = readFileSync(join(repo.path, `models/command/shell/${id}.yaml`), "utf8");
    for (const args of [
      execute("web"),
      ["model", "create", "command/shell", "fresh"],
      ["data", "gc", "--force"],
      ["data", "rename", "web", "log", "journal"],
      ["data", "delete", "web", "log", "--force"],
      ["model", "delete", "web", "--force"],
      ["init"],
    ])
      if (args[0] !== "init") expectRefusal(await asNobody([...args, "--json"]), "not_writable", 69);
    expectRefusal(
      await asNobody(["model", "edit", "web", "--json"], text.replace("fine", "better")),
      "not_writable",
      69,
    );
    expect(ran()).toBe(false);
    expect(tree(repo.path)).toEqual(before);
    expectWholeData(store(), id);
  });

  test("on a read-only mount the same", async () => {
    expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
    rmSync(join(repo.path, "ran"));
    const readOnly = (...args: string[]) =>
      runFen(args, {
        cwd: "/",
        as: [
          "unshare",
          "--mount",
          "--propagation",
          "private",
          "sh",
          "-c",
          `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$0" && exec "$@"`,
          repo.path,
          process.execPath,
          program,
        ],
      });
    expect((await readOnly("data", "get", "web", "result", "--json")).json().content.stdout).toBe("fine");
    for (const args of [
      execute("web"),
      ["model", "create", "command/shell", "fresh"],
      ["data", "gc", "--force"],
      ["init"],
    ])
      if (args[0] !== "init") expectRefusal(await readOnly(...args, "--json"), "not_writable", 69);
    expect(ran()).toBe(false);
    expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
    expectClean(store());
  });

  test("one user's commands don't stop another's: both may write", async () => {
    chmodSync(repo.path, 0o777);
    expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
    for (const path of ["", ...tree(repo.path)]) lchownSync(join(repo.path, path), 65534, 0);
    expect((await asNobody(execute("web"))).exitCode).toBe(0);
    expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
    chownSync(repo.path, 0, 0);
  });
});

describe("a file where a folder should be", () => {
  test.each([
    ".swamp",
    ".swamp/data",
    ".swamp/outputs",
    ".swamp/.fen",
    ".swamp/.fen/queue",
    ".swamp/.fen/staging",
    ".swamp/data/command",
  ])("%s: refused, named, nothing runs; once it is gone all is well", async (path) => {
    rmSync(join(repo.path, path), { recursive: true, force: true });
    mkdirSync(join(repo.path, path, ".."), { recursive: true });
    writeFileSync(join(repo.path, path), "in the way");
    const error = expectRefusal(await repo.fen(...execute("web"), "--json"), "store_unavailable", 69);
    expect(error.message).toContain(path);
    expect(ran()).toBe(path === ".swamp/.fen/staging" ? ran() : false);
    expect(readFileSync(join(repo.path, path), "utf8")).toBe("in the way");
    rmSync(join(repo.path, path));
    expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
    expectClean(store());
    expectWholeData(store(), id);
  });

  test.each([".fen/locks", `data/command/shell/<id>/.lock`])(
    "and a folder where a file should be, %s",
    async (name) => {
      const path = join(store(), name.replace("<id>", id));
      mkdirSync(path, { recursive: true });
      const result = await repo.fen(...execute("web"), "--json", "--lock-timeout", "200ms");
      expectRefusal(
        result,
        ["store_unavailable", "lock_timeout", "locks_unsupported"],
        result.exitCode === 75 ? 75 : 69,
      );
      expect(ran()).toBe(false);
      rmSync(path, { recursive: true });
      expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
    },
  );
});

describe("too few open files", () => {
  test("at any limit: done, or refused with a word about the limit", async () => {
    const outcomes = new Set<number>();
    expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
    for (const files of [20, 21, 22, 23, 24, 26, 28, 30, 34, 40]) {
      const result = await limited(files, [...execute("web"), "--json"]);
      outcomes.add(result.exitCode);
      if (result.exitCode === 0) continue;
      if (result.exitCode === 1) {
        expect(result.json().error.message).toContain("ulimit");
        continue;
      }
      const { code, message, hint } = result.error();
      expect(["store_unavailable", "locks_unsupported"], message).toContain(code);
      expect(hint).toContain("ulimit");
    }
    expect(outcomes).toContain(0);
    expect(outcomes.size).toBeGreaterThan(1);
    expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
    expectClean(store());
    expectWholeData(store(), id);
  });
});

describe("a datastore that goes away while a run works", () => {
  const started = async (): Promise<ReturnType<typeof startFen>> => {
    repo.model("long", "touch started; while [ ! -e go ]; do sleep 0.02; done; echo end");
    const run = startFen([...execute("long"), "--json"], { cwd: repo.path });
    await until(
      () => existsSync(join(repo.path, "started")),
      () => "the run",
    );
    return run;
  };

  test("removed: the run fails and says so, and the next one starts afresh", async () => {
    const run = await started();
    rmSync(store(), { recursive: true });
    writeFileSync(join(repo.path, "go"), "");
    const result = await run.done;
    expectRefusal(result, ["lock_lost", "store_unavailable"], result.exitCode === 75 ? 75 : 69);
    expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
    expectClean(store());
    expectWholeData(store(), id);
  });

  test("moved away: nothing is committed into what stands in its place", async () => {
    const run = await started();
    renameSync(store(), join(repo.path, "moved"));
    expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
    const before = tree(join(store(), "data"));
    writeFileSync(join(repo.path, "go"), "");
    const result = await run.done;
    expectRefusal(result, ["lock_lost", "store_unavailable"], result.exitCode === 75 ? 75 : 69);
    expect(tree(join(store(), "data"))).toEqual(before);
  });
});

/** A workflow of one step, which calls the spoiler. */
function writeSpoil(): void {
  repo.write(
    `workflows/workflow-${spoilId}.yaml`,
    JSON.stringify({
      id: spoilId,
      name: "spoil",
      jobs: [
        {
          name: "one",
          steps: [{ name: "one", task: { type: "model_method", modelIdOrName: "spoiler", methodName: "execute" } }],
        },
      ],
    }),
  );
}

describe("a run that has ended, but can't be closed", () => {
  test.each([
    ["a lock", "for t in .swamp/.fen/queue/*/*; do rm -f $t; mkdir $t; done", /queue/],
    ["its record", "for r in .swamp/workflow-runs/*/*.yaml; do mv $r $r.old; mkdir $r; done", /workflow-run-.*EISDIR/],
  ])("because of %s, says so, and how it ended; a resume has it closed", async (_, command, what) => {
    repo.model("spoiler", command);
    writeSpoil();
    const { exitCode, error } = await repo.fen("workflow", "run", "spoil", "--json");
    const { run, status, message, hint } = error();
    expect([exitCode, status]).toEqual([69, "succeeded"]);
    expect(message).toMatch(/^The run of spoil has succeeded, but it couldn't be closed: /);
    expect(message).toMatch(what);
    expect(hint).toContain(`then have it closed: fen workflow resume ${run}`);
    const folders = spawnSync("sh", ["-c", "rmdir .swamp/.fen/queue/*/* .swamp/workflow-runs/*/*.yaml"], {
      cwd: repo.path,
    });
    expect(folders.error).toBeUndefined();
    expect((await repo.fen("workflow", "resume", run, "--json")).error()).toMatchObject({ code: "run_ended" });
    const record = `workflow-runs/${spoilId}/workflow-run-${run}.yaml`;
    expect(readFileSync(join(store(), record), "utf8")).toContain("status: succeeded");
    expect(existsSync(join(store(), `.fen/runs/${run}.owner`))).toBe(false);
    const { stdout } = await repo.fen("datastore", "lock", "status", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ models: [], waiting: [] });
  });
});

describe("a lock that can't be given back", () => {
  /** The ticket of whoever runs the method becomes a folder, which it can't remove; then that one is interrupted. */
  const spoil =
    "for t in .swamp/.fen/queue/*/*; do rm -f $t; mkdir $t; done; kill -INT $PPID; while :; do sleep 0.1; done";

  test("doesn't hide that a run was interrupted: both are told, with the exit code of the first", async () => {
    repo.model("spoiler", spoil);
    const { exitCode, error } = await repo.fen(...execute("spoiler"), "--json");
    expect(exitCode).toBe(130);
    expect(error()).toMatchObject({ code: "interrupted", signal: "SIGINT" });
    expect(error().message).toMatch(/^Interrupted by SIGINT\.\n.*queue/);
  });

  test("nor that a workflow was", async () => {
    repo.model("spoiler", spoil);
    writeSpoil();
    const { exitCode, error } = await repo.fen("workflow", "run", "spoil", "--json");
    expect(exitCode).toBe(130);
    expect(error()).toMatchObject({ code: "interrupted", hint: expect.stringContaining("fen workflow resume") });
    expect(error().message).toContain("queue");
  });
});
