/** Everything that can happen to the protocol of decision 0004, within bounds: every order of requests, a crash, a pause past the TTL, a lost or late answer. */
import { afterAll, describe, expect, test } from "vitest";
import { bundled } from "./bundled.ts";
import { scriptsOf, searches } from "./searches.ts";

const { explore, protocolSpace } = await bundled();

describe("no order of requests breaks exclusion, order, the fence or progress", () => {
  let states = 0;
  let steps = 0;
  afterAll(() => console.log(`exhaustive search: ${states} states, ${steps} steps`));

  test.each(searches.map((one) => [one.who, JSON.stringify(one.faults), one] as const))(
    "%s %s",
    (_who, _faults, one) => {
      const found = explore(protocolSpace(scriptsOf(one.who), one.faults));
      states += found.states;
      steps += found.steps;
      expect(found.failure).toBeUndefined();
      // Fewer would mean that something isn't tried any more.
      expect(found.states).toBeGreaterThan(200);
    },
  );
});
