/** Random workflows through the real engine: fan-outs, nested runs, retries, names that are known before the run and names that aren't. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Call, type Law, lawOf, worldsOf } from "../../test/support/engine-world.ts";
import { sorted } from "../../test/support/random-graphs.ts";
import { endsOfAll, Watched } from "../../test/support/watched-run.ts";
import { tries } from "../../test/support/quick.ts";

const runs = tries(1500, 60);
const plain = (ends: Law["ends"]) => [...ends].map(([path, own]) => `${path}: ${sorted(own).join(" ")}`).sort();
const inOrder = (calls: readonly Call[]) => calls.map(({ at, model, mode }) => `${at} ${model} ${mode}`).sort();

test(`${runs} random runs that lock their models first: all ends as its conditions say, each call under its model's lock, nothing is held that no call can have`, async () => {
  await fc.assert(
    fc.asyncProperty(worldsOf("run"), fc.nat(), async (world, order) => {
      const watched = new Watched(world);
      await watched.run(order);
      expect(watched.wrong).toEqual([]);
      const law = lawOf(world);
      expect(plain(endsOfAll(watched))).toEqual(plain(law.ends));
      expect(inOrder(watched.calls)).toEqual(inOrder(law.calls));
    }),
    { numRuns: runs },
  );
}, 300_000);
