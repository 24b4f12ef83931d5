/** Objects in memory, shared by any number of clients. Answers as a good object store would: the double of simulations and tests. */
import { createHash } from "node:crypto";
import { compareCodePoints } from "../../../kernel/order.ts";
import type { ConditionalStore, Listed, PutCondition, PutOutcome, Versioned } from "../../conditional.ts";

/** The objects themselves: hand the same bucket to several clients. */
export class MemoryBucket {
  readonly objects = new Map<string, Versioned>();
}

export class MemoryConditionalStore implements ConditionalStore {
  readonly #objects: Map<string, Versioned>;

  constructor(bucket: MemoryBucket) {
    this.#objects = bucket.objects;
  }

  async get(key: string): Promise<Versioned | undefined> {
    return this.#objects.get(key);
  }

  async put(key: string, body: string, condition: PutCondition): Promise<PutOutcome> {
    const found = this.#objects.get(key);
    const meets = "ifAbsent" in condition ? found === undefined : found?.etag === condition.ifMatch;
    if (!meets) return { outcome: "refused" };
    const etag = etagOf(body);
    this.#objects.set(key, { body, etag });
    return { outcome: "done", etag };
  }

  async list(prefix: string): Promise<readonly Listed[]> {
    return [...this.#objects]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, { etag }]) => ({ key, etag }))
      .sort((a, b) => compareCodePoints(a.key, b.key));
  }

  async remove(key: string): Promise<void> {
    this.#objects.delete(key);
  }
}

/** As S3 has it: by content, so that equal bodies have equal etags. */
function etagOf(body: string): string {
  return createHash("md5").update(body).digest("hex");
}
