/** Children, started here and by the built thread: the same must come of them (decision 0009). */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { type Children, directChildren, systemChildren, ThreadChildren } from "../../src/kernel/children.ts";
import { groupLives } from "../../src/kernel/process-group.ts";
import { until } from "../support/cli.ts";
import { after, step, workflowRepo } from "../support/workflow-repo.ts";

const thread = fileURLToPath(new URL("../../dist/child-thread.cjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "fen-children-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Told {
  readonly order: string[];
  readonly out: Uint8Array[];
  readonly err: Uint8Array[];
  pid?: number;
  error?: unknown;
}

function start(children: Children, script: string, more: { readonly cwd?: string; readonly inherit?: number[] } = {}) {
  const told: Told = { order: [], out: [], err: [] };
  const { promise, resolve } = withResolver();
  const child = children.start(
    { command: ["/bin/sh", "-c", script], cwd: folder, env: { ...process.env, WORD: "word" }, inherit: [], ...more },
    {
      started: (pid) => {
        told.pid = pid;
        told.order.push("started");
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

describe.each([
  ["here", () => directChildren()],
  ["by the thread", () => new ThreadChildren(thread)],
] as const)("a child that is started %s", (_, make) => {
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

test("a process starts its first 15 children itself, those of a fleet by a thread once that is up", async () => {
  const pretends = join(folder, "pretends.cjs");
  writeFileSync(
    pretends,
    `const { parentPort } = require("node:worker_threads");
     parentPort.postMessage([]);
     parentPort.on("message", ({ id }) => parentPort.postMessage([{ kind: "started", id, pid: 1 }, { kind: "ended", id, code: 77, signal: null }, { kind: "closed", id }]));`,
  );
  const children = systemChildren(pretends);
  const ends: string[] = [];
  const next = async () => {
    const { told, done } = start(children, "true");
    await done;
    ends.push(told.order[1] ?? "");
  };
  for (let number = 1; number <= 15; number++) await next();
  expect(new Set(ends)).toEqual(new Set(["ended 0"]));
  await until(
    async () => {
      await next();
      return ends.at(-1) === "ended 77";
    },
    () => "the thread",
  );
});

test("where the system has no thread to give, a process goes on starting its children itself", async () => {
  const dies = join(folder, "dies.cjs");
  writeFileSync(dies, `throw new Error("no descriptor left to load the rest");`);
  const children = systemChildren(dies);
  for (let number = 1; number <= 40; number++) {
    const { told, done } = start(children, "true");
    await done;
    expect(told.order).toEqual(["started", "ended 0", "closed"]);
  }
});

test("a run of many steps that is cancelled ends what the thread has started", async () => {
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
