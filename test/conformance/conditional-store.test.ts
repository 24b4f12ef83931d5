/** What every store of conditional writes must do, tried with two clients. */
import { describe, expect, test } from "vitest";
import type { ConditionalStore } from "../../src/store/conditional.ts";
import { MemoryBucket, MemoryConditionalStore } from "../../src/store/drivers/memory/conditional.ts";

const stores: readonly { readonly name: string; open(): { one: ConditionalStore; two: ConditionalStore } }[] = [
  {
    name: "memory",
    open: () => {
      const bucket = new MemoryBucket();
      return { one: new MemoryConditionalStore(bucket), two: new MemoryConditionalStore(bucket) };
    },
  },
];
const refused = { outcome: "refused" };

describe.each(stores)("$name", ({ open }) => {
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

  test("of twenty that race for one change, exactly one is done", async () => {
    const { one, two } = open();
    for (let round = 0; round < 20; round++) {
      const found = await one.get("a");
      const condition = found === undefined ? { ifAbsent: true as const } : { ifMatch: found.etag };
      const racing = Array.from({ length: 20 }, (_, index) =>
        (index % 2 === 0 ? one : two).put("a", `${round}.${index}`, condition),
      );
      const done = (await Promise.all(racing)).filter((one) => one.outcome === "done");
      expect(done).toHaveLength(1);
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
