import { beforeEach, expect, test } from "vitest";
import { workUnder } from "./work-under.ts";

let log: string[];
let failure: Error | undefined;
const held = {
  release: async () => {
    log.push("released");
    if (failure !== undefined) throw failure;
  },
};
beforeEach(() => {
  log = [];
  failure = undefined;
});

test("what is held goes back when the work is done, and not before", async () => {
  expect(await workUnder(held, async () => [...log])).toEqual([]);
  expect(log).toEqual(["released"]);
});

test("work that fails gives it back, and its own error is told, whatever becomes of the lock", async () => {
  failure = new Error("no answer");
  await expect(workUnder(held, () => Promise.reject(new Error("where its outputs are")))).rejects.toThrow("outputs");
  expect(log).toEqual(["released"]);
});

test("of work that is done it is told what keeps the lock from going back", async () => {
  failure = new Error("no answer");
  await expect(workUnder(held, async () => 1)).rejects.toThrow("no answer");
});
