/** Scenarios of commands that wait, are interrupted, only read, or look at the locks. Each title bears its number in the list of scenarios. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { userInfo, hostname } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { program, runFen, type Running, type Scratch, scratchRepo, startFen, until } from "../../support/cli.ts";
import { LockProcess } from "../../support/lock-process.ts";

let repo: Scratch;
let started: LockProcess[];
beforeEach(async () => {
  repo = await scratchRepo();
  started = [];
});
afterEach(() => {
  for (const one of started) one[Symbol.dispose]();
  repo.remove();
});

const run = (name: string, ...more: string[]) => repo.fen("model", "method", "run", name, "execute", ...more);
const startRun = (name: string, ...more: string[]) => repo.start("model", "method", "run", name, "execute", ...more);
const path = (name: string) => join(repo.path, name);
const appears = (name: string) =>
  until(
    () => existsSync(path(name)),
    () => name,
  );
const lockFiles = () =>
  readdirSync(path(".swamp"), { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(".lock"));
const status = async () => (await repo.fen("datastore", "lock", "status", "--json")).json();
const waits = (one: Running) => one.says("waiting for the lock on");

/** Another process that holds a lock of this repository's datastore. */
async function holding(resource: string) {
  const holder = await LockProcess.start(path(".swamp"), { command: "somebody at work" });
  started.push(holder);
  const { lease, nonce } = await holder.acquire(resource);
  return { holder, nonce, release: () => holder.call("release", lease) };
}

describe("a holder that died, and left a program at work", () => {
  test("is never said to have the lock: who waits, for the model or for all, is told who works on, and what to do", async () => {
    const id = repo.model("m", "[ -e pid ] && exit; echo $$ > pid; exec sleep 60");
    const run = startRun("m");
    await until(
      () => existsSync(path("pid")) && /^\d+\n$/.test(readFileSync(path("pid"), "utf8")),
      () => "the command",
    );
    run.kill("SIGKILL");
    await run.done;
    const child = Number(readFileSync(path("pid"), "utf8"));
    try {
      const lock = `command/shell/${id}`;
      const remedy = `kill ${child}), or take the lock away: fen datastore lock release --force --model ${lock}`;
      for (const [args, holder] of [
        [["model", "method", "run", "m", "execute"], "its holder"],
        [["data", "gc", "--force"], `the holder of ${lock}`],
      ] as const) {
        const refused = await repo.fen(...args, "--lock-timeout", "400ms");
        expect(refused.exitCode).toBe(75);
        const dead = `${holder} is dead, but what it started still works: pid ${child} (sleep 60); it was `;
        expect(refused.stderr.split(dead).length - 1, refused.stderr).toBe(2); // of the one that waits, and in its error
        expect(refused.stderr).toContain(`(pid ${run.child.pid}, `);
        expect(refused.stderr).toContain(remedy);
      }
      expect(await repo.fen("datastore", "lock", "release", "--force", "--model", lock)).toMatchObject({ exitCode: 0 });
      expect(await repo.fen("model", "method", "run", "m", "execute")).toMatchObject({ exitCode: 0 });
    } finally {
      process.kill(child, "SIGKILL");
    }
  });
});

