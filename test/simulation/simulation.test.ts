/** The production code, LockManager and CasLocks, in a world that a seed decides. `npm run torture` runs it for as long as one likes. */
import { describe, expect, test } from "vitest";
import { bundled } from "./bundled.ts";
import type { Rules } from "../../src/lock/cas/rules.ts";
import { mutations } from "./mutations.ts";
import { type Search, scriptsOf } from "./searches.ts";

const { explore, protocolSpace, simulate } = await bundled();

describe("simulation", () => {
  test("in 1,500 runs nothing breaks, and all that live are served", async () => {
    let grants = 0;
    let commits = 0;
    for (let seed = 1; seed <= 1500; seed++) {
      const run = await simulate({ seed });
      if (run.failure !== undefined) expect.unreachable(`${run.failure}: npm run torture -- --seed ${seed} --runs 1`);
      grants += run.grants;
      commits += run.commits;
    }
    expect(grants).toBeGreaterThan(5000);
    expect(commits).toBeGreaterThan(3000);
  });

  test("in 300 runs most holders are paused past the TTL around their commit: none commits after others had its lock", async () => {
    const sum = { all: 0, takenOver: 0, refused: 0 };
    for (let seed = 1; seed <= 300; seed++) {
      const { failure, pauses } = await simulate({ seed, pausing: true });
      if (failure !== undefined)
        expect.unreachable(`${failure}: npm run torture -- --seed ${seed} --runs 1 --pauses 1`);
      sum.all += pauses.all;
      sum.takenOver += pauses.takenOver;
      sum.refused += pauses.refused;
    }
    expect(sum.all).toBeGreaterThan(300);
    expect(sum.takenOver).toBeGreaterThan(100);
    expect(sum.refused).toBeGreaterThan(sum.takenOver);
  });

  test("the same seed gives the same trace, another one another", async () => {
    const [one, two, other] = [
      await simulate({ seed: 7, keepTrace: true }),
      await simulate({ seed: 7, keepTrace: true }),
      await simulate({ seed: 8, keepTrace: true }),
    ];
    expect(one.trace.length).toBeGreaterThan(20);
    expect(two.trace).toEqual(one.trace);
    expect(two.digest).toBe(one.digest);
    expect(other.digest).not.toBe(one.digest);
  });
});

/** Small ones that show most holes at once. */
const quickSearches: readonly Search[] = [
  { who: "aX aX", faults: { crashes: 1, pauses: 0, lostAnswers: 0 } },
  { who: "aX aS", faults: { crashes: 0, pauses: 1, lostAnswers: 0 } },
  { who: "aX D", faults: { crashes: 1, pauses: 0, lostAnswers: 0 } },
  { who: "ab D", faults: { crashes: 0, pauses: 1, lostAnswers: 0 } },
  { who: "aX D", faults: { crashes: 0, pauses: 0, lostAnswers: 1 } },
  { who: "ab bX D", faults: { crashes: 0, pauses: 0, lostAnswers: 0 } },
];

async function foundBySeeds(rules: Rules, from: number, to: number): Promise<string | undefined> {
  for (let seed = from; seed <= to; seed++) {
    const { failure } = await simulate({ seed, rules });
    if (failure !== undefined) return `simulation, seed ${seed}: ${failure}`;
  }
  return undefined;
}

function foundBySearch(rules: Rules): string | undefined {
  for (const { who, faults } of quickSearches) {
    const { failure } = explore(protocolSpace(scriptsOf(who), faults, rules), 200_000);
    if (failure !== undefined) return `search ${who}: ${failure.what}`;
  }
  return undefined;
}

describe("planted bugs", () => {
  test.each(mutations)("found: $name", async ({ name, rules }) => {
    // One of them shows in two of a thousand seeds.
    const found = (await foundBySeeds(rules, 1, 300)) ?? foundBySearch(rules) ?? (await foundBySeeds(rules, 301, 4000));
    console.log(`${name}: ${found}`);
    expect(found).toBeDefined();
  });
});
