import { expect, test } from "vitest";
import { FenError } from "../../kernel/errors.ts";
import { systemMachine } from "../../kernel/machine.ts";
import { MemoryBucket, MemoryConditionalStore } from "../../store/drivers/memory/conditional.ts";
import { LockManager } from "../manager.ts";
import { CasLocks } from "./locks.ts";

const machine = systemMachine("test");
const web = { kind: "model", type: "test/thing", id: "a" } as const;

test("a claim that can't be removed after the last commit is told by the release, however much later that comes", async () => {
  const store = new MemoryConditionalStore(new MemoryBucket());
  store.remove = () => Promise.reject(new FenError("store_denied", "Nothing may be deleted."));
  const locks = new LockManager(new CasLocks(store, machine), machine);
  const lease = await locks.acquire([{ resource: web, mode: "exclusive" }]);
  await lease.commit(web, "run#1", { last: true });
  await new Promise((resolve) => setImmediate(resolve));
  await expect(lease.release()).rejects.toMatchObject({ code: "store_denied" });
});