describe("waiting", () => {
  test("lock-19: within 2 s a waiter says who holds the lock, since when, with what, and what to do; stdout stays clean", async () => {
    const id = repo.model("m", "true");
    const { holder, release } = await holding(`command/shell/${id}`);
    const from = Date.now();
    const waiter = startRun("m", "--json");
    await waiter.says("lock.waiting");
    expect(Date.now() - from).toBeLessThan(2000);
    const text = startRun("m");
    await waits(text);
    for (const fact of [
      `${process.env["USER"] ?? userInfo().username}@${hostname()}`,
      `pid ${holder.pid}`,
      "somebody at work",
      "UTC",
      "--lock-timeout",
    ])
      expect(text.stderr).toContain(fact);
    expect(waiter.stdout).toBe("");
    await release();
    expect((await waiter.done).json()).toMatchObject({ modelName: "m" });
    expect((await text.done).exitCode).toBe(0);
  });

  test("lock-21: a limit of 500 ms is kept by a run behind a run, a run behind everything, and everything behind a run", async () => {
    const id = repo.model("m", "true");
    const key = `command/shell/${id}`;
    const one = await holding(key);
    const limits = [
      run("m", "--lock-timeout", "500ms", "--json"),
      repo.fen("data", "gc", "--force", "--lock-timeout", "0.5s", "--json"),
      runFen(["model", "method", "run", "m", "execute", "--json"], {
        cwd: repo.path,
        env: { SWAMP_LOCK_TIMEOUT_MS: "500" },
      }),
      repo.fen("model", "delete", "m", "--force", "--lock-timeout", "500ms", "--json"),
    ];
    for (const done of await Promise.all(limits)) {
      expect(done).toMatchObject({ exitCode: 75, stdout: "" });
      expect(done.error()).toMatchObject({ code: "lock_timeout" });
      expect(done.error().waitedMs).toBeGreaterThanOrEqual(500);
      expect(done.error().waitedMs).toBeLessThan(1500);
    }
    await one.release();
    await holding("*");
    expect((await run("m", "--lock-timeout", "500ms", "--json")).error()).toMatchObject({ code: "lock_timeout" });
  });

  test.each(["-1", "abc", "5 parsecs", ""])(
    "lock-21: a limit of %j is refused before anything is done",
    async (limit) => {
      repo.model("m", "touch ran");
      const done = await run("m", `--lock-timeout=${limit}`, "--json");
      expect(done.exitCode).toBe(2);
      expect(done.error().code).toBe("usage");
      const env = { SWAMP_LOCK_TIMEOUT_MS: limit };
      const byEnv = await runFen(["model", "method", "run", "m", "execute"], { cwd: repo.path, env });
      expect(byEnv.exitCode).toBe(limit === "" ? 0 : 2);
      expect(existsSync(path("ran"))).toBe(limit === "");
    },
  );

  test("lock-22, lock-64: a wait that is too long has an exit code and a code of its own, names the holder, and says what to do next", async () => {
    const id = repo.model("m", "true");
    const { holder, nonce } = await holding(`command/shell/${id}`);
    const done = await run("m", "--lock-timeout", "0", "--json");
    expect(done.exitCode).toBe(75);
    expect(done.error()).toMatchObject({ code: "lock_timeout", retryable: true, holder: { pid: holder.pid, nonce } });
    expect(done.error().hint).toContain("fen datastore lock status");
  });

  test("lock-30: a structural command that waits names holder and model, and costs less than 5 % of a core", async () => {
    const id = repo.model("m", "true");
    const { holder } = await holding(`command/shell/${id}`);
    const gc = repo.start("data", "gc", "--force", "--json");
    await gc.says("lock.waiting");
    const before = cpuMs(gc.child.pid);
    await new Promise((resolve) => setTimeout(resolve, 3000));
    expect((cpuMs(gc.child.pid) - before) / 3000).toBeLessThan(0.05);
    gc.kill("SIGTERM");
    await gc.done;
    const done = await repo.fen("data", "gc", "--force", "--json", "--lock-timeout", "300ms");
    expect(done.error()).toMatchObject({
      code: "lock_timeout",
      holder: { pid: holder.pid, command: "somebody at work" },
    });
    expect(JSON.stringify(done.error())).toContain(id);
  });

  test("lock-54: an interrupt while waiting ends the wait at once and touches nothing of the holder's", async () => {
    const id = repo.model("m", "true");
    const { nonce } = await holding(`command/shell/${id}`);
    const waiter = startRun("m");
    await waits(waiter);
    const from = performance.now();
    waiter.kill("SIGINT");
    expect((await waiter.done).exitCode).toBe(130);
    expect(performance.now() - from).toBeLessThan(500);
    expect(await status()).toMatchObject({ waiting: [], models: [{ nonce, state: "held" }] });
  });
});

/** Processor time that a process has used, in milliseconds. */
function cpuMs(pid: number | undefined): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const [user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13)
    .map(Number);
  return (user + system) * 10;
}

