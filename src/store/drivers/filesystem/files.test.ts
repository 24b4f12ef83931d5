/** What leads out of a datastore, or is no folder, however it comes there while a command is at work. */
import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemMachine } from "../../../kernel/machine.ts";
import type { LocalFiles } from "../../contract.ts";
import { openFilesystemDatastore } from "./datastore.ts";

let base: string;
let files: LocalFiles;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "fen-files-"));
  mkdirSync(join(base, "root"));
  files = openFilesystemDatastore(join(base, "root"), systemMachine("fen")).local;
});
afterEach(() => rmSync(base, { recursive: true }));

const look = (path: string) => files.read(path, { maxBytes: 10 });

test("a link to what isn't there yet is looked at again: when its target is there, it leads out", async () => {
  symlinkSync(join(base, "later"), join(base, "root", "link"));
  expect(await look("link/file")).toBeUndefined();
  mkdirSync(join(base, "later"));
  for (const path of ["link/file", "link/folder/file"])
    await expect(files.write(path, "x")).rejects.toMatchObject({ code: "path_escapes" });
  expect(readdirSync(join(base, "later"))).toEqual([]);
});

test("where nothing was at the first look, a link that leads out is refused later", async () => {
  expect(await look("folder/below/file")).toBeUndefined();
  mkdirSync(join(base, "outside"));
  symlinkSync(join(base, "outside"), join(base, "root", "folder"));
  await expect(files.write("folder/below/file", "x")).rejects.toMatchObject({ code: "path_escapes" });
  expect(readdirSync(join(base, "outside"))).toEqual([]);
});

test("below a file there is nothing, at the first look and at the next", async () => {
  writeFileSync(join(base, "root", "file"), "");
  expect(await look("file/one")).toBeUndefined();
  expect(await look("file/folder/one")).toBeUndefined();
  mkdirSync(join(base, "root", "from"));
  await expect(files.adopt("from", "file/folder/one")).rejects.toMatchObject({ code: "store_unavailable" });
  expect(await files.adopt("absent", "file/folder/one")).toBe("absent");
});

test("a folder that can't be looked at is told as an error of the store", async () => {
  await expect(look(`${"x".repeat(300)}/file`)).rejects.toMatchObject({ code: "store_unavailable" });
});

test("what others write later comes there whole; it doesn't lead out, and what fails is told as an error of the store", async () => {
  const later = files.later?.();
  if (later === undefined) throw new Error("files of a folder are written by a thread");
  later.write("outputs/one", "1");
  symlinkSync(base, join(base, "root", "link"));
  expect(() => later.write("link/two", "2")).toThrow(expect.objectContaining({ code: "path_escapes" }));
  expect(() => later.write("../two", "2")).toThrow(expect.objectContaining({ code: "path_escapes" }));
  await later.settled();
  expect(new TextDecoder().decode(await look("outputs/one"))).toBe("1");
  later.write("outputs/one/below a file", "3");
  await expect(later.settled()).rejects.toMatchObject({
    code: "store_unavailable",
    facts: { path: join(base, "root", "outputs/one/below a file") },
  });
});

test("where the folder of files was removed meanwhile, they needn't be durable: neither theirs nor that of others", async () => {
  await files.write("outputs/one", "1", { durable: false });
  const later = files.later?.();
  later?.write("outputs/two", "2");
  await later?.settled();
  rmSync(join(base, "root", "outputs"), { recursive: true });
  await files.sync(["outputs/one"]);
  await later?.settled();
});

test("a pipe keeps nobody waiting, whatever is done with it", async () => {
  const path = join(base, "root", "pipe");
  execFileSync("mkfifo", [path]);
  const refused = { code: "store_unavailable", message: expect.stringContaining(`${path} (it is a pipe, `) };
  await expect(files.stream("pipe")[Symbol.asyncIterator]().next()).rejects.toMatchObject(refused);
  await expect(files.reopen("pipe")).rejects.toMatchObject(refused);
  await expect(files.owner("pipe")).rejects.toMatchObject(refused);
  await expect(look("pipe")).rejects.toMatchObject(refused);
});

test("a file that is made from the one that tells that we live is that one, and outlives its other name", async () => {
  const owned = await files.own("run/.owner");
  const file = await files.create("run/log/raw", { from: "run/.owner" });
  file.append("one ");
  file.append("two");
  expect(statSync(join(base, "root/run/log/raw")).ino).toBe(statSync(join(base, "root/run/.owner")).ino);
  await file.close();
  expect(await files.owner("run/.owner")).toBe("alive");
  await files.remove("run/.owner");
  owned.letGo();
  expect(readFileSync(join(base, "root/run/log/raw"), "utf8")).toBe("one two");
  await expect(files.create("run/log/raw", { from: "run/log/raw" })).rejects.toThrow("EEXIST");
});

test("where that one is gone, isn't empty, or is no file that can have two names, a new one is made", async () => {
  mkdirSync(join(base, "root/folder"));
  execFileSync("mkfifo", [join(base, "root/pipe")]);
  symlinkSync(join(base, "root/folder"), join(base, "root/link"));
  writeFileSync(join(base, "root/full"), "somebody's");
  for (const from of ["none", "folder", "pipe", "link", "full"]) {
    const file = await files.create(`of-${from}/raw`, { from });
    file.append("new");
    await file.close();
    expect(readFileSync(join(base, `root/of-${from}/raw`), "utf8")).toBe("new");
  }
});
