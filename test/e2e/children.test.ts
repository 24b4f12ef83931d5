/** Children, started by `posix_spawn` and by Node: the same must come of them (decision 0009). */
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Children, nodeChildren, posixChildren, systemChildren } from "../../src/kernel/children.ts";
import { systemMachine } from "../../src/kernel/machine.ts";
import { PosixSpawn } from "../../src/kernel/posix-spawn.ts";
import { runProcess } from "../../src/kernel/processes.ts";
import { groupLives } from "../../src/kernel/process-group.ts";
import { until } from "../support/cli.ts";
import { after, step, workflowRepo } from "../support/workflow-repo.ts";

const folder = mkdtempSync(join(tmpdir(), "fen-children-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Told {
  readonly order: string[];
  readonly out: Uint8Array[];
  readonly err: Uint8Array[];
  pid?: number;
  error?: unknown;
}

function start(
  children: Children,
  script: string,
  {
    started = () => undefined,
    ...more
  }: { cwd?: string; inherit?: number[]; env?: Record<string, string>; started?: (pid: number) => void } = {},
) {
  const told: Told = { order: [], out: [], err: [] };
  const { promise, resolve } = withResolver();
  const child = children.start(
    { command: ["/bin/sh", "-c", script], cwd: folder, env: { ...process.env, WORD: "word" }, inherit: [], ...more },
    {
      started: (pid) => {
        told.pid = pid;
        told.order.push("started");
        started(pid);
      },
      failed: (error) => {
        told.error = error;
        told.order.push("failed");
        resolve();
      },
      output: (stream, chunk) => (stream === "stdout" ? told.out : told.err).push(chunk),
      ended: (code, signal) => told.order.push(`ended ${code ?? signal}`),
      closed: () => {
        told.order.push("closed");
        resolve();
      },
    },
  );
  return { child, told, done: promise };
}

function withResolver() {
  let resolve: () => void = () => undefined;
  return { promise: new Promise<void>((done) => (resolve = done)), resolve: () => resolve() };
}

const text = (chunks: readonly Uint8Array[]) => Buffer.concat(chunks).toString();

/** False where it has ended, and nobody has asked how yet. */
const isAlive = (pid: number) => !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));

/** Their numbers are known only when they have ended, and their signals have come and gone. */
function lateChildren(asked: (pid: number) => void): Children {
  const system = new PosixSpawn();
  const late = posixChildren({
    spawn: async (options) => {
      const spawned = await system.spawn(options);
      await until(
        () => !isAlive(spawned.pid),
        () => "its end",
      );
      return spawned;
    },
    ended: (pid) => {
      asked(pid);
      return system.ended(pid);
    },
  });
  return late ?? nodeChildren();
}

const isLinux = process.platform === "linux";

test("on Linux a library for posix_spawn is installed", () => {
  expect(posixChildren() !== undefined).toBe(isLinux);
});

