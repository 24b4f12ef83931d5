import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { datastore, db, LockWorld, web } from "../../../../test/support/lock-world.ts";
import type { LockMode, Resource } from "../../contract.ts";
import { slotName, type LockTable, type Slot, readSlotName } from "./lock-table.ts";

let world: LockWorld;
let table: LockTable;
beforeEach(() => {
  world = new LockWorld();
  table = world.folder.table;
});
afterEach(() => world[Symbol.dispose]());

/** A descriptor of its own that has the lock, or undefined. */
function tryTake(slot: Slot, mode: LockMode = "exclusive"): number | undefined {
  const fd = world.keep(table.open());
  return table.tryLock(fd, table.ranges(slot), mode) ? fd : undefined;
}
const canTake = (slot: Slot, mode?: LockMode) => tryTake(slot, mode) !== undefined;
const model = (type: string): Resource => ({ kind: "model", type, id: "x" });

describe("the kernel decides, without any queue", () => {
  test.each([
    ["exclusive", "exclusive", false],
    ["exclusive", "shared", false],
    ["shared", "exclusive", false],
    ["shared", "shared", true],
  ] as const)("while one has a lock %s, another gets it %s: %s", (first, second, gets) => {
    expect(canTake({ resource: web }, first)).toBe(true);
    expect(canTake({ resource: web }, second)).toBe(gets);
  });

  test.each([web, db, model("@a/b/c"), model("a.b")])("the datastore and %o exclude each other", (resource) => {
    const structural = tryTake({ resource: datastore });
    if (structural === undefined) throw new Error("the datastore should be free");
    expect(canTake({ resource }, "shared")).toBe(false);
    table.unlock(structural, table.ranges({ resource: datastore }));
    expect(canTake({ resource }, "shared")).toBe(true);
    expect(canTake({ resource: datastore })).toBe(false);
  });

  test("different models, gates and shares don't meet", () => {
    const slots: Slot[] = [
      { resource: web },
      { resource: db },
      { resource: web, under: "one" },
      { resource: web, under: "other" },
    ];
    const ranges = [...slots.flatMap((slot) => table.ranges(slot)), ...slots.map((slot) => table.gate(slot))];
    expect(new Set(ranges.map((range) => range.start)).size).toBe(ranges.length);
    for (const slot of slots) expect(canTake(slot)).toBe(true);
  });

  test("the commands that share one holding exclude each other", () => {
    expect(canTake({ resource: web, under: "parent" })).toBe(true);
    expect(canTake({ resource: web, under: "parent" })).toBe(false);
  });

  test("a gate that is closed keeps no holder out, not even the datastore's", () => {
    table.tryLock(world.keep(table.open()), [table.gate({ resource: web })], "exclusive");
    expect(canTake({ resource: datastore })).toBe(true);
  });
});

describe("revoked locks", () => {
  test("a revoked lock is free for the next, though its holder still has the kernel's", () => {
    tryTake({ resource: web });
    table.revoke(web, { generation: 0 });
    expect(table.generation(web)).toBe(1);
    expect(canTake({ resource: web })).toBe(true);
    expect(canTake({ resource: web })).toBe(false);
  });

  test("the datastore can be had beside a revoked holder", () => {
    tryTake({ resource: web });
    table.revoke(web, { generation: 0 });
    expect(canTake({ resource: datastore })).toBe(true);
  });

  test("the datastore can't be had beside the holder that came after a revoked one", () => {
    table.revoke(web, { generation: 0 });
    tryTake({ resource: web });
    expect(canTake({ resource: datastore })).toBe(false);
  });

  test("a revoked datastore means a new table: the old descriptor says so", () => {
    const old = tryTake({ resource: datastore }) ?? -1;
    expect(table.isCurrent(old)).toBe(true);
    table.revoke(datastore, { generation: 0 });
    expect(table.isCurrent(old)).toBe(false);
    expect(canTake({ resource: datastore })).toBe(true);
  });

  test("of several ranges all are taken or none", () => {
    table.revoke(web, { generation: 0 }); // a hole: now the datastore is two ranges
    const [first, second] = table.ranges({ resource: datastore });
    if (first === undefined || second === undefined) throw new Error("the datastore should be two ranges");
    table.tryLock(world.keep(table.open()), [second], "exclusive");
    expect(canTake({ resource: datastore })).toBe(false);
    expect(table.tryLock(world.keep(table.open()), [first], "exclusive")).toBe(true);
  });
});

describe("names", () => {
  const slots: Slot[] = [
    { resource: datastore, under: undefined },
    ...["command/shell", "@acme/net/switch", "a.b", "one"].map((type) => ({ resource: model(type), under: undefined })),
    { resource: model("a/b"), under: "parent" },
  ];

  test.each(slots)("lock-26: %o has a folder whose name leads back to it", (slot) => {
    expect(slotName(slot)).not.toMatch(/[/*]/);
    expect(readSlotName(slotName(slot))).toEqual(slot);
  });

  test("lock-39: no two models share a name, however they are written", () => {
    const types = ["a/b", "a--b", "a%2Fb", "A/B", "a*b", "a"];
    expect(new Set(types.map((type) => slotName({ resource: model(type) }))).size).toBe(types.length);
  });

  test.each(["%", "nonsense"])("%s isn't one of our names, so nobody's queue", (name) => {
    expect(readSlotName(name)).toBeUndefined();
  });
});
