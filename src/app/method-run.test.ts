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

const type: ModelType = {
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

/** Calls the method; tells what was asked of the store and of the lock, in order. */
async function called({ fails = false, isFar = false, isStopped = false, isFull = false } = {}) {
  const machine = systemMachine("fen");
  const { signal } = new AbortController();
  const context: AppContext = { ...{ machine, signal, repoDir: "/memory" }, lockTimeoutMs: 0, emit: () => undefined };
  const workspace = memoryWorkspace(context, { type, models: ["m"], workflows: [] });
  const order: string[] = [];
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
    order.push(`synced: ${paths.join()}`);
    if (fails) throw new FenError("disk_full", "No space is left.");
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
  await expect(called({ fails: true })).rejects.toMatchObject({
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
