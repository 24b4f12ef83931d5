/** A bounded run of the torture with real processes; scripts/torture-processes.mjs runs longer ones. */
import { beforeAll, expect, test } from "vitest";
import { planRound, summarize } from "./rounds.ts";
import { buildWorker, type RoundResult, runRound } from "./runner.ts";

const wanted = 20_000;
let script: string;
beforeAll(async () => {
  script = await buildWorker();
});

test(`${wanted} grants under kills, pauses, full disks and other namespaces: no overlap, no inversion, nobody forgotten`, async () => {
  const firstSeed = Date.now() % 1_000_000;
  const results: RoundResult[] = [];
  while (results.reduce((sum, one) => sum + one.grants, 0) < wanted || results.length < 5) {
    const plan = planRound(firstSeed + results.length, { seconds: 12, processes: 12 });
    const result = await runRound(plan, script);
    results.push(result);
    expect(result.violations.slice(0, 10), `node scripts/torture-processes.mjs --seed ${plan.seed}`).toEqual([]);
  }
  console.log(summarize(results, `seeds ${firstSeed} to ${firstSeed + results.length - 1}`));
  const sum = (pick: (result: RoundResult) => number) => results.reduce((total, one) => total + pick(one), 0);
  expect(
    Math.min(
      sum((one) => one.kills),
      sum((one) => one.pauses),
      sum((one) => one.structural),
    ),
  ).toBeGreaterThan(0);
});

test("workers that don't lock are found", async () => {
  const round = { ...planRound(1, { seconds: 2, processes: 8 }), commands: 0, plant: true };
  expect((await runRound(round, script)).violations).toContainEqual(expect.stringContaining("overlap"));
});
