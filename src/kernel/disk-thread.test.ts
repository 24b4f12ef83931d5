import * as fs from "node:fs";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Disk, DiskThread, type LaterFile } from "./disk-thread.ts";
import { unsyncableFolder } from "./files.ts";

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

  test("makes files and folders durable, or says which one it couldn't", async () => {
    const thread = new DiskThread(32);
    await thread.sync([]);
    await thread.sync([folder, folder]);
    await expect(thread.sync([folder, join(folder, "absent")])).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("what the thread does", () => {
  type Question = { id?: number; files?: LaterFile[]; sync?: string[] };
  let ask: (question: Question) => void;
  let answers: unknown[];
  /** Syncs that were begun and wait to be ended. */
  let syncs: ((error?: NodeJS.ErrnoException) => void)[];

  beforeEach(() => {
    answers = [];
    syncs = [];
    const port = {
      on: (_: string, listener: (questions: unknown) => void) =>
        void (ask = ({ files = [], id, sync }) => listener({ files, asked: id === undefined ? [] : [{ id, sync }] })),
      postMessage: (answer: unknown) => answers.push(answer),
    };
    const fsync = (_fd: number, done: (error: NodeJS.ErrnoException | null) => void) =>
      syncs.push((error) => done(error ?? null));
    // Of the port only these two are used.
    const node = { fs: { ...fs, fsync } as unknown as typeof fs, path };
    new Disk(port as unknown as ConstructorParameters<typeof Disk>[0], node, unsyncableFolder, 32).serve();
  });

  const failed = (code: string) => Object.assign(new Error(code), { code });

  test("two are made durable at a time; who asks for all is answered when all are", () => {
    ask({ files: ["a", "b", "c"].map((name) => file(name, name)) });
    expect(syncs).toHaveLength(2);
    ask({ id: 7 });
    syncs[0]?.();
    syncs[1]?.();
    expect(answers).toEqual([]);
    expect(syncs).toHaveLength(3);
    syncs[2]?.();
    expect(answers).toEqual([{ id: 7 }]);
  });

  test("a sync that fails is told, of one that was removed meanwhile it isn't asked", () => {
    ask({ files: [file("a", "")] });
    rmSync(join(folder, "a"));
    ask({ files: [file("b", ""), file("c", "")] });
    for (let at = 0; at < syncs.length; at++) syncs[at]?.(at === 1 ? failed("EIO") : undefined);
    ask({ id: 1 });
    ask({ id: 2 });
    const failure = { code: "EIO", message: "EIO", path: join(folder, "c") };
    expect(answers).toEqual([
      { id: 1, failure },
      { id: 2, failure },
    ]);
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
