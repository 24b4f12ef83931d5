/** The same steps, done here and by the thread for the disk: what comes of them, and what is in the datastore afterwards. */
import {
  existsSync,
  lstatSync,
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
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemMachine } from "../../../kernel/machine.ts";
import type { FileStep, LocalFiles, Owned, StepsDone } from "../../contract.ts";
import { openFilesystemDatastore } from "./datastore.ts";

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "fen-elsewhere-"));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

/** A datastore; `elsewhere`: a run of many steps is going on there, and so another thread does what it can. */
async function open(name: string, { elsewhere }: { readonly elsewhere: boolean }) {
  const root = join(base, name);
  mkdirSync(root);
  const files = openFilesystemDatastore(root, systemMachine("fen")).local;
  const life = await files.own(".fen/runs/r.owner");
  if (elsewhere) expect(files.later?.()).toBeDefined();
  return { root, files, life };
}

/** Names, and what is in files. */
function treeOf(root: string): Record<string, string> {
  const found = readdirSync(root, { recursive: true, encoding: "utf8" }).map((name) => {
    const info = lstatSync(join(root, name));
    if (name.endsWith(".owner")) return [name, "an output, under another name, or not"];
    return [name, info.isFile() ? readFileSync(join(root, name), "utf8") : info.isDirectory() ? "/" : "->"];
  });
  return Object.fromEntries(found);
}

const plain = ({ done, failure }: StepsDone) => ({
  done: done.map(({ owned, ...one }) => (owned === undefined ? one : { ...one, owned: true })),
  code: failure?.code,
});

const run = ".fen/staging/m/run";
const write = (number: number): FileStep[] => [
  { do: "create", path: `${run}/log/raw`, content: new Uint8Array([0xff, 0, 10]), from: `${run}/.owner` },
  { do: "create", path: `${run}/result/raw`, content: "ü".repeat(1000) },
  { do: "number", path: `${run}/log/metadata.yaml`, folder: "data/m/log", around: ["a: ", "\nb: 1\n"] },
  {
    do: "number",
    path: `${run}/result/metadata.yaml`,
    folder: "data/m/result",
    around: ["", ""],
    known: { file: "data/m/result/latest", number: number - 1 },
  },
  { do: "settle", path: run, files: ["log/raw", "log/metadata.yaml", "result/raw", "result/metadata.yaml"] },
];
const move = (number: number): FileStep[] => [
  { do: "adopt", from: run, to: `${run}.commit`, durable: true },
  { do: "adopt", from: `${run}.commit/log`, to: `data/m/log/${number}`, durable: false },
  { do: "write", path: "data/m/log/latest", text: String(number) },
  { do: "adopt", from: `${run}.commit/result`, to: `data/m/result/${number}`, durable: false },
  { do: "write", path: "data/m/result/latest", text: String(number) },
  { do: "stat", path: `data/m/result/${number}` },
  { do: "stat", path: `data/m/result/${number + 1}` },
  { do: "remove", path: `${run}.commit` },
];
const own: FileStep = { do: "own", path: `${run}/.owner` };

async function carryOut(
  { root, files }: { readonly root: string; readonly files: LocalFiles },
  lists: readonly (readonly FileStep[])[],
) {
  const results = [];
  for (const list of lists) results.push(plain(await files.inOrder(list)));
  return { results, tree: treeOf(root) };
}

