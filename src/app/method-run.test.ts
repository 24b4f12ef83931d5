/** What a call of a method leaves, and when it is on the disk. */
import { expect, test, vi } from "vitest";
import { memoryWorkspace } from "../../test/support/memory-workspace.ts";
import { FenError } from "../kernel/errors.ts";
import { systemMachine } from "../kernel/machine.ts";
import type { ModelType } from "../model/type.ts";
import type { AppContext } from "./context.ts";
import { MethodRun } from "./method-run.ts";
import { prepareMethod } from "./prepare-method.ts";
import { modelLock } from "./workspace.ts";

const quiet: ModelType = {
  name: "test/quiet",
  version: "2026.01.01.1",
  description: "Does nothing",
  methods: {
    execute: {
      ...{ description: "Nothing", kind: "action", arguments: { type: "object" } },
      execute: async () => ({ status: "succeeded" }),
    },
  },
  resources: {},
  files: {},
};

const writing: ModelType = {
  ...quiet,
  name: "test/writing",
  methods: {
    execute: {
      ...{ description: "Writes", kind: "action", arguments: { type: "object" } },
      execute: async (_, { writeResource }) => {
        await writeResource("result", {});
        return { status: "succeeded" };
      },
    },
  },
  resources: {
    result: {
      ...{ description: "", contentType: "application/json", lifetime: "infinite", garbageCollection: 10 },
      streaming: false,
    },
  },
};

/** Calls the method; tells what was asked of the store and of the lock, in order. */
async function called({
  type = quiet,
  fails = "nothing",
  isFar = false,
  isStopped = false,
  isFull = false,
  order = [] as string[],
} = {}) {
  const machine = systemMachine("fen");
  const { signal } = new AbortController();
  const context: AppContext = { ...{ machine, signal, repoDir: "/memory" }, lockTimeoutMs: 0, emit: () => undefined };
  const workspace = memoryWorkspace(context, { type, models: ["m"], workflows: [] });
  const { files } = workspace;
  const write = files.write.bind(files);
  vi.spyOn(files, "write").mockImplementation((path: string, bytes, options?: { readonly durable?: boolean }) => {
    if (isFull && String(bytes).includes("status: succeeded")) throw new FenError("disk_full", "No space is left.");
    if (path.startsWith("outputs/"))
      order.push(
        `${options?.durable === false ? "written" : "on the disk"}: ${/^status: (\w+)$/m.exec(String(bytes))?.[1]}`,
      );
    return write(path, bytes);
  });
  vi.spyOn(files, "sync").mockImplementation(async (paths: readonly string[] = []) => {
    if (paths.length > 0) order.push(`synced: ${paths.join()}`);
    if (fails === "record") throw new FenError("disk_full", "No space is left.");
  });
  vi.spyOn(files, "keep").mockImplementation(async (...[paths = []]: readonly (readonly string[])[]) => {
    if (paths.length > 0) order.push(`kept: ${paths.map((path) => path.split("/").slice(-2).join("/")).join()}`);
    if (fails === "data") throw new FenError("disk_full", "No space is left.");
  });
  const loaded = await workspace.definitions.find("m");
  const request = { method: "execute", inputs: {}, tags: {} };
  const prepared = await prepareMethod(context, workspace, loaded, request);
  const lease = await workspace.lock([modelLock(loaded)]);
  const stop = new FenError("interrupted", "It was stopped.");
  const place = isFar ? { ...workspace.datastore, local: Object.create(files) } : workspace.datastore;
  const run = new MethodRun(
    machine,
    { ...workspace, datastore: place },
    {
      ...{ ...request, ...prepared, id: machine.random.uuid(), lease },
      signal: isStopped ? AbortSignal.abort(stop) : signal,
      emit: () => undefined,
    },
  );
  const executing = run.execute();
  if (isStopped) {
    await expect(executing).rejects.toBe(stop);
    return order;
  }
  await executing;
  await lease.release();
  order.push("released");
  await run.settle();
  return order;
}

test("the record is written under the lock; for the disk nobody who waits for the lock waits", async () => {
  expect(await called()).toEqual([
    "written: running",
    "written: succeeded",
    "released",
    expect.stringMatching(/^synced: outputs\/test\/quiet\/execute\/[^,]*\.yaml$/),
  ]);
});

test("a record that can't be made durable is an error, which says that it and the data are there", async () => {
  await expect(called({ fails: "record" })).rejects.toMatchObject({
    code: "disk_full",
    message:
      "The method succeeded and its data is kept; its record is written, but may not survive a power cut. No space is left.",
  });
});

test("one that can't be written is another", async () => {
  await expect(called({ isFull: true })).rejects.toMatchObject({
    code: "disk_full",
    message: "The method succeeded and its data is kept; its record or its log could not be written. No space is left.",
  });
});

test("elsewhere a record is there before the lock is given back: whoever deletes the model next deletes it too", async () => {
  expect(await called({ isFar: true })).toEqual(["written: running", "on the disk: succeeded", "released"]);
});

test("the record of a call that was stopped is on the disk before the error is thrown", async () => {
  expect(await called({ isStopped: true })).toEqual(["written: running", "on the disk: cancelled"]);
});

test("its data is there under the lock, too; for the disk nobody waits either", async () => {
  expect(await called({ type: writing })).toEqual([
    "written: running",
    "written: succeeded",
    "released",
    "kept: result/1",
    expect.stringMatching(/^synced: outputs/),
  ]);
});

test("data that can't be made durable is an error, which says that it is there", async () => {
  await expect(called({ type: writing, fails: "data" })).rejects.toMatchObject({
    code: "disk_full",
    message: "The method succeeded and its data is kept; it may not survive a power cut. No space is left.",
    facts: { committed: true },
  });
});

test("what was committed is on the disk before an error is thrown: of one that was stopped, of one whose record can't be written", async () => {
  expect(await called({ type: writing, isStopped: true })).toEqual([
    "written: running",
    "on the disk: cancelled",
    "kept: result/1",
  ]);
  const order: string[] = [];
  await expect(called({ type: writing, isFull: true, order })).rejects.toMatchObject({ code: "disk_full" });
  expect(order).toEqual(["written: running", "kept: result/1"]);
});
