/** Random workflows through the real engine, where each step takes its own lock, and where somebody interrupts. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { lawOf, worldsOf } from "../../test/support/engine-world.ts";
import { isEnded } from "../../src/workflow/scheduler.ts";
import { endsOfAll, Watched } from "../../test/support/watched-run.ts";
import { tries } from "../../test/support/quick.ts";

const runs = tries(600, 60);

test(`${runs} random runs with lock: step: all ends as its conditions say, each model is held while a step works on it and at no other time`, async () => {
  await fc.assert(
    fc.asyncProperty(worldsOf("step"), fc.nat(), async (world, order) => {
      const watched = new Watched(world);
      await watched.run(order);
      expect(watched.wrong).toEqual([]);
      expect(endsOfAll(watched)).toEqual(lawOf(world).ends);
      expect(watched.calls).toHaveLength(lawOf(world).calls.length);
    }),
    { numRuns: runs },
  );
}, 300_000);

test(`${runs} random runs that are interrupted: nothing begins any more, what is at work keeps its lock to its end, what had ended has ended as its conditions say`, async () => {
  await fc.assert(
    fc.asyncProperty(worldsOf("run", "step"), fc.nat(), fc.nat(8), async (world, order, stopAt) => {
      const watched = new Watched(world);
      await watched.run(order, stopAt);
      expect(watched.wrong).toEqual([]);
      const law = lawOf(world).ends;
      for (const [path, own] of endsOfAll(watched))
        for (const [name, end] of own)
          if (end === "succeeded" || end === "failed" || end === "skipped") expect(end).toBe(law.get(path)?.get(name));
      for (const { work, status } of watched.states.values()) {
        expect(isEnded(status)).toBe(true);
        expect(work.filter((one) => one.status === "running" || one.status === "waiting")).toEqual([]);
      }
    }),
    { numRuns: runs },
  );
}, 300_000);