describe("signals", () => {
  test("lock-50: on an interrupt the lock is held until the child has ended and the record is written; then the next one enters", async () => {
    repo.model(
      "m",
      "trap 'sleep 0.5; echo cleaned >> order; exit 1' TERM; echo begin >> order; touch ready; sleep 60 & wait",
    );
    repo.model("other", "true");
    const first = startRun("m");
    await appears("ready");
    const second = startRun("m");
    await waits(second);
    first.kill("SIGINT");
    expect((await first.done).exitCode).toBe(130);
    await until(
      () => readFileSync(path("order"), "utf8").split("begin").length === 3,
      () => "the second to begin",
    );
    expect(readFileSync(path("order"), "utf8")).toBe("begin\ncleaned\nbegin\n");
    const history = (await repo.fen("model", "output", "search", "--json")).json().results;
    expect(history.map((one: { status: string }) => one.status).sort()).toEqual(["cancelled", "running"]);
    second.kill("SIGTERM");
    await second.done;
  });

  test("lock-51: a second interrupt exits at once with 130, and the lock is recognisably a dead one's", async () => {
    repo.model("m", "trap '' TERM INT; echo $$ > ready; while :; do sleep 0.1; done");
    const stubborn = startRun("m");
    await appears("ready");
    stubborn.kill("SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 300));
    const from = performance.now();
    stubborn.kill("SIGINT");
    expect((await stubborn.done).exitCode).toBe(130);
    expect(performance.now() - from).toBeLessThan(1500);
    try {
      for (const lock of (await status()).models) expect(lock.state).toBe("orphaned");
    } finally {
      process.kill(-Number(readFileSync(path("ready"), "utf8")), "SIGKILL");
    }
    await until(
      async () => (await status()).models.every((lock: { state: string }) => lock.state === "stale"),
      () => "the lock to be free",
    );
  });

  test.each([
    ["SIGTERM", 143],
    ["SIGHUP", 129],
    ["SIGINT", 130],
  ] as const)("lock-52: %s ends the work, leaves no lock file, and exits %i", async (signal, exitCode) => {
    repo.model("m", "touch ready; sleep 60");
    const running = startRun("m");
    await appears("ready");
    expect(lockFiles()).toHaveLength(1);
    running.kill(signal);
    expect((await running.done).exitCode).toBe(exitCode);
    expect(lockFiles()).toEqual([]);
    expect(await status()).toEqual({ datastore: null, models: [], waiting: [] });
  });

  test("lock-23: commands that fail leave no lock file and an exit code that isn't 0", async () => {
    repo.model("fails", "exit 3");
    repo.model("killed", "kill -9 $$");
    repo.model("bad", "echo ${{ inputs.missing }}");
    repo.write("models/broken.yaml", "type: [");
    for (const args of [
      ["model", "method", "run", "fails", "execute"],
      ["model", "method", "run", "killed", "execute"],
      ["model", "method", "run", "bad", "execute"],
      ["model", "method", "run", "fails", "nosuch"],
      ["model", "method", "run", "nosuch", "execute"],
      ["data", "delete", "fails", "nosuch", "--force"],
      ["data", "rename", "fails", "a", "b"],
      ["model", "delete", "nosuch", "--force"],
    ]) {
      expect((await repo.fen(...args)).exitCode, args.join(" ")).not.toBe(0);
      expect(lockFiles(), args.join(" ")).toEqual([]);
    }
  });
});

describe("the datastore and its models", () => {
  test.each(["@acme/switch", "plain", "@acme/net/deep.er/switch", "a.b"])(
    "lock-26: a run of type %s is waited for by gc, listed by status, and found by release",
    async (type) => {
      const id = "a0000000-0000-4000-a000-0000000000aa";
      const { nonce, release } = await holding(`${type}/${id}`);
      expect((await status()).models).toMatchObject([
        { resource: `${type}/${id}`, modelType: type, modelId: id, nonce },
      ]);
      expect((await repo.fen("data", "gc", "--force", "--lock-timeout", "200ms")).exitCode).toBe(75);
      const released = await repo.fen(
        "datastore",
        "lock",
        "release",
        "--force",
        "--model",
        `${type}/${id}`,
        "--nonce",
        nonce,
        "--json",
      );
      expect(released.json()).toMatchObject({ released: true, resource: `${type}/${id}` });
      await release();
    },
  );

  test("lock-27: runs in a loop beside gc and deletes in a loop: nothing fails, nothing is half deleted", async () => {
    for (const name of ["a", "b"]) repo.model(name, "echo out");
    const writers = ["a", "b"].map(async (name) => {
      for (let n = 0; n < 8; n++) expect(await run(name)).toMatchObject({ exitCode: 0 });
    });
    const structural = (async () => {
      for (let n = 0; n < 8; n++) expect(await repo.fen("data", "gc", "--force")).toMatchObject({ exitCode: 0 });
    })();
    const deleting = (async () => {
      for (let n = 0; n < 6; n++) {
        const done = await repo.fen("data", "delete", "a", "log", "--force", "--json");
        if (done.exitCode !== 0) expect(done.error().code).toBe("data_missing");
      }
    })();
    await Promise.all([...writers, structural, deleting]);
    expect(await run("a")).toMatchObject({ exitCode: 0 });
    const versions = (await repo.fen("data", "versions", "b", "log", "--json")).json().versions;
    expect(versions.map((one: { version: number }) => one.version).sort((x: number, y: number) => x - y)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8,
    ]);
    expect(lockFiles()).toEqual([]);
  });

  test("lock-37, lock-57: while everything is held, all that only reads works, and so do status and release", async () => {
    repo.model("m", "echo hello");
    await run("m");
    const output = (await repo.fen("model", "output", "search", "--json")).json().results[0].id;
    const { nonce } = await holding("*");
    const reads = [
      ["--help"],
      ["version"],
      ["help"],
      ["model", "search"],
      ["model", "get", "m"],
      ["model", "validate"],
      ["model", "type", "search"],
      ["model", "method", "describe", "m", "execute"],
      ["model", "method", "history", "search"],
      ["model", "method", "history", "get", "m"],
      ["model", "output", "search"],
      ["model", "output", "get", output],
      ["data", "list", "m"],
      ["data", "get", "m", "log"],
      ["data", "search"],
      ["data", "versions", "m", "log"],
      ["data", "gc", "--dry-run"],
      ["datastore", "status"],
      ["datastore", "lock", "status"],
    ];
    for (const args of reads) {
      const from = performance.now();
      expect(await repo.fen(...args), args.join(" ")).toMatchObject({ exitCode: 0 });
      expect(performance.now() - from, args.join(" ")).toBeLessThan(3000);
    }
    expect((await run("m", "--lock-timeout", "0")).exitCode).toBe(75);
    const released = await repo.fen("datastore", "lock", "release", "--force", "--nonce", nonce, "--json");
    expect(released.json()).toMatchObject({ released: true, resource: "datastore" });
    expect((await run("m", "--lock-timeout", "5s")).exitCode).toBe(0);
  });

  test("lock-44: a dry run locks nothing and waits for nothing", async () => {
    const id = repo.model("m", "echo hello");
    await run("m");
    await holding(`command/shell/${id}`);
    const dry = await repo.fen("data", "gc", "--dry-run", "--json");
    expect(dry.json()).toMatchObject({ dryRun: true });
  });

  test("lock-38: 10 parallel creates of different names all succeed", async () => {
    const made = await Promise.all(
      Array.from({ length: 10 }, (_, n) => repo.fen("model", "create", "command/shell", `n-${n}`, "--json")),
    );
    expect(made.map((one) => one.exitCode)).toEqual(made.map(() => 0));
    expect((await repo.fen("model", "search", "--json")).json().results).toHaveLength(10);
  });

  test("lock-40: the first and the second run of a model hold the same lock", async () => {
    const id = repo.model("m", "ls -a .swamp/data/command/shell/*/.lock >> seen");
    for (let n = 0; n < 2; n++) expect((await run("m")).exitCode).toBe(0);
    const file = `.swamp/data/command/shell/${id}/.lock`;
    expect(readFileSync(path("seen"), "utf8")).toBe(`${file}\n${file}\n`);
  });

  test("lock-41: a model that is deleted while a run waits for it isn't run, and leaves no data behind", async () => {
    const id = repo.model("gone", "touch ran");
    const { release } = await holding(`command/shell/${id}`);
    const late = startRun("gone", "--json");
    await late.says("lock.waiting");
    rmSync(path(`models/command/shell/${id}.yaml`));
    await release();
    const done = await late.done;
    expect(done.exitCode).toBe(1);
    expect(done.error().code).toBe("model_missing");
    expect(existsSync(path("ran"))).toBe(false);
    const folder = path(`.swamp/data/command/shell/${id}`);
    expect(existsSync(folder) ? readdirSync(folder) : []).toEqual([]);
  });

  test("lock-42: data of one model is deleted beside a run of another, and after a run of the same", async () => {
    const [id] = ["a", "b"].map((name) => repo.model(name, "echo out"));
    for (const name of ["a", "b"]) await run(name);
    const { release } = await holding(`command/shell/${id}`);
    expect((await repo.fen("data", "delete", "b", "log", "--force", "--lock-timeout", "0")).exitCode).toBe(0);
    const same = repo.start("data", "delete", "a", "log", "--force");
    await waits(same);
    await release();
    expect((await same.done).exitCode).toBe(0);
  });

  test("lock-43: at the prompt of a deletion nothing is locked, and what changed meanwhile is seen after the answer", async () => {
    repo.model("m", "echo out");
    await run("m");
    // script(1) gives it a terminal.
    const line = `${process.execPath} ${program} data delete m log`;
    const asking = startFen(["-qec", line, "/dev/null"], {
      cwd: repo.path,
      as: ["sh", "-c", '{ until [ -e answer ]; do sleep 0.05; done; echo y; sleep 3; } | script "$@"', "sh"],
    });
    await asking.says("[y/N]");
    expect(lockFiles()).toEqual([]);
    expect((await status()).models).toEqual([]);
    expect((await run("m", "--lock-timeout", "0")).exitCode).toBe(0);
    expect((await repo.fen("data", "delete", "m", "log", "--force", "--lock-timeout", "0")).exitCode).toBe(0);
    writeFileSync(path("answer"), "");
    const done = await asking.done;
    expect(done.exitCode).not.toBe(0);
    expect(done.stdout).toContain("log");
  });
});

