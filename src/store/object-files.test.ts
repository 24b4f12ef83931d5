import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FaultyFiles } from "../../test/support/faulty-files.ts";
import { systemMachine } from "../kernel/machine.ts";
import type { LocalFiles } from "./contract.ts";
import { openFilesystemDatastore } from "./drivers/filesystem/datastore.ts";
import { MemoryObjects } from "./drivers/memory/objects.ts";
import { ObjectFiles } from "./object-files.ts";

let root: string;
let objects: MemoryObjects;
let here: ObjectFiles;
let elsewhere: ObjectFiles;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "fen-object-files-"));
  objects = new MemoryObjects();
  const local = (name: string): LocalFiles => openFilesystemDatastore(join(root, name), systemMachine()).local;
  here = new ObjectFiles(objects, local("here"));
  elsewhere = new ObjectFiles(objects, local("elsewhere"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const read = async (files: ObjectFiles, path: string): Promise<string | undefined> => {
  const bytes = await files.read(path, { maxBytes: 1000 });
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
};

test("what is written is there for everybody, and is on no disk", async () => {
  await here.write("outputs/a.yaml", "1");
  expect(await read(elsewhere, "outputs/a.yaml")).toBe("1");
  expect(await elsewhere.stat("outputs/a.yaml")).toMatchObject({ size: 1, kind: "file" });
  expect(readdirSync(root)).toEqual([]);
});

test("what needn't be durable is seen here, and elsewhere once it was synced or written durably", async () => {
  await here.write("a", "1");
  await here.write("a", "2", { durable: false });
  await here.write("b", "x", { durable: false });
  expect([await read(here, "a"), await read(elsewhere, "a"), await read(elsewhere, "b")]).toEqual([
    "2",
    "1",
    undefined,
  ]);
  await here.sync(["a", "none"]);
  await here.write("b", "y");
  expect([await read(elsewhere, "a"), await read(elsewhere, "b"), await read(here, "b")]).toEqual(["2", "y", "y"]);
});

test("a file that is appended to is seen here as it grows, and elsewhere when it is closed", async () => {
  const file = await here.create("log");
  file.append("one ");
  expect([await read(here, "log"), await read(elsewhere, "log")]).toEqual(["one ", undefined]);
  file.append("two");
  await file.close();
  await file.close();
  expect(await read(elsewhere, "log")).toBe("one two");
  const again = await elsewhere.reopen("log");
  again.append(" three");
  await again.close();
  expect(await read(here, "log")).toBe("one two three");
  await expect(here.reopen("none")).rejects.toMatchObject({ code: "store_unavailable" });
});

test("a log of which a part is there, and all of it here, is said once; what is whole here isn't written anew", async () => {
  const { local } = openFilesystemDatastore(join(root, "here"), systemMachine());
  const watched = new FaultyFiles(local, async () => undefined);
  const files = new ObjectFiles(objects, watched.files);
  await objects.put("a.log", Buffer.from("one "));
  await local.write("a.log", "one two ");
  const again = await files.reopen("a.log");
  expect(watched.steps).toEqual([]);
  again.append("three");
  await again.close();
  expect(await read(elsewhere, "a.log")).toBe("one two three");
  await local.write("b.log", "one two");
  await objects.put("b.log", Buffer.from("one "));
  await files.sync(["b.log", "none.log"]);
  expect([await read(elsewhere, "b.log"), await read(elsewhere, "none.log")]).toEqual(["one two", undefined]);
  // Of another machine that went on, the first one's words are put in front.
  await objects.put("c.log", Buffer.from("two"));
  await local.write("c.log", "one ");
  await files.sync(["c.log"]);
  expect(await read(elsewhere, "c.log")).toBe("one two");
});

test("a folder has what is in it, here and in the store, in code point order", async () => {
  await here.write("f/b", "1");
  await here.write("f/g/c", "1");
  await here.write("f/a", "1", { durable: false });
  expect(await here.list("f")).toEqual([
    { name: "a", kind: "file" },
    { name: "b", kind: "file" },
    { name: "g", kind: "folder" },
  ]);
  expect(await elsewhere.list("none")).toEqual([]);
});

test("what is removed is gone, a file or all of a folder, and only that", async () => {
  for (const path of ["f/a", "f/g/b", "fa"]) await here.write(path, "1");
  expect(await elsewhere.remove("f")).toBe(true);
  expect(await elsewhere.remove("f")).toBe(false);
  expect([await read(here, "f/a"), await read(here, "f/g/b"), await read(here, "fa")]).toEqual([
    undefined,
    undefined,
    "1",
  ]);
});

test("a stream begins where it is told to", async () => {
  await here.write("a", "0123456789");
  const chunks: Uint8Array[] = [];
  for await (const chunk of elsewhere.stream("a", { start: 7 })) chunks.push(chunk);
  expect(Buffer.concat(chunks).toString()).toBe("789");
});
