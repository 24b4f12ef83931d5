import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { beforeEach, expect, test } from "vitest";
import { QuickDisk } from "./quick-disk.ts";

/** Calls that were begun and wait to be ended. */
let begun: ((error: unknown, result: number) => void)[];
let emptied: number;
let waiting: string;
let flushes: (done: (error: Error | null) => void) => void;
const turn = () => new Promise((resolve) => setImmediate(resolve));

beforeEach(() => {
  begun = [];
  emptied = 0;
  waiting = "MemTotal: 1 kB\nDirty:    1000 kB\nWriteback:   5 kB\nWritebackTmp: 99999999 kB\n";
  flushes = (done) => done(null);
});

function disk(): QuickDisk {
  const node = {
    openSync: () => 7,
    readFileSync: () => waiting,
    fsync: (_fd: number, done: (error: Error | null) => void) => {
      emptied++;
      flushes(done);
    },
  };
  // Of the file system only these three are used, as they are called here.
  return new QuickDisk(
    node as unknown as ConstructorParameters<typeof QuickDisk>[0],
    (_, done) => begun.push(done),
    "/",
  );
}

test("who asks at the same time shares a call, and the disk empties its own memory after it", async () => {
  const quick = disk();
  const asked = [quick.sync(), quick.sync()];
  await turn();
  expect([begun.length, emptied]).toEqual([1, 0]);
  begun[0]?.(null, 0);
  expect(await Promise.all(asked)).toEqual([true, true]);
  expect(emptied).toBe(1);
});

test("who asks while a call is under way isn't served by that one, but with all who do by the next", async () => {
  const quick = disk();
  const first = quick.sync();
  await turn();
  const others = [quick.sync(), quick.sync()];
  let isOver = false;
  void Promise.all(others).then(() => (isOver = true));
  await turn();
  expect(begun).toHaveLength(1);
  begun[0]?.(null, 0);
  expect(await first).toBe(true);
  await turn();
  expect([begun.length, isOver]).toEqual([2, false]);
  begun[1]?.(null, 0);
  expect(await Promise.all(others)).toEqual([true, true]);
});

test.each([
  ["that failed", null, -1],
  ["that couldn't be made", new Error("no thread"), 0],
])("a call %s says nothing of anybody's files, and nobody asks again", async (_, error, result) => {
  const quick = disk();
  const asked = quick.sync();
  await turn();
  const behind = quick.sync();
  begun[0]?.(error, result);
  expect(await asked).toBe(false);
  await turn();
  begun[1]?.(null, 0); // it was on its way
  expect([await behind, await quick.sync()]).toEqual([false, false]);
});

test("a disk that doesn't empty its own memory has kept nothing for certain", async () => {
  flushes = (done) => done(new Error("EIO"));
  const quick = disk();
  const asked = quick.sync();
  await turn();
  begun[0]?.(null, 0);
  expect(await asked).toBe(false);
});

test("where others have written much, each asks for its own files; later it is tried again", async () => {
  const quick = disk();
  waiting = "Dirty: 30000 kB\nWriteback: 3000 kB\n";
  expect(await quick.sync()).toBe(false);
  expect(begun).toEqual([]);
  waiting = "Dirty: 3000 kB\nWriteback: 0 kB\n";
  const asked = quick.sync();
  await turn();
  begun[0]?.(null, 0);
  expect(await asked).toBe(true);
});

test.runIf(process.platform === "linux")("what the system says of that is understood", () => {
  const said = readFileSync("/proc/meminfo", "utf8").match(/^(?:Dirty|Writeback): +\d+ kB$/gm);
  expect(said).toHaveLength(2);
  expect(() => new QuickDisk({ openSync: () => 0 } as never, () => undefined, tmpdir())).not.toThrow();
});