describe("loss", () => {
  test("lock-9: a run that was paused and lost its lock commits nothing, says so, and the data is its successor's", async () => {
    repo.write("who", "a");
    repo.model("m", "cat who; echo $$ > child; while [ ! -e go ]; do sleep 0.05; done");
    const a = startRun("m", "--json");
    await appears("child");
    process.kill(a.child.pid ?? 0, "SIGSTOP");
    const [lock] = (await status()).models;
    await repo.fen("datastore", "lock", "release", "--force", "--model", "m", "--nonce", lock.nonce);
    repo.write("who", "b");
    repo.write("go", "");
    expect((await run("m")).exitCode).toBe(0);
    process.kill(a.child.pid ?? 0, "SIGCONT");
    const done = await a.done;
    expect(done.exitCode).toBe(75);
    expect(done.error()).toMatchObject({ code: "lock_lost" });
    const data = await repo.fen("data", "get", "m", "log", "--json");
    expect(data.json()).toMatchObject({ version: 1 });
    expect(JSON.stringify(data.json().content)).toContain("b");
  });
});

describe("status and release", () => {
  test("lock-58: status is one document with 0, 1 and 3 locks, each told in full", async () => {
    expect(await status()).toEqual({ datastore: null, models: [], waiting: [] });
    const ids = ["x", "y", "z"].map((name) => repo.model(name, "true"));
    for (const [n, id] of ids.entries()) {
      const { holder, nonce } = await holding(`command/shell/${id}`);
      const { models } = await status();
      expect(models).toHaveLength(n + 1);
      expect(models.find((one: { modelId: string }) => one.modelId === id)).toMatchObject({
        state: "held",
        pid: holder.pid,
        nonce,
        mode: "exclusive",
        command: "somebody at work",
        processes: [{ pid: holder.pid }],
        acquiredAt: expect.stringMatching(/^\d{4}-/),
      });
    }
    for (const one of started) await one.kill();
    await holding("*");
    expect((await status()).datastore).toMatchObject({ state: "held", resource: "datastore" });
  });

  test("lock-59: a release that released nothing doesn't exit 0", async () => {
    const id = repo.model("m", "true");
    const free = await repo.fen("datastore", "lock", "release", "--force", "--model", "m", "--json");
    expect(free.exitCode).toBe(1);
    expect(free.error().code).toBe("lock_not_held");
    await holding(`command/shell/${id}`);
    const other = ["--nonce", "d0000000-0000-4000-8000-000000000004", "--json"];
    const changed = await repo.fen("datastore", "lock", "release", "--force", "--model", "m", ...other);
    expect(changed.exitCode).not.toBe(0);
    expect(changed.error().code).toBe("lock_changed");
  });

  test("lock-60: a release by the nonce of a holder that has left takes nothing from the next one", async () => {
    const id = repo.model("m", "true");
    const first = await holding(`command/shell/${id}`);
    await first.release();
    const next = await holding(`command/shell/${id}`);
    const late = await repo.fen("datastore", "lock", "release", "--force", "--model", "m", "--nonce", first.nonce);
    expect(late.exitCode).not.toBe(0);
    expect((await status()).models).toMatchObject([{ nonce: next.nonce, state: "held" }]);
    await next.release();
  });

  test("lock-61: a living holder is shown with pid and command, and isn't released without its nonce", async () => {
    const id = repo.model("m", "true");
    const { holder, nonce } = await holding(`command/shell/${id}`);
    const refused = await repo.fen("datastore", "lock", "release", "--force", "--model", "m");
    expect(refused.exitCode).toBe(75);
    for (const fact of [`pid ${holder.pid}`, "somebody at work", `--nonce ${nonce}`])
      expect(refused.stderr).toContain(fact);
    expect((await status()).models).toMatchObject([{ nonce, state: "held" }]);
  });

  test("lock-63: release takes a model by its name, by its id's key, and refuses a name that isn't one", async () => {
    const id = repo.model("known", "true");
    for (const by of ["known", `command/shell/${id}`]) {
      const { nonce } = await holding(`command/shell/${id}`);
      const done = await repo.fen("datastore", "lock", "release", "--force", "--model", by, "--nonce", nonce, "--json");
      expect(done.json()).toMatchObject({ released: true, resource: `command/shell/${id}` });
    }
    const unknown = await repo.fen("datastore", "lock", "release", "--force", "--model", "unknown", "--json");
    expect(unknown.error().code).toBe("model_missing");
  });

  test("lock-10: an unreadable record is shown by status and goes by release --force", async () => {
    const id = repo.model("m", "true");
    mkdirSync(path(`.swamp/data/command/shell/${id}`), { recursive: true });
    writeFileSync(path(`.swamp/data/command/shell/${id}/.lock`), '{"holder": "tr');
    expect((await status()).models).toMatchObject([{ state: "unreadable", modelName: "m" }]);
    const done = await repo.fen("datastore", "lock", "release", "--force", "--model", "m", "--json");
    expect(done.json()).toMatchObject({ released: true });
    expect((await run("m", "--lock-timeout", "2s")).exitCode).toBe(0);
  });
});

