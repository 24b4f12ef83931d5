import { expect, test } from "vitest";
import { backoffAfter } from "./retry.ts";

test("the time before an attempt doubles up to an hour, and stays what a timer can count", () => {
  const waits = (backoffMs: number) =>
    [1, 2, 3, 40, 99].map((attempt) => backoffAfter({ attempts: 100, backoffMs, on: ["failure"] }, attempt));
  expect(waits(1000)).toEqual([1000, 2000, 4000, 3_600_000, 3_600_000]);
  expect(waits(0)).toEqual([0, 0, 0, 0, 0]);
  expect(waits(7_200_000)).toEqual(Array(5).fill(7_200_000));
});
