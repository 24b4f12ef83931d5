import { expect, test, vi } from "vitest";
import { FenError } from "../../kernel/errors.ts";
import { systemMachine } from "../../kernel/machine.ts";
import { MemoryBucket, MemoryConditionalStore } from "../../store/drivers/memory/conditional.ts";
import { LockManager } from "../manager.ts";
import { CasLocks } from "./locks.ts";

const machine = systemMachine("test");
const web = { kind: "model", type: "test/thing", id: "a" } as const;

test.each([
  ["denied", new FenError("store_denied", "Nothing may be deleted.")],
  ["not answered", new FenError("store_unavailable", "No answer.")],
])("a claim whose removal is %s is told, and fails nothing", async (_, error) => {
  const store = new MemoryConditionalStore(new MemoryBucket());
  store.remove = () => Promise.reject(error);
  const told: unknown[] = [];
  const onLeftover = (why: Error) => void told.push(why.message);
  const locks = new LockManager(new CasLocks(store, machine, { onLeftover }), machine);
  for (const head of [undefined, "run#1"]) {
    const lease = await locks.acquire([{ resource: web, mode: "exclusive" }]);
    if (head !== undefined) await lease.commit(web, head, { last: true });
    await lease.release();
  }
  await vi.waitUntil(() => told.length === 2, { timeout: 10_000 });
  expect(told).toEqual([error.message, error.message]);
});
