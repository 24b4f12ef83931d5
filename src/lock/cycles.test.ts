import { describe, expect, test } from "vitest";
import { model, recordOf } from "../../test/support/scripted-locks.ts";
import type { HeldLock, LockMode, LockTable, Resource, WaitingLock } from "../store/contract.ts";
import { findCycle } from "./cycles.ts";

const [web, db, all] = [model("t/web"), model("t/db"), { kind: "datastore" } as const];

interface More {
  readonly mode?: LockMode;
  readonly within?: readonly string[];
  readonly place?: number;
  readonly under?: string;
}
const record = (nonce: string, { mode = "exclusive", within }: More) =>
  recordOf(nonce, { mode, ...(within === undefined ? {} : { within }) });
const holds = (nonce: string, resource: Resource, more: More = {}): HeldLock => ({
  resource,
  state: "held",
  record: record(nonce, more),
  processes: [],
  path: "",
  ...(more.under === undefined ? {} : { under: more.under }),
});
const waits = (nonce: string, resource: Resource, more: More = {}): WaitingLock => ({
  resource,
  record: record(nonce, more),
  place: more.place ?? 1,
  ...(more.under === undefined ? {} : { under: more.under }),
});
const cycleOf = (table: LockTable, nonce: string) =>
  findCycle(table, nonce)?.waits.map((one) => one.record.nonce) ?? "none";

/** Web's child waits for db, db's child waits for web. */
const crossed: LockTable = {
  held: [holds("web", web), holds("db", db)],
  waiting: [waits("web's child", db, { within: ["web"] }), waits("db's child", web, { within: ["db"] })],
};

describe("lock-35: wait cycles", () => {
  test("two commands whose children want each other's model wait in a circle, whoever looks", () => {
    expect(cycleOf(crossed, "web's child")).toEqual(["web's child", "db's child"]);
    expect(cycleOf(crossed, "db's child")).toEqual(["db's child", "web's child"]);
  });

  test("exactly one gives way: the same for all who look", () => {
    const victims = ["web's child", "db's child"].map((nonce) => findCycle(crossed, nonce)?.victim);
    expect(victims[0]).toBe(victims[1]);
    expect(["web's child", "db's child"]).toContain(victims[0]);
  });

  test("a plain queue is no circle, and neither is a child that waits for a stranger", () => {
    const { held, waiting } = crossed;
    expect(cycleOf({ held, waiting: waiting.slice(0, 1) }, "web's child")).toBe("none");
    expect(cycleOf({ held, waiting: [waits("a", web), waits("b", web, { place: 2 })] }, "b")).toBe("none");
  });

  test("one who works within a lock isn't behind those who wait for a structural command: it passes them", () => {
    const table: LockTable = {
      held: [holds("web", web), holds("db", db)],
      waiting: [
        waits("web's child", db, { within: ["web"], place: 2 }),
        waits("z, newcomer", db, { place: 1 }),
        waits("z, structural", all),
      ],
    };
    expect(cycleOf(table, "web's child")).toBe("none");
  });

  test("one who holds nothing may stand in a circle, but isn't the one to give way: it doesn't look for circles", () => {
    const table: LockTable = {
      held: [holds("web", web), holds("db", db, { mode: "shared" })],
      waiting: [
        waits("z, newcomer", db, { place: 1 }),
        waits("web's child", db, { within: ["web"], mode: "shared", place: 2 }),
        waits("db's child", web, { within: ["db"] }),
      ],
    };
    expect(cycleOf(table, "web's child")).toEqual(["web's child", "z, newcomer", "db's child"]);
    expect(findCycle(table, "web's child")?.victim).toBe("web's child");
  });

  test("a child behind one that waits for its parent's model is in a circle with that one", () => {
    const table: LockTable = {
      held: [holds("web", web)],
      waiting: [
        waits("other's child", web, { within: ["db"] }),
        waits("web's child", db, { within: ["web"], place: 1 }),
      ],
    };
    expect(cycleOf({ ...table, held: [...table.held, holds("db", db)] }, "web's child")).toEqual([
      "web's child",
      "other's child",
    ]);
    expect(cycleOf(table, "web's child")).toBe("none");
  });

  test("readers don't wait for readers", () => {
    const shared: LockTable = {
      held: [holds("web", web, { mode: "shared" }), holds("db", db, { mode: "shared" })],
      waiting: crossed.waiting.map((one) => ({ ...one, record: { ...one.record, mode: "shared" as const } })),
    };
    expect(cycleOf(shared, "web's child")).toBe("none");
  });

  test("the lines of those who share a holding are apart from the model's own", () => {
    const table: LockTable = {
      held: [holds("web", web), holds("first", web, { under: "web", within: ["web"] })],
      waiting: [waits("second", web, { under: "web", within: ["web"] }), waits("stranger", web)],
    };
    expect(cycleOf(table, "second")).toBe("none");
  });

  test("one that no longer waits is in no circle", () => {
    expect(cycleOf(crossed, "gone")).toBe("none");
  });
});