describe("steps that another thread does", () => {
  test.each<[string, (root: string) => void, readonly (readonly FileStep[])[]]>([
    ["a commit, and another", () => undefined, [[own, ...write(1)], move(1), [own, ...write(2)], move(2)]],
    ["a commit without a look that all is alone", () => undefined, [write(1), move(1)]],
    [
      "a number that is taken meanwhile",
      (root) => mkdirSync(join(root, "data/m/result/1"), { recursive: true }),
      [[own, ...write(1)], move(1)],
    ],
    ["a folder that is gone", () => undefined, [move(1), [own, ...write(1)]]],
    [
      "a link to a folder of the datastore",
      (root) => {
        mkdirSync(join(root, "elsewhere"));
        symlinkSync("elsewhere", join(root, "data"));
      },
      [[own, ...write(1)], move(1), [own, ...write(2)], move(2)],
    ],
    [
      "a link that leads out",
      (root) => {
        mkdirSync(join(root, "../outside"), { recursive: true });
        symlinkSync(join(root, "../outside"), join(root, "data"));
      },
      [[own, ...write(1)], move(1)],
    ],
    [
      "a file in the place of a folder",
      (root) => {
        mkdirSync(join(root, ".fen/staging"), { recursive: true });
        writeFileSync(join(root, ".fen/staging/m"), "");
      },
      [[own, ...write(1)], move(1)],
    ],
    ["a file that is there already", () => undefined, [[own, ...write(1)], write(1)]],
    [
      "more in a folder than was thought",
      (root) => mkdirSync(join(root, run, ".deep/er"), { recursive: true }),
      [[own, ...write(1)], move(1)],
    ],
  ])("come to the same as here: %s", async (_, prepare, lists) => {
    const [here, there] = [await open("here", { elsewhere: false }), await open("there", { elsewhere: true })];
    for (const { root } of [here, there]) prepare(root);
    const expected = await carryOut(here, lists);
    expect(await carryOut(there, lists)).toEqual(expected);
    if (existsSync(join(base, "outside"))) expect(readdirSync(join(base, "outside"))).toEqual([]);
  });

  test("what tells that the run lives shares its life, and no output is written into that", async () => {
    const { root, files, life } = await open("there", { elsewhere: true });
    const { done } = await files.inOrder([own, ...write(1)]);
    expect(await files.owner(own.path)).toBe("alive");
    done[0]?.owned?.letGo();
    expect(await files.owner(own.path)).toBe("alive"); // it lives as long as the run
    expect(statSync(join(root, ".fen/runs/r.owner"))).toMatchObject({ size: 0, nlink: 2 });
    life.letGo();
    expect(await files.owner(own.path)).toBe("dead");
    await files.inOrder(move(1));
    expect(statSync(join(root, ".fen/runs/r.owner")).nlink).toBe(1);
  });

  test("nor into what shares a life, where the rest is done here", async () => {
    const { root, files } = await open("there", { elsewhere: true });
    await files.inOrder([own]);
    const file = await files.create(`${run}/log/raw`, { from: own.path });
    file.append("content");
    await file.close();
    expect(statSync(join(root, ".fen/runs/r.owner")).size).toBe(0);
    expect(readFileSync(join(root, run, "log/raw"), "utf8")).toBe("content");
  });

  test("without a file that tells that we live, each run has its own, and it is done here", async () => {
    const { files, life } = await open("there", { elsewhere: true });
    life.letGo();
    const { done } = await files.inOrder([own, ...write(1)]);
    expect(await files.owner(own.path)).toBe("alive");
    const owned: Owned | undefined = done[0]?.owned;
    owned?.letGo();
    expect(await files.owner(own.path)).toBe("dead");
  });

  test("hundreds at the same time", async () => {
    const { root, files } = await open("there", { elsewhere: true });
    const ofModel = (list: readonly FileStep[], model: number): FileStep[] =>
      JSON.parse(JSON.stringify(list).replaceAll(/(staging|data)\/m\//g, `$1/m${model}/`));
    const text = (list: FileStep[]) => list.filter((step) => step.do !== "create" || typeof step.content === "string");
    const lists = [[own, ...text(write(1)).map((step) => ({ ...step, files: ["result/raw"] }))], move(1)].map((list) =>
      list.filter((step) => !JSON.stringify(step).includes("log")),
    );
    await Promise.all(
      Array.from({ length: 300 }, async (_, model) => {
        for (const list of lists) expect(plain(await files.inOrder(ofModel(list, model))).code).toBeUndefined();
      }),
    );
    expect(readdirSync(join(root, "data"))).toHaveLength(300);
    expect(readFileSync(join(root, "data/m299/result/1/raw"), "utf8")).toBe("ü".repeat(1000));
  });
});
