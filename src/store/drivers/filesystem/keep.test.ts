/** Which folders the disk is asked to keep, and how often, for what was adopted without that. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type * as kernelFiles from "../../../kernel/files.ts";
import { systemMachine } from "../../../kernel/machine.ts";
import type { LocalFiles } from "../../contract.ts";
import { openFilesystemDatastore } from "./datastore.ts";

const disk = vi.hoisted(() => ({ synced: [] as string[], fails: "", waits: "", until: Promise.resolve() }));
vi.mock("../../../kernel/files.ts", async (original) => {
  const real = await original<typeof kernelFiles>();
  const syncAll = async (paths: Iterable<string>) => {
    for (const path of paths) {
      disk.synced.push(path);
      if (path.endsWith(disk.fails)) throw Object.assign(new Error("EIO"), { code: "EIO" });
      if (path.endsWith(disk.waits)) await disk.until;
      await real.syncAll([path]);
    }
  };
  return { ...real, syncAll };
});

let root: string;
let files: LocalFiles;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "fen-keep-"));
  files = openFilesystemDatastore(root, systemMachine("fen")).local;
  disk.fails = "nothing";
  disk.waits = "nothing";
});
afterEach(() => rmSync(root, { recursive: true }));

/** What was synced since the last look. */
const synced = () => disk.synced.splice(0).map((path) => relative(root, path) || "root");

async function adopt(to: string, options?: { readonly durable: boolean }): Promise<void> {
  mkdirSync(join(root, "from"));
  expect(await files.adopt("from", to, options)).toBe("adopted");
}
const later = { durable: false };

test("nothing is synced before; then each folder once, and names that are on the disk no more", async () => {
  for (const path of ["data/a/1", "data/a/2", "data/b/1"]) await adopt(path, later);
  expect(synced()).toEqual([]);
  await files.keep(["data/a/1", "data/a/2", "data/b/1"]);
  expect(synced().sort()).toEqual(["data", "data/a", "data/b", "root"]);
  await adopt("data/a/3", later);
  await files.keep(["data/a/3"]);
  await adopt("data/b/2");
  expect(synced()).toEqual(["data/a", "data/b"]);
});

test("who asks while another's are on their way waits for them, too", async () => {
  let end = (): void => undefined;
  disk.until = new Promise((resolve) => (end = resolve));
  disk.waits = "/data";
  await adopt("data/a/1", later);
  const first = files.keep(["data/a/1"]);
  await adopt("data/a/2", later);
  let isKept = false;
  const second = files.keep(["data/a/2"]).then(() => (isKept = true));
  await vi.waitFor(() => expect(disk.synced.filter((path) => path.endsWith("/data/a"))).toHaveLength(2));
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(isKept).toBe(false);
  end();
  await Promise.all([first, second]);
});

test.each([later, { durable: true }])(
  "the names of folders that were removed and are made anew are synced again: %j",
  async (how) => {
    await adopt("data/a/1");
    rmSync(join(root, "data"), { recursive: true });
    synced();
    await adopt("data/a/1", how);
    await files.keep(["data/a/1"]);
    expect([...new Set(synced())].sort()).toEqual(["data", "data/a", "root"]);
  },
);

test("what was removed meanwhile needn't be kept", async () => {
  await adopt("data/a/1", later);
  rmSync(join(root, "data"), { recursive: true });
  await files.keep(["data/a/1"]);
});

test("what the disk couldn't keep is an error, and is asked for again", async () => {
  await adopt("data/a/1", later);
  disk.fails = "data";
  await expect(files.keep(["data/a/1"])).rejects.toMatchObject({ code: "store_unavailable" });
  synced();
  disk.fails = "nothing";
  disk.waits = "nothing";
  await files.keep(["data/a/1"]);
  expect(synced()).toEqual(expect.arrayContaining(["data", "data/a"]));
});
