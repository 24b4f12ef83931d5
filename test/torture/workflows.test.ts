/** A bounded run of the crashes of workflow runs; scripts/torture-workflows.mjs kills at every line and at thousands of moments. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { CrashLab, type CrashResult, type Reference, randomKills } from "./workflow-crashes.ts";

let lab: CrashLab;
let reference: Reference;
beforeAll(async () => {
  lab = await CrashLab.open();
  reference = await lab.reference();
});
afterAll(() => lab[Symbol.dispose]());

const few = 12;

test("the workflow is as large as it is said to be, and ends in every way", () => {
  expect(reference.ends.size).toBeGreaterThan(200);
  expect(new Set(reference.ends.values())).toEqual(new Set(["succeeded", "failed", "failed allowed", "skipped"]));
});

test("killed at lines of its journals, whole and torn: what had ended isn't done again, no output is lost, no lock is left", async () => {
  const offset = Date.now() % Math.floor(reference.lines / few);
  for (let n = 0; n < few; n++) {
    const lines = 1 + offset + Math.floor((n * reference.lines) / few);
    const result = await lab.crash({ kills: [{ at: "line", lines, torn: n % 2 === 1 }] }, reference);
    expect(result.violations, `killed at line ${lines}`).toEqual([]);
  }
});

test("killed at random moments, also while it is resumed: the same", async () => {
  const first = Date.now() % 1_000_000;
  const results: CrashResult[] = [];
  for (let seed = first; seed < first + few; seed++) {
    const result = await lab.crash({ kills: randomKills(seed, reference) }, reference);
    expect(result.violations, `node scripts/torture-workflows.mjs --seed ${seed} --runs 1`).toEqual([]);
    results.push(result);
  }
  expect(results.filter((one) => one.killed > 0).length).toBeGreaterThan(few / 3);
});
