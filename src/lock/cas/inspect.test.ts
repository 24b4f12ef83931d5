/** What people are shown of a holder that nobody has heard of for long. */
import { expect, test } from "vitest";
import { systemMachine } from "../../kernel/machine.ts";
import type { Resource } from "../../store/contract.ts";
import { MemoryBucket, MemoryConditionalStore } from "../../store/drivers/memory/conditional.ts";
import { claimOf } from "../manager.ts";
import { CasLocks } from "./locks.ts";
import { timing } from "./rules.ts";

const machine = systemMachine("inspect");
const web: Resource = { kind: "model", type: "command/shell", id: "a0000000-0000-4000-a000-000000000001" };

/** As the store tells how old its objects are; undefined where it doesn't. */
class AgedStore extends MemoryConditionalStore {
  ageMs: number | undefined;

  override async list(prefix: string) {
    const { ageMs } = this;
    return (await super.list(prefix)).map((one) => (ageMs === undefined ? one : { ...one, ageMs }));
  }
}

test("a holder is stale when its claim is older than anybody who lives lets it become, and held where nobody knows", async () => {
  const store = new AgedStore(new MemoryBucket());
  const locks = new CasLocks(store, machine);
  const attempt = await (
    await locks.join(web, "exclusive", claimOf(machine, { owner: machine.random.uuid(), within: [] }))
  ).attempt();
  if (attempt.outcome !== "granted") throw new Error("not granted");
  const stateAt = async (ageMs: number | undefined) => {
    store.ageMs = ageMs;
    return (await locks.inspect(web)).held.map(({ state }) => state);
  };
  // Others make a waiter a holder that has renewed so long ago, and the store tells whole seconds.
  const longest = timing().waiterQuietMs + 1000;
  expect(await stateAt(undefined)).toEqual(["held"]);
  expect(await stateAt(longest)).toEqual(["held"]);
  expect(await stateAt(longest + 1)).toEqual(["stale"]);
  await attempt.grant.release();
  expect(await stateAt(longest + 1)).toEqual([]);
});
