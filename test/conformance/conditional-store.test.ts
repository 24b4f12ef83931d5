/** What every store of conditional writes must do, tried with two clients. */
import { beforeEach, describe, expect, inject, test } from "vitest";
import { FenError } from "../../src/kernel/errors.ts";
import type { ConditionalStore, PutCondition } from "../../src/store/conditional.ts";
import { MemoryBucket, MemoryConditionalStore } from "../../src/store/drivers/memory/conditional.ts";
import { S3ConditionalStore } from "../../src/store/drivers/s3/conditional.ts";
import { clientOf, makeBucket, newPrefix } from "../support/s3-client.ts";

interface Two {
  readonly one: ConditionalStore;
  readonly two: ConditionalStore;
}

const stores: readonly { readonly name: string; open(): Promise<Two> }[] = [
  {
    name: "memory",
    open: async () => {
      const bucket = new MemoryBucket();
      return { one: new MemoryConditionalStore(bucket), two: new MemoryConditionalStore(bucket) };
    },
  },
  {
    name: "S3 (Ceph)",
    open: async () => {
      const server = inject("s3");
      await makeBucket(server, "conformance");
      const prefix = newPrefix();
      const client = async () =>
        new S3ConditionalStore(await clientOf(server, { prefix }), { folder: ".fen", etagForm: "bare" });
      return { one: await client(), two: await client() };
    },
  },
];
const refused = { outcome: "refused" };

/** A put as its callers have it: `unknown` where nobody can say whether it was done. */
async function tryPut(store: ConditionalStore, key: string, body: string, condition: PutCondition) {
  try {
    return { body, ...(await store.put(key, body, condition)) };
  } catch (error) {
    if (!(error instanceof FenError) || !error.retryable) throw error;
    return { body, outcome: "unknown" };
  }
}

describe.each(stores)("$name", ({ open: openBoth }) => {
  let both: Two;
  beforeEach(async () => {
    both = await openBoth();
  });
  const open = (): Two => both;

  test("there is nothing where nothing was put", async () => {
    const { one } = open();
    expect(await one.get("a")).toBeUndefined();
    expect(await one.list("")).toEqual([]);
  });

  test("an object is created only where none is, and the other client sees it at once", async () => {
    const { one, two } = open();
    const first = await one.put("a", "1", { ifAbsent: true });
    expect(first).toMatchObject({ outcome: "done" });
    expect(await two.put("a", "2", { ifAbsent: true })).toEqual(refused);
    expect(await two.get("a")).toEqual({ body: "1", etag: first.outcome === "done" ? first.etag : "" });
  });

  test("an object is replaced only by one who knows its etag", async () => {
    const { one, two } = open();
    expect(await one.put("a", "1", { ifMatch: "x" })).toEqual(refused);
    const first = await one.put("a", "1", { ifAbsent: true });
    const etag = first.outcome === "done" ? first.etag : "";
    expect(await two.put("a", "2", { ifMatch: etag })).toMatchObject({ outcome: "done" });
    expect(await one.put("a", "3", { ifMatch: etag })).toEqual(refused);
    expect((await one.get("a"))?.body).toBe("2");
  });

  test("of twenty that race for one change, exactly one is done, and the others know or ask", async () => {
    const { one, two } = open();
    for (let round = 0; round < 20; round++) {
      const found = await one.get("a");
      const condition = found === undefined ? { ifAbsent: true as const } : { ifMatch: found.etag };
      const racing = Array.from({ length: 20 }, (_, index) =>
        tryPut(index % 2 === 0 ? one : two, "a", `${round}.${index}`, condition),
      );
      const told = await Promise.all(racing);
      const body = (await two.get("a"))?.body;
      expect(told.filter(({ outcome }) => outcome === "done").length).toBeLessThanOrEqual(1);
      expect(told.find((one) => one.body === body)?.outcome).not.toBe("refused");
      for (const { outcome, body: tried } of told) if (outcome === "done") expect(tried).toBe(body);
    }
  });

  test("a list has the keys with a prefix in code point order, with the etags that reads have", async () => {
    const { one, two } = open();
    for (const key of ["p/b", "p/a", "p/\u{1f600}", "p/\u{ff5e}", "q/a"]) await one.put(key, key, { ifAbsent: true });
    const listed = await two.list("p/");
    expect(listed.map((entry) => entry.key)).toEqual(["p/a", "p/b", "p/\u{ff5e}", "p/\u{1f600}"]);
    for (const { key, etag } of listed) expect((await one.get(key))?.etag).toBe(etag);
  });

  test("what is removed is gone for everybody, and removing nothing is no error", async () => {
    const { one, two } = open();
    await one.put("a", "1", { ifAbsent: true });
    await two.remove("a");
    await two.remove("a");
    expect(await one.get("a")).toBeUndefined();
    expect(await one.list("")).toEqual([]);
  });
});
