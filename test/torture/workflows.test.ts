/** A bounded run of the crashes of workflow runs; npm run torture -- --workflows kills at every line and at any number of moments. */
import { expect, test } from "vitest";
import { torture } from "./workflow-crashes.ts";

test("runs of 200 steps killed at lines of their journals and at random moments: what had ended isn't done again, no output is lost, no lock is left", async () => {
  const result = await torture({ lines: 4, runs: 3, seed: Date.now() % 1_000_000, parallel: 2 });
  expect(result.broken).toEqual([]);
  expect(result.steps).toBeGreaterThan(200);
  expect(result.runs).toBe(11);
  expect(result.kills).toBeGreaterThan(9);
  expect(result.ended).toBeGreaterThan(200);
});
