import * as fs from "node:fs";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DiskSteps, unsure } from "./disk-steps.ts";
import { Disk, DiskThread, type LaterFile } from "./disk-thread.ts";
import { unsyncableFolder } from "./files.ts";
import { QuickDisk } from "./quick-disk.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fen-disk-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string, text: string): LaterFile => ({
  path: join(folder, name),
  aside: join(folder, path.dirname(name), `.${path.basename(name)}.tmp`),
  text,
});

describe("a thread for the disk", () => {
  test("writes files whole, in the place of old ones too, and makes folders that were removed meanwhile", async () => {
    const thread = new DiskThread(32);
    writeFileSync(join(folder, "old"), "before");
    thread.write(file("old", "after"));
    thread.write(file("gone/new", "ü".repeat(100_000)));
    await thread.settled();
    expect(readFileSync(join(folder, "old"), "utf8")).toBe("after");
    expect(readFileSync(join(folder, "gone/new"), "utf8")).toBe("ü".repeat(100_000));
    expect(readdirSync(folder, { recursive: true }).toSorted()).toEqual(["gone", "gone/new", "old"]);
  });

  test("a file that can't be written is told, and the others get there", async () => {
    const thread = new DiskThread(32);
    writeFileSync(join(folder, "file"), "");
    mkdirSync(join(folder, "folder"));
    thread.write(file("file/in it", "1"));
    thread.write(file("folder", "2"));
    thread.write(file("other", "3"));
    await expect(thread.settled()).rejects.toMatchObject({ code: "ENOTDIR" });
    expect(readdirSync(folder).toSorted()).toEqual(["file", "folder", "other"]);
  });

  test.each([
    ["all at once where that is possible", true],
    ["each by itself where it isn't", false],
  ])("what was written is made durable: %s", async (_, isPossible) => {
    const told: string[] = [];
    const disks = {
      add: (path: string) => told.push(path) > 0 && isPossible,
      sync: async () => {
        told.push(...readdirSync(folder).toSorted());
        return isPossible;
      },
    };
    const thread = new DiskThread(32, { disks });
    thread.write(file("a", "1"));
    thread.write(file("b", "2"));
    await Promise.all([thread.settled(), thread.settled()]);
    expect(told).toEqual([folder, folder, "a", "b"]);
    await thread.settled();
    expect(told).toHaveLength(4); // nothing was written since
  });

  test("what can't be made durable all at once is asked for file by file", async () => {
    const sync = async () => {
      rmSync(join(folder, "a"));
      symlinkSync("a", join(folder, "a")); // which can't be opened
      return false;
    };
    const thread = new DiskThread(32, { disks: { add: () => true, sync } });
    thread.write(file("a", "1"));
    await expect(thread.settled()).rejects.toMatchObject({ code: "ELOOP", path: join(folder, "a") });
  });

  test("who asks after a failure is told, when what came after it is written", async () => {
    const thread = new DiskThread(32);
    writeFileSync(join(folder, "file"), "");
    thread.write(file("file/in it", ""));
    await expect(thread.settled()).rejects.toMatchObject({ code: "ENOTDIR" });
    for (let number = 0; number < 300; number++) thread.write(file(String(number), ""));
    await expect(thread.settled()).rejects.toMatchObject({ code: "ENOTDIR" });
    expect(readdirSync(folder)).toHaveLength(301);
  });

  test("thousands that can't be opened are told as one", async () => {
    const sync = async () => {
      rmSync(folder, { recursive: true });
      symlinkSync(folder, folder); // nothing in it can be opened
      return false;
    };
    const thread = new DiskThread(32, { disks: { add: () => true, sync } });
    for (let number = 0; number < 20_000; number++) thread.write(file(String(number), ""));
    await expect(thread.settled()).rejects.toMatchObject({ code: "ELOOP" });
  }, 60_000);

  test("where each is made durable by itself, that is begun before the end", async () => {
    let asked = 0;
    const thread = new DiskThread(32, { disks: { add: () => false, sync: async () => asked++ < 0 } });
    for (let number = 0; number < 200; number++) thread.write(file(String(number), ""));
    await expect.poll(() => asked).toBe(1);
    await thread.settled();
    expect(readdirSync(folder)).toHaveLength(200);
  });

  test("makes files and folders durable, or says which one it couldn't", async () => {
    const thread = new DiskThread(32);
    await thread.sync([]);
    await thread.sync([folder, folder]);
    await expect(thread.sync([folder, join(folder, "absent")])).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("what the thread does", () => {
  type Question = { id?: number; files?: LaterFile[]; sync?: string[]; isBeside?: true };
  let ask: (question: Question) => void;
  let answers: unknown[];
  /** Syncs that were begun and wait to be ended. */
  let syncs: ((error?: NodeJS.ErrnoException) => void)[];

  beforeEach(() => {
    answers = [];
    syncs = [];
    const port = {
      on: (_: string, listener: (questions: unknown) => void) =>
        void (ask = ({ files = [], id, ...asked }) =>
          listener({ files, asked: id === undefined ? [] : [{ id, ...asked }] })),
      postMessage: (answer: unknown) => answers.push(answer),
    };
    const fsync = (_fd: number, done: (error: NodeJS.ErrnoException | null) => void) =>
      syncs.push((error) => done(error ?? null));
    // Of the port only these two are used.
    const node = { fs: { ...fs, fsync } as unknown as typeof fs, path };
    const rules = { unsyncable: unsyncableFolder, mostOpen: 32, unsure };
    new Disk(
      port as unknown as ConstructorParameters<typeof Disk>[0],
      node,
      { Steps: DiskSteps, Quick: QuickDisk },
      rules,
    ).serve();
  });

  const failed = (code: string) => Object.assign(new Error(code), { code });

  test("who asks whether all was written is answered at once, and nothing is made durable for that", () => {
    ask({ files: ["a", "b", "c"].map((name) => file(name, name)) });
    ask({ id: 7 });
    expect(answers).toEqual([{ id: 7 }]);
    expect(syncs).toHaveLength(0);
  });

  test("a write that failed is told to everybody who asks", () => {
    ask({ files: [file("a", ""), file("a/b", "")] });
    ask({ id: 1 });
    ask({ id: 2 });
    const failure = { code: "ENOTDIR", message: expect.stringContaining("ENOTDIR"), path: join(folder, "a/b") };
    expect(answers).toEqual([
      { id: 1, failure },
      { id: 2, failure },
    ]);
  });

  test("beside the others two are made durable at a time, and others needn't wait for them", () => {
    const names = ["a", "b", "c"];
    ask({ files: names.map((name) => file(name, name)) });
    ask({ id: 1, sync: names.map((name) => join(folder, name)), isBeside: true });
    expect(syncs).toHaveLength(2);
    ask({ id: 2, sync: [folder] });
    expect(syncs).toHaveLength(3);
    syncs[2]?.();
    expect(answers).toEqual([{ id: 2 }]);
    syncs[0]?.();
    syncs[1]?.();
    expect(syncs).toHaveLength(4);
    syncs[3]?.();
    expect(answers).toEqual([{ id: 2 }, { id: 1 }]);
  });

  test("a sync that fails is told; of what is made durable beside, one that was removed meanwhile isn't missed", () => {
    ask({ files: ["a", "b", "c"].map((name) => file(name, "")) });
    rmSync(join(folder, "a"));
    ask({ id: 1, sync: ["a", "b", "c"].map((name) => join(folder, name)), isBeside: true });
    for (let at = 0; at < syncs.length; at++) syncs[at]?.(at === 1 ? failed("EIO") : undefined);
    expect(answers).toEqual([{ id: 1, failure: { code: "EIO", message: "EIO", path: join(folder, "c") } }]);
  });

  test("a folder that the filesystem refuses to sync is as durable as it can be, a file isn't", () => {
    ask({ id: 1, sync: [folder] });
    syncs[0]?.(failed("EINVAL"));
    writeFileSync(join(folder, "file"), "");
    ask({ id: 2, sync: [join(folder, "file")] });
    syncs[1]?.(failed("EINVAL"));
    expect(answers).toEqual([
      { id: 1 },
      { id: 2, failure: { code: "EINVAL", message: "EINVAL", path: join(folder, "file") } },
    ]);
  });

  test("however many are asked for, few are open at a time", () => {
    for (let id = 0; id < 100; id++) ask({ id, sync: [folder, folder] });
    expect(syncs).toHaveLength(32);
    for (let at = 0; at < syncs.length; at++) syncs[at]?.();
    expect(answers).toHaveLength(100);
  });
});
