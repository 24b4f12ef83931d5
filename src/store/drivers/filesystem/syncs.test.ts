import { beforeEach, expect, test, vi } from "vitest";
import { syncAll } from "../../../kernel/files.ts";
import { Syncs } from "./syncs.ts";

vi.mock("../../../kernel/files.ts");

/** Syncs that were begun and wait to be ended. */
let begun: { readonly paths: readonly string[]; end(error?: Error): void }[];
const turn = () => new Promise((resolve) => setImmediate(resolve));

beforeEach(() => {
  begun = [];
  vi.mocked(syncAll).mockImplementation(
    (paths) =>
      new Promise((resolve, reject) => {
        const end = (error?: Error) => (error === undefined ? resolve() : reject(error));
        begun.push({ paths: [...paths], end });
      }),
  );
});

test("who asks while others are being synced is served, with all who do, when the first of them is done", async () => {
  const syncs = new Syncs(32);
  const done: string[] = [];
  const ask = (name: string, ...paths: string[]) => void syncs.sync(paths).then(() => done.push(name));
  ask("first", "a", "b");
  ask("with it", "a");
  await turn();
  expect(begun.map((one) => one.paths)).toEqual([["a"], ["b"]]);
  ask("second", "a");
  ask("third", "a", "c");
  await turn();
  expect(begun).toHaveLength(2);
  begun[0]?.end();
  await turn();
  expect(done).toEqual(["with it"]);
  expect(begun.map((one) => one.paths)).toEqual([["a"], ["b"], ["a"], ["c"]]);
  begun[2]?.end();
  await turn();
  expect(done).toEqual(["with it", "second"]);
  begun[3]?.end();
  begun[1]?.end();
  await turn();
  expect(done).toEqual(["with it", "second", "third", "first"]);
});

test("a sync that fails is told to those whom it should have served, and to nobody else", async () => {
  const syncs = new Syncs(32);
  const first = syncs.sync(["a"]);
  await turn();
  const second = syncs.sync(["a"]);
  begun[0]?.end(new Error("worn out"));
  await expect(first).rejects.toThrow("worn out");
  await turn();
  begun[1]?.end();
  await second;
});

test("however many are asked for, few are open at a time; each that is done makes room for the next, also by failing", async () => {
  const syncs = new Syncs(32);
  const asked = Array.from({ length: 40 }, (_, number) => syncs.sync([String(number)]));
  const ended = Promise.allSettled(asked);
  await turn();
  expect(begun).toHaveLength(32);
  begun[0]?.end(new Error("worn out"));
  begun[1]?.end();
  await turn();
  expect(begun).toHaveLength(34);
  for (let at = 2; at < 40; at++) {
    begun[at]?.end();
    await turn();
  }
  expect((await ended).map(({ status }) => status)).toEqual([
    "rejected",
    ...Array.from({ length: 39 }, () => "fulfilled"),
  ]);
});