test("one who waits gets ready with what it will need for its work, and loads nothing else", async () => {
  const id = repo.model("m", "while [ ! -e go ]; do sleep 0.05; done");
  repo.write(
    "loads.cjs",
    `const fs = require("node:fs");
    const read = fs.readFileSync;
    fs.readFileSync = (path, ...more) => {
      if (/\\.cjs$/.test(path)) fs.appendFileSync(process.env.LOADS, path + "\\n");
      return read(path, ...more);
    };`,
  );
  const loaded = (name: string) => readFileSync(path(name), "utf8").split("\n").sort();
  const running = (name: string) =>
    startFen(["model", "method", "run", "m", "execute"], {
      cwd: repo.path,
      env: { LOADS: path(name), NODE_OPTIONS: `--require ${path("loads.cjs")}` },
    });
  const first = running("first");
  await appears(`.swamp/data/command/shell/${id}/.lock`);
  const second = running("second");
  await waits(second);
  await new Promise((resolve) => setTimeout(resolve, 700));
  const whileItWaits = loaded("second");
  repo.write("go", "");
  expect([(await first.done).exitCode, (await second.done).exitCode]).toEqual([0, 0]);
  expect(whileItWaits).toEqual(loaded("second"));
  expect(whileItWaits).toEqual(loaded("first"));
});
