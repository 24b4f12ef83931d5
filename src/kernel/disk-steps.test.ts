import * as fs from "node:fs";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type DiskStep, type DiskStepDone, DiskSteps, unsure } from "./disk-steps.ts";

let root: string;
/** What was asked to be made durable, each time. */
let synced: { readonly paths: string[]; readonly open: string[] }[];
let fails: (paths: readonly string[]) => string | undefined;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "fen-steps-"));
  synced = [];
  fails = () => undefined;
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

const at = (name: string) => (name === "" ? root : join(root, name));
const names = (paths: Iterable<string>) => [...paths].map((one) => path.relative(root, one) || "root").sort();

function steps(mostOpen = 32): DiskSteps {
  const sync = async (paths: readonly string[], open?: ReadonlyMap<string, number>) => {
    synced.push({ paths: names(paths), open: names(open?.keys() ?? []) });
    const code = fails(paths);
    if (code !== undefined) throw Object.assign(new Error(code), { code });
  };
  return new DiskSteps({ fs, path }, sync, { unsure, mostOpen });
}

/** What came of each, and the code of what went wrong. */
async function carryOut(list: readonly DiskStep[], on = steps()) {
  const done: DiskStepDone[] = [];
  try {
    await on.carryOut(root, list, (one) => done.push(one));
    return { done };
  } catch (error) {
    return { done, code: (error as NodeJS.ErrnoException).code };
  }
}

const create = (name: string, content = "x"): DiskStep => ({ do: "create", path: at(name), content });
const adopt = (from: string, to: string, durable = false): DiskStep => ({
  do: "adopt",
  from: at(from),
  path: at(to),
  durable,
});
const number = (name: string, folder: string, known?: { file: string; number: number }): DiskStep => ({
  do: "number",
  path: at(name),
  folder: at(folder),
  around: ["n: ", "\n"],
  known,
});

