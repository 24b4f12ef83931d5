import { beforeEach, expect, test, vi } from "vitest";
import { syncAll } from "../../../kernel/files.ts";
import { FolderSyncs } from "./folder-syncs.ts";

vi.mock("../../../kernel/files.ts");

/** Syncs that were begun and wait to be ended. */
let begun: { readonly folders: readonly string[]; end(error?: Error): void }[];
const turn = () => new Promise((resolve) => setImmediate(resolve));

beforeEach(() => {
  begun = [];
  vi.mocked(syncAll).mockImplementation(
    (folders) =>
      new Promise((resolve, reject) => {
        const end = (error?: Error) => (error === undefined ? resolve() : reject(error));
        begun.push({ folders: [...folders], end });
      }),
  );
});

test("who asks while a folder is being synced waits for one more sync, which serves all of them", async () => {
  const syncs = new FolderSyncs();
  const done: string[] = [];
  const ask = (name: string, folder = "a") => void syncs.sync([folder]).then(() => done.push(name));
  ask("first");
  ask("with it");
  await turn();
  expect(begun).toHaveLength(1);
  ask("second");
  ask("third");
  ask("elsewhere", "b");
  await turn();
  expect(begun.map((one) => one.folders)).toEqual([["a"], ["b"]]);
  begun[0]?.end();
  await turn();
  expect(done).toEqual(["first", "with it"]);
  expect(begun.map((one) => one.folders)).toEqual([["a"], ["b"], ["a"]]);
  begun[2]?.end();
  await turn();
  expect(done).toEqual(["first", "with it", "second", "third"]);
});

test("a sync that fails is told to those whom it should have served, and to nobody else", async () => {
  const syncs = new FolderSyncs();
  const first = syncs.sync(["a", "b"]);
  await turn();
  const second = syncs.sync(["a"]);
  begun[0]?.end(new Error("worn out"));
  begun[1]?.end();
  await expect(first).rejects.toThrow("worn out");
  await turn();
  begun[2]?.end();
  await second;
});
