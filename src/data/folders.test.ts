import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FenError } from "../kernel/errors.ts";
import { sha256Hex } from "../kernel/hash.ts";
import { systemMachine } from "../kernel/machine.ts";
import type { Entry, LocalFiles } from "../store/contract.ts";
import { openFilesystemDatastore } from "../store/drivers/filesystem/datastore.ts";
import type { Held } from "./contract.ts";
import { FolderVersions } from "./folders.ts";
import { dataFolder } from "./layout.ts";
import { Staging } from "./staging.ts";
import { DataVersions } from "./versions.ts";
import { textSpec as spec } from "../../test/support/output-spec.ts";

const machine = systemMachine("test");
const model = { type: "command/shell", id: "a0000000-0000-4000-a000-000000000001" };

/** The files, with methods of a test's own. */
function instead(files: LocalFiles, own: Partial<LocalFiles>): LocalFiles {
  return new Proxy(files, {
    get: (target, name) => {
      const value: unknown = Reflect.get(Object.hasOwn(own, name) ? own : target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

let root: string;
let data: FolderVersions;
/** How often the list of versions was read. */
let lists: number;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "fen-folders-"));
  const files = openFilesystemDatastore(root, machine).local;
  lists = 0;
  const list = (path: string): Promise<readonly Entry[]> => {
    if (path === dataFolder(model, "log")) lists++;
    return files.list(path);
  };
  data = new FolderVersions(instead(files, { list }));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const lease = (): Held => ({
  grants: [],
  signal: new AbortController().signal,
  assertHeld: async () => undefined,
  commit: () => Promise.reject(new Error("nothing is committed to the lock of a folder")),
});

async function commit(held: Held): Promise<number | undefined> {
  const staging = new Staging(data, machine, { model, runId: machine.random.uuid() });
  await (await staging.openFile("log", spec)).close();
  const [first] = await staging.commit({ owner: { ownerType: "model-method", ownerRef: model.id }, tags: {}, held });
  return first?.version;
}

describe("the number of the next version under one lease", () => {
  test("needs the list of all versions once", async () => {
    const held = lease();
    expect(await commit(held)).toBe(1);
    lists = 0;
    for (const number of [2, 3, 4]) expect(await commit(held)).toBe(number);
    expect(lists).toBe(0);
  });

  test("is above those that a command of the holder's has made meanwhile, though it removed some", async () => {
    const [held, called] = [lease(), lease()];
    expect(await commit(held)).toBe(1);
    for (const number of [2, 3]) expect(await commit(called)).toBe(number);
    await data.remove(model, "log", { numbers: [2], held: called });
    expect(await commit(held)).toBe(4);
  });

  test("is above one whose maker died before it could say so", async () => {
    const held = lease();
    expect(await commit(held)).toBe(1);
    expect(await commit(lease())).toBe(2);
    await data.local.write(`${dataFolder(model, "log")}/latest`, "1");
    expect(await commit(held)).toBe(3);
  });

  test("follows what is left where the newest was removed", async () => {
    const held = lease();
    for (const number of [1, 2]) expect(await commit(held)).toBe(number);
    await data.remove(model, "log", { numbers: [2], held });
    expect(await commit(held)).toBe(2);
  });
});

test("what is brought from elsewhere is brought by the next command, whatever one that was killed has left of it", async () => {
  const content = "seven";
  const id = "c0000000-0000-4000-a000-000000000003";
  const metadata = {
    ...{ id, name: "log", version: 7, ...spec, ownerDefinition: { ownerType: "model-method" as const, ownerRef: "" } },
    ...{ createdAt: "2026-01-01T00:00:00.000Z", size: content.length, checksum: sha256Hex(content) },
  };
  await data.local.write("from-elsewhere", content);
  await data.local.write(`.fen/bringing/${id}/raw`, "sev");
  await data.bring(model, [{ metadata, file: "from-elsewhere" }], lease());
  const bytes = await data.read({ model, name: "log", number: 7 }, { maxBytes: 100 });
  expect(new TextDecoder().decode(bytes)).toBe(content);
  expect(await data.local.list(".fen/bringing")).toEqual([]);
});

describe("what is removed", () => {
  const shown = async () => {
    const names = await data.names(model);
    return Promise.all(names.map(async (name) => ({ name, numbers: await data.numbers(model, name) })));
  };
  const all = () => readdirSync(join(root, "data/command/shell", model.id), { recursive: true, encoding: "utf8" });

  const through = (own: Partial<LocalFiles>) => new FolderVersions(instead(data.local, own));

  /** Through files that fail when a folder is removed: half-way, where that isn't refused. */
  const failing = (error: Error, isIt: (path: string) => boolean = () => true) =>
    through({
      remove: async (path) => {
        const [first] = await data.local.list(path);
        if (first === undefined || !isIt(path)) return data.local.remove(path);
        if (!(error instanceof FenError)) await data.local.remove(`${path}/${first.name}`);
        throw error;
      },
    });
  const dying = () => failing(new Error("killed"));

  test("is gone whole, though who removes it dies half-way; the next one, or a clean-up, removes the rest", async () => {
    const held = lease();
    for (const number of [1, 2, 3]) expect(await commit(held)).toBe(number);
    await expect(dying().remove(model, "log", { numbers: [2], held })).rejects.toThrow("killed");
    expect(await shown()).toEqual([{ name: "log", numbers: [1, 3] }]);
    expect(all()).toContain("log/.gone");
    expect(await data.latestNumber(model, "log")).toBe(3);
    await data.remove(model, "log", { numbers: [3], held });
    expect(all()).not.toContain("log/.gone");
    expect(await data.latestNumber(model, "log")).toBe(1);

    await expect(dying().remove(model, "log", { numbers: [1], held })).rejects.toThrow("killed");
    expect(await shown()).toEqual([]);
    expect(all()).toContain(".gone");
    await data.tidy();
    expect(all()).toEqual([]);
  });

  test("with its model is gone name by name", async () => {
    const held = lease();
    for (const number of [1, 2]) expect(await commit(held)).toBe(number);
    await expect(dying().forget(model, held)).rejects.toThrow("killed");
    expect(await shown()).toEqual([]);
    expect(all()).not.toEqual([]);
    await data.forget(model, held);
    expect(all()).toEqual([]);
  });

  test("is removed in its place where it can't be renamed", async () => {
    const held = lease();
    for (const number of [1, 2]) expect(await commit(held)).toBe(number);
    const adopt = () => Promise.reject(new FenError("store_unavailable", "EXDEV"));
    await through({ adopt }).remove(model, "log", { numbers: [1], held });
    expect(await shown()).toEqual([{ name: "log", numbers: [2] }]);
    await through({ adopt }).remove(model, "log", { numbers: [2], held });
    expect(all()).toEqual([]);
  });

  test("is there again where its files can't be removed; what is beside it can be, by others and by a clean-up", async () => {
    const held = lease();
    for (const number of [1, 2, 3]) expect(await commit(held)).toBe(number);
    const denied = new FenError("store_unavailable", "EACCES");
    const removing = failing(denied, (path) => /\/(\.gone|1)$/.test(path)).remove(model, "log", { numbers: [1], held });
    await expect(removing).rejects.toBe(denied);
    expect(await shown()).toEqual([{ name: "log", numbers: [1, 2, 3] }]);
    // Of one who died, and of another user.
    await data.local.adopt(`${dataFolder(model, "log")}/1`, `${dataFolder(model, "log")}/.gone`);
    const other = failing(denied, (path) => path.endsWith(".gone"));
    await other.remove(model, "log", { numbers: [2], held });
    expect(all().toSorted()).toEqual(expect.arrayContaining(["log/.gone", "log/3"]));
    await other.tidy();
    expect(await shown()).toEqual([{ name: "log", numbers: [3] }]);
  });

  test("is what is behind a link that somebody has put in its place", async () => {
    const held = lease();
    expect(await commit(held)).toBe(1);
    const place = join(root, dataFolder(model, "log"));
    renameSync(place, join(root, "data/elsewhere"));
    symlinkSync(join(root, "data/elsewhere"), place);
    await data.remove(model, "log", { numbers: [1], held });
    expect(readdirSync(join(root, "data/elsewhere"))).toEqual(["latest"]);
    expect(all()).toEqual([]);
  });
});

test("a version without its metadata is said to be damaged, with what to do", async () => {
  await commit(lease());
  rmSync(join(root, dataFolder(model, "log"), "1/metadata.yaml"));
  const versions = new DataVersions(data);
  const remedy = expect.stringContaining("fen data delete <model> log --version 1");
  await expect(versions.latest(model, "log")).rejects.toMatchObject({ code: "data_corrupt", hint: remedy });
  await expect(versions.version(model, "log", 2)).rejects.toMatchObject({ code: "data_missing" });
});

test("a version that a power cut has brought back empty goes with the next clean-up", async () => {
  await commit(lease());
  mkdirSync(join(root, dataFolder(model, "log"), "7"));
  await data.tidy();
  expect(await data.numbers(model, "log")).toEqual([1]);
});

test("a version that comes between two looks isn't damaged", async () => {
  await commit(lease());
  const real = data.metadata.bind(data);
  let looks = 0;
  data.metadata = async (version) => (looks++ === 0 ? undefined : real(version));
  expect((await new DataVersions(data).version(model, "log", 1)).metadata.name).toBe("log");
});