describe.each([
  ...(isLinux ? [["posix_spawn", () => posixChildren() ?? nodeChildren()] as const] : []),
  ["Node", () => nodeChildren()] as const,
  ["what suits the system", () => systemChildren()] as const,
])("a child that is started by %s", (_, make) => {
  const children = make();

  test("tells what it writes, in order and whole, then how it ended", async () => {
    const { told, done } = start(children, "seq 1 200000; echo $WORD >&2; exit 3");
    await done;
    expect(told.order).toEqual(["started", "ended 3", "closed"]);
    expect(text(told.out)).toBe(Array.from({ length: 200_000 }, (_, number) => `${number + 1}\n`).join(""));
    expect(text(told.err)).toBe("word\n");
  });

  test("leads a group of its own, and ends by the group's signal", async () => {
    const { told, done } = start(children, "echo ready; sleep 60 & wait");
    await until(
      () => text(told.out) === "ready\n",
      () => "its word",
    );
    const { pid = 0 } = told;
    expect(groupLives(pid)).toBe(true);
    process.kill(-pid, "SIGKILL");
    await done;
    expect(told.order).toEqual(["started", "ended SIGKILL", "closed"]);
    await until(
      () => !groupLives(pid),
      () => "the end of its group",
    );
  });

  test("inherits a descriptor as number 3", async () => {
    const path = join(folder, "inherited");
    writeFileSync(path, "");
    const fd = openSync(path, "w");
    const { done } = start(children, "echo through >&3", { inherit: [fd] });
    await done;
    closeSync(fd);
    expect(readFileSync(path, "utf8")).toBe("through\n");
  });

  test("inherits descriptors whose numbers are those that others become", async () => {
    const paths = ["a", "b", "c", "d", "e", "f"].map((name) => join(folder, name));
    const fds = paths.map((path) => openSync(path, "w"));
    // Each takes the number that the one before it is to become, as far as these numbers are low.
    const { done } = start(children, 'for n in 3 4 5 6 7 8; do eval "echo as $n >&$n"; done', {
      inherit: fds.toReversed(),
    });
    await done;
    for (const fd of fds) closeSync(fd);
    expect(paths.map((path) => readFileSync(path, "utf8"))).toEqual([8, 7, 6, 5, 4, 3].map((n) => `as ${n}\n`));
    const count = async (inherit: number[]) => {
      const { told, done: counted } = start(children, "ls /proc/self/fd | wc -l", { inherit });
      await counted;
      return Number(text(told.out));
    };
    expect(await count([2, 1, 0])).toBe((await count([])) + 3); // and no copies beside them
  });

  test("has no signal blocked or ignored, and no descriptor that it wasn't given", async () => {
    const fd = openSync(folder, "r");
    const { told, done } = start(
      children,
      `grep -E '^Sig(Blk|Ign):' /proc/self/status; ls /proc/self/fd/${fd} /proc/self/fd/1`,
    );
    await done;
    closeSync(fd);
    // The C library itself sets the two signals behind 31, which are its own, as it likes.
    const ignored = Number.parseInt(/SigIgn:\s*(\w+)/.exec(text(told.out))?.[1] ?? "", 16);
    expect(ignored % 2 ** 31).toBe(0);
    expect(text(told.out)).toMatch(/SigBlk:\s*0+\n/);
    expect(text(told.out)).toContain("/proc/self/fd/1\n");
    expect(text(told.out)).not.toContain(`/proc/self/fd/${fd}\n`);
  });

  test("gets a long command and a large environment, as far as the system allows", async () => {
    const env = Object.fromEntries(Array.from({ length: 15 }, (_unused, n) => [`LONG_${n}`, "é".repeat(50_000)]));
    const { told, done } = start(children, `: ${"x".repeat(100_000)}; echo $0 \${#LONG_14}`, {
      env: { LC_ALL: "C", ...env },
    });
    const tooLong = start(children, `: ${"x".repeat(200_000)}`);
    await Promise.all([done, tooLong.done]);
    expect(text(told.out)).toBe("/bin/sh 100000\n");
    expect(tooLong.told).toMatchObject({ order: ["failed"], error: { code: "E2BIG" } });
  });

  test("that is killed while many others live is told apart from them", async () => {
    const many = Array.from({ length: 20 }, (_unused, number) => start(children, `exit ${number}`));
    const victim = start(children, "kill -9 $$");
    await Promise.all([...many, victim].map((one) => one.done));
    expect(many.map((one) => one.told.order[1])).toEqual(many.map((_unused, number) => `ended ${number}`));
    expect(victim.told.order).toEqual(["started", "ended SIGKILL", "closed"]);
  });

  test("fails by an event, with the system's code, where it can't be started", async () => {
    const absent = start(children, "true", { cwd: join(folder, "absent") });
    const odd = start(children, "true \0");
    await Promise.all([absent.done, odd.done]);
    expect(absent.told.order).toEqual(["failed"]);
    expect(absent.told.error).toMatchObject({ code: "ENOENT" });
    expect(odd.told.order).toEqual(["failed"]);
    expect(odd.told.error).toMatchObject({ code: "ERR_INVALID_ARG_VALUE" });
  });

  test("is let go of while others keep its pipes open", async () => {
    const { child, told, done } = start(children, "sleep 60 & echo $!");
    await until(
      () => told.order.includes("ended 0") && text(told.out).endsWith("\n"),
      () => "its end",
    );
    expect(told.order).not.toContain("closed");
    child.letGo();
    await done;
    process.kill(Number(text(told.out)), "SIGKILL");
  });

  test("is slowed down by a slow reader: little of its output is on the way", async () => {
    const { told, done } = start(children, "head -c 64M /dev/zero; echo end >&2");
    const written = () => Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${told.pid}/io`, "utf8"))?.[1] ?? 0);
    await until(
      () => told.out.length > 0,
      () => "output",
    );
    const before = told.out.reduce((sum, chunk) => sum + chunk.length, 0);
    // This thread takes nothing for a while; the child could write all of it in that time.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    expect(written() - before).toBeLessThan(4 * 1024 * 1024);
    await done;
    expect(told.out.reduce((sum, chunk) => sum + chunk.length, 0)).toBe(64 * 1024 * 1024);
    expect(text(told.err)).toBe("end\n");
  });
});

describe.runIf(isLinux)("how a child ended, asked of the system,", () => {
  const children = () => posixChildren() ?? nodeChildren();

  test("isn't a success where somebody else was told it", async () => {
    const other = new PosixSpawn();
    const asksFirst = (pid: number) => {
      while (other.ended(pid) === undefined);
    };
    const { told, done } = start(children(), "exit 3", { started: asksFirst });
    await done;
    expect(told.order).toEqual(["started", "ended null", "closed"]);
  });

  test("is told at once where it ended before its number was known", async () => {
    const asked: number[] = [];
    const late = lateChildren((pid) => asked.push(pid));
    const { told, done } = start(late, "exit 3", { started: () => asked.splice(0) });
    await done;
    expect(told.order).toEqual(["started", "ended 3", "closed"]);
    expect(asked).toEqual([told.pid]);
  });

  test.runIf(existsSync("/usr/bin/perl"))(
    "isn't told of one that stands still because it wants to be traced",
    async () => {
      const ptrace = process.arch === "x64" ? 101 : 117;
      const call = `syscall(${ptrace}, 0, 0, 0, 0); kill "STOP", $$; exit 5`; // PTRACE_TRACEME
      const { told, done } = start(children(), `exec /usr/bin/perl -e '${call}'`);
      const stands = () =>
        told.pid !== undefined && /^State:\tt/m.test(readFileSync(`/proc/${told.pid}/status`, "utf8"));
      await until(stands, () => "its standing still");
      process.emit("SIGCHLD", "SIGCHLD"); // somebody looks
      expect(told.order).toEqual(["started"]);
      process.kill(told.pid ?? 0, "SIGKILL");
      await done;
      expect(told.order).toEqual(["started", "ended SIGKILL", "closed"]);
    },
  );
});

test.runIf(isLinux)("what a child has written is read, however long we stood still when it had ended", async () => {
  const standStill = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
  const children = lateChildren(() => process.nextTick(standStill));
  const machine = { ...systemMachine("test"), children };
  const chunks: Uint8Array[] = [];
  const { exitCode } = await runProcess(machine, {
    command: ["/bin/sh", "-c", "echo said; exit 3"],
    ...{ cwd: folder, env: process.env, inherit: [], signal: new AbortController().signal },
    onOutput: (_, chunk) => void chunks.push(chunk),
  });
  expect({ exitCode, said: text(chunks) }).toEqual({ exitCode: 3, said: "said\n" });
});

test("a run of many steps that is cancelled ends what it has started", async () => {
  const repo = await workflowRepo();
  try {
    repo.model("quick", "true");
    repo.model("slow", "echo $$ > pid.tmp; mv pid.tmp pid; sleep 60");
    const quick = Array.from({ length: 40 }, (_, number) => step(`q-${number}`, "quick"));
    repo.workflow("many", [...quick, step("slow", "slow", after("q-39", "succeeded"))]);
    const run = repo.start("workflow", "run", "many");
    await repo.appears("pid");
    const pid = Number(repo.read("pid"));
    run.kill("SIGTERM");
    expect((await run.done).exitCode).toBe(143);
    await until(
      () => !groupLives(pid),
      () => "the end of its group",
    );
    await repo.expectNothingLeft();
  } finally {
    repo.remove();
  }
});