describe("steps on a disk", () => {
  test("files and folders are made; all of it is made durable, with the names above that are new, by descriptors that are open yet", async () => {
    const paths = ["run", "run/a", "run/a/raw"].map((name) => at(`.fen/staging/m/${name}`));
    const { done } = await carryOut([
      create(".fen/staging/m/run/a/raw", "ü"),
      { do: "sync", path: at(".fen/staging/m/run"), paths },
    ]);
    expect(done).toEqual([{}, {}]);
    expect(readFileSync(at(".fen/staging/m/run/a/raw"), "utf8")).toBe("ü");
    expect(synced).toEqual([
      {
        paths: ["root", ".fen", ".fen/staging", ".fen/staging/m", ...names(paths)].sort(),
        open: [".fen/staging/m/run/a/raw"],
      },
    ]);
  });

  test("names above are synced once, again where that failed", async () => {
    const on = steps();
    const run = (name: string): DiskStep[] => [
      create(`m/${name}/raw`),
      { do: "sync", path: at(`m/${name}`), paths: [at(`m/${name}`)] },
    ];
    fails = () => "EIO";
    expect(await carryOut(run("1"), on)).toEqual({ done: [{}], code: "EIO" });
    fails = () => undefined;
    await carryOut(run("2"), on);
    await carryOut(run("3"), on);
    expect(synced.map(({ paths }) => paths.includes("root"))).toEqual([true, true, false]);
  });

  test.runIf(existsSync("/proc/self/fd"))(
    "however many files are made, few stay open, and none after the end",
    async () => {
      const ours = () => readdirSync("/proc/self/fd").filter((fd) => isIn(root, fd)).length;
      const many = Array.from({ length: 20 }, (_, n) => create(`a/${n}`));
      let open = 0;
      const on = steps(10);
      await on.carryOut(root, many, () => (open = Math.max(open, ours())));
      expect(open).toBe(5);
      expect(ours()).toBe(0);
      await carryOut([...many.slice(0, 1), create("b/1")], on); // the first is there already
      expect(ours()).toBe(0);
    },
  );

  test("a number is one more than the highest; where the latest is known, and still said, nobody looks for it", async () => {
    for (const name of ["1", "9", "10", "x", "007", ".11.tmp"]) mkdirSync(at(`d/${name}`), { recursive: true });
    writeFileSync(at("d/latest"), "9");
    mkdirSync(at("s"));
    const known = (value: number) => ({ file: at("d/latest"), number: value });
    const { done } = await carryOut([
      number("s/none", "absent"),
      number("s/listed", "d"),
      number("s/known", "d", known(9)),
      number("s/not any more", "d", known(8)),
    ]);
    expect(done.map((one) => one.number)).toEqual([1, 11, 10, 11]);
    expect(readFileSync(at("s/known"), "utf8")).toBe("n: 10\n");
  });

  test("a folder gets its new name where nothing is called that; what isn't adopted ends the list", async () => {
    mkdirSync(at("one"));
    mkdirSync(at("two"));
    mkdirSync(at("old/1"), { recursive: true });
    const { done } = await carryOut([adopt("one", "new/folder/1"), adopt("two", "old/1"), create("never/made")]);
    expect(done).toEqual([{ outcome: "adopted", made: at("new") }, { outcome: "taken" }]);
    expect((await carryOut([adopt("gone", "new/2"), create("never/made")])).done).toEqual([{ outcome: "absent" }]);
    expect(existsSync(at("never"))).toBe(false);
    expect(synced).toEqual([]);
  });

  test("durably: the names in its folder each time, those above once, and again where folders were removed", async () => {
    const on = steps();
    for (const name of ["1", "2", "3"]) mkdirSync(at(name));
    await carryOut([adopt("1", "a/b/1", true)], on);
    await carryOut([adopt("2", "a/b/2", true)], on);
    expect(synced.map(({ paths }) => paths)).toEqual([["a", "a/b", "root"], ["a/b"]]);
    rmSync(at("a"), { recursive: true });
    await carryOut([adopt("3", "a/b/3", true)], on);
    expect(synced[2]?.paths).toEqual(["a", "a/b", "root"]);
  });

  test("a folder that was removed meanwhile needn't be durable; a disk that fails is told", async () => {
    for (const name of ["1", "2"]) mkdirSync(at(name));
    fails = (paths) => (paths.some((one) => one.endsWith("/a")) ? "ENOENT" : undefined);
    expect((await carryOut([adopt("1", "a/b/1", true)])).done).toMatchObject([{ outcome: "adopted" }]);
    fails = () => "EIO";
    expect(await carryOut([adopt("2", "a/b/2", true)])).toEqual({ done: [], code: "EIO" });
    expect(existsSync(at("a/b/2"))).toBe(true);
  });

  test("a small file is written whole, in its place where only the last byte differs", async () => {
    const write = (text: string): DiskStep => ({ do: "write", path: at("latest"), aside: at(".latest.tmp"), text });
    const inode = () => fs.statSync(at("latest")).ino;
    await carryOut([write("1")]);
    const first = inode();
    await carryOut([write("2")]);
    expect([readFileSync(at("latest"), "utf8"), inode()]).toEqual(["2", first]);
    await carryOut([write("10")]);
    expect(readFileSync(at("latest"), "utf8")).toBe("10");
    mkdirSync(at("folder"));
    const refused = await carryOut([{ do: "write", path: at("folder"), aside: at(".folder.tmp"), text: "1" }]);
    expect(refused).toEqual({ done: [], code: expect.stringMatching(/EISDIR|EEXIST|EPERM/) });
    expect(readdirSync(root).sort()).toEqual(["folder", "latest"]);
  });

  test("what is there is seen; a folder is removed with the files in it", async () => {
    mkdirSync(at("run"));
    writeFileSync(at("run/.owner"), "");
    const see = (name: string): DiskStep => ({ do: "stat", path: at(name) });
    const { done } = await carryOut([see("run"), see("none"), { do: "remove", path: at("run") }, see("run")]);
    expect(done.map((one) => one.isThere)).toEqual([true, false, undefined, false]);
  });

  test.each<[string, DiskStep]>([
    ["a folder with folders in it", { do: "remove", path: "deep" }],
    ["a link that can't be made", { do: "link", from: "none", path: "run/.owner" }],
    ["a file behind a link", { do: "create", path: "out/file", content: "" }],
    ["a folder that would go behind a link", { do: "adopt", from: "one", path: "out/one", durable: false }],
    ["a folder that would come from behind a link", { do: "adopt", from: "out/in it", path: "new", durable: false }],
    ["a number from behind a link", { do: "number", path: "deep/n", folder: "out/x", around: ["", ""] }],
    ["what is outside", { do: "stat", path: "../elsewhere/x" }],
  ])("is not sure of %s: then nothing was done", async (_, step) => {
    mkdirSync(at("deep/folder"), { recursive: true });
    mkdirSync(at("one"));
    const elsewhere = mkdtempSync(join(tmpdir(), "fen-elsewhere-"));
    mkdirSync(join(elsewhere, "in it"));
    symlinkSync(elsewhere, at("out"));
    const full = Object.fromEntries(
      Object.entries(step).map(([key, value]) => [
        key,
        ["path", "from", "folder"].includes(key) ? path.join(root, String(value)) : value,
      ]),
    );
    expect(await carryOut([full as DiskStep])).toEqual({ done: [], code: unsure });
    expect(readdirSync(elsewhere)).toEqual(["in it"]);
    expect(existsSync(at("one"))).toBe(true);
    rmSync(elsewhere, { recursive: true });
  });
});

function isIn(folder: string, fd: string): boolean {
  try {
    return fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder);
  } catch {
    return false;
  }
}
