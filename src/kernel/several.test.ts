import { expect, test } from "vitest";
import { several } from "./several.ts";

test("works on all, never on more at once than said", async () => {
  const [done, now]: [number[], { count: number; most: number }] = [[], { count: 0, most: 0 }];
  await several([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
    now.most = Math.max(now.most, ++now.count);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    now.count--;
    done.push(item);
  });
  expect(done.sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(now.most).toBe(3);
});

test("the first failure is told after what had begun has ended; nothing more begins", async () => {
  const [begun, ended]: [number[], number[]] = [[], []];
  const work = async (item: number) => {
    begun.push(item);
    if (item === 1) throw new Error("the first");
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    ended.push(item);
  };
  await expect(several([0, 1, 2, 3, 4, 5], 2, work)).rejects.toThrow("the first");
  expect(ended.sort()).toEqual(begun.filter((item) => item !== 1).sort());
  expect(begun).not.toContain(5);
});

test("so is one of what gives the items", async () => {
  const [begun, ended]: [number[], number[]] = [[], []];
  async function* items() {
    yield 0;
    yield 1;
    throw new Error("there are no more");
  }
  const work = async (item: number) => {
    begun.push(item);
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    ended.push(item);
  };
  await expect(several(items(), 5, work)).rejects.toThrow("there are no more");
  expect(ended).toEqual(begun);
});
