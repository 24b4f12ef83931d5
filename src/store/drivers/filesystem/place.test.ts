import { existsSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  blockedBy,
  datastore,
  db,
  foreignRecord,
  granted,
  LockWorld,
  web,
} from "../../../../test/support/lock-world.ts";
import type { Place, Resource } from "../../contract.ts";
import { FilesystemLocks } from "./locks.ts";
import { OwnTicket } from "./queue.ts";
import { TokenFile } from "./tokens.ts";

let world: LockWorld;
beforeEach(() => {
  world = new LockWorld();
});
afterEach(() => world[Symbol.dispose]());

const stopsAt = async (place: Place) => blockedBy(await place.attempt());
const placeOf = async (place: Place) => {
  const attempt = await place.attempt();
  return attempt.outcome === "blocked" ? attempt.place : 0;
};

describe("the queue", () => {
  test("a waiter waits for the one before it, and its turn comes when that one gives up", async () => {
    const holder = await world.take(web);
    const [first, second] = [await world.ask(web), await world.ask(web)];
    expect([await placeOf(first), await placeOf(second)]).toEqual([1, 2]);
    await holder.release();
    world.clock.turn(1000);
    expect(await stopsAt(second)).toBe("waiter");
    await first.leave();
    const grant = granted(await second.attempt());
    await grant.release();
    expect(world.tickets(web)).toEqual([]);
  });

  test("lock-32: readers don't overtake a writer that waits", async () => {
    const reader = await world.take(web, "shared");
    const writer = await world.ask(web);
    const late = await world.ask(web, "shared");
    expect(await stopsAt(writer)).toBe("holder");
    expect(await stopsAt(late)).toBe("waiter");
    await reader.release();
    await granted(await writer.attempt()).release();
    await granted(await late.attempt()).release();
  });

  test("a place moves up when one before it leaves, told once a second", async () => {
    await world.take(web);
    const [first, , third] = [await world.ask(web), await world.ask(web), await world.ask(web)];
    expect(await placeOf(third)).toBe(3);
    await first.leave();
    world.clock.turn(1000);
    expect(await placeOf(third)).toBe(2);
  });

  test("lock-4: the ticket of a dead one before us is passed and buried", async () => {
    const dead = world.deadTicket(web, "000000000001.x.dead");
    const place = await world.ask(web);
    const grant = granted(await place.attempt());
    expect(existsSync(dead)).toBe(false);
    await grant.release();
  });

  test("lock-4: what a dead one before us left beside the record goes with its ticket, what others have there stays", async () => {
    const beside = (name: string) => join(dirname(world.recordPath(web)), name);
    const left = [".dead.new.tmp", ".dead.put.tmp", ".dead.old.tmp"].map(beside);
    const others = [".living.new.tmp", ".deader.new.tmp", "dead.new.tmp"].map(beside);
    mkdirSync(beside(""), { recursive: true });
    for (const path of [...left, ...others]) writeFileSync(path, "");
    world.deadTicket(web, "000000000001.x.dead");
    await granted(await (await world.ask(web)).attempt()).release();
    expect([...left, ...others].filter((path) => existsSync(path))).toEqual(others);
  });

  test("the ticket of a living one before us is never buried", async () => {
    const grant = await world.take(web);
    const place = await world.ask(web);
    await place.attempt();
    expect(world.tickets(web).some((name) => name.includes(grant.nonce))).toBe(true);
    expect(await grant.check()).toBe("held");
  });
});

describe("giving up", () => {
  test("one that gives up leaves nothing: no ticket, no record, no lock", async () => {
    world.writeRecord(db, foreignRecord());
    const structural = await world.ask(datastore);
    expect(await stopsAt(structural)).toBe("foreign");
    expect(world.record(datastore)?.nonce).toBe(structural.nonce);
    await structural.leave();
    await structural.leave();
    expect(world.record(datastore)).toBeUndefined();
    expect(world.tickets(datastore)).toEqual([]);
  });

  test("one that gives up with the kernel's lock already in its hand frees it", async () => {
    world.writeRecord(web, foreignRecord());
    const place = await world.ask(web);
    expect(await stopsAt(place)).toBe("foreign");
    expect(world.isLocked(web)).toBe(true);
    await place.leave();
    expect(world.isLocked(web)).toBe(false);
    expect(world.record(web)?.nonce).toBe(foreignRecord().nonce);
  });

  test("one that fails at its very last step has everything to give back, the record that it published too", async () => {
    const place = await world.ask(web);
    vi.spyOn(OwnTicket.prototype, "markGranted").mockImplementationOnce(() => {
      throw new Error("no space is left");
    });
    await expect(place.attempt()).rejects.toThrow("no space is left");
    await place.leave();
    expect(world.record(web)).toBeUndefined();
    expect(world.tickets(web)).toEqual([]);
    expect(world.isLocked(web)).toBe(false);
  });

  test("nor does it keep anything where no records are published", async () => {
    const locks = new FilesystemLocks(world.root, world.machine, { kernel: world.kernel, records: "none" });
    const place = await locks.join(web, "exclusive", world.claim());
    vi.spyOn(TokenFile.prototype, "take").mockImplementationOnce(() => {
      throw new Error("no space is left");
    });
    await expect(place.attempt()).rejects.toThrow("no space is left");
    await place.leave();
    expect(world.tickets(web)).toEqual([]);
    expect(world.isLocked(web)).toBe(false);
  });

  test("one that gives up never takes the record of another with it", async () => {
    world.writeRecord(datastore, foreignRecord());
    const structural = await world.ask(datastore);
    expect(await stopsAt(structural)).toBe("foreign");
    await structural.leave();
    expect(world.record(datastore)?.nonce).toBe(foreignRecord().nonce);
  });
});

describe("structural commands", () => {
  test("lock-32: a model's newcomer waits behind a structural command that waits", async () => {
    const holder = await world.take(web);
    const structural = await world.ask(datastore);
    expect(await stopsAt(structural)).toBe("holder");
    const newcomer = await world.ask(db);
    expect(await stopsAt(newcomer)).toBe("structural");
    await holder.release();
    const all = granted(await structural.attempt());
    expect(await stopsAt(newcomer)).toBe("structural");
    await all.release();
    await granted(await newcomer.attempt()).release();
  });

  test("lock-35: a command within a held lock isn't held up by a structural one that waits for that lock", async () => {
    const holder = await world.take(web);
    const structural = await world.ask(datastore);
    await structural.attempt();
    const nested = await world.ask(db, "exclusive", { within: [holder.holding] });
    await granted(await nested.attempt()).release();
  });

  test("lock-35: it passes those in a queue who wait for that structural one, but nobody else", async () => {
    const holder = await world.take(web);
    const newcomer = await world.ask(db);
    const inside = await world.ask(db, "exclusive", { within: [holder.holding] });
    expect(await stopsAt(inside)).toBe("waiter");
    const structural = await world.ask(datastore);
    expect(await stopsAt(newcomer)).toBe("structural");
    world.clock.turn(200);
    const grant = granted(await inside.attempt());
    await grant.release();
    await holder.release();
    await granted(await structural.attempt()).release();
    await granted(await newcomer.attempt()).release();
  });

  test("lock-27: while a structural command waits for models, its record keeps older clients out", async () => {
    await world.take(web);
    const structural = await world.ask(datastore);
    expect(await stopsAt(structural)).toBe("holder");
    expect(world.record(datastore)).toMatchObject({ nonce: structural.nonce });
  });

  test("a dead structural command holds nobody up", async () => {
    world.deadTicket(datastore, "000000000001.x.dead");
    await (await world.take(web)).release();
  });
});

describe("the kernel's lock", () => {
  test("a dead holder's child keeps the lock, and nothing of the next in line is published before it ends", async () => {
    const child = world.orphan({ resource: web });
    const place = await world.ask(web);
    expect(await stopsAt(place)).toBe("orphan");
    expect(world.record(web)).toBeUndefined();
    child.end();
    const grant = granted(await place.attempt());
    expect(world.record(web)).toMatchObject({ nonce: grant.nonce, token: 1 });
  });

  test("lock-2: a lock in a table that was replaced meanwhile means nothing: it is taken in the new one", async () => {
    const place = await world.ask(web);
    const bytes = world.folder.table.ranges({ resource: web });
    let replaced = 0;
    world.kernel.beforeLock = (_, range) => {
      if (range.start !== bytes[0]?.start || replaced++ > 0) return;
      world.folder.table.revoke(datastore, { generation: 0 }); // between our look at the table and our lock in it
    };
    expect(await stopsAt(place)).toBe("unknown");
    world.kernel.beforeLock = () => undefined;
    const other = world.orphan({ resource: web });
    expect(await stopsAt(place)).toBe("orphan");
    other.end();
    await granted(await place.attempt()).release();
  });

  test("a lock that was revoked while we took it is taken anew, beside nobody", async () => {
    const place = await world.ask(web);
    const bytes = world.folder.table.ranges({ resource: web });
    let revoked = 0;
    world.kernel.beforeLock = (_, range) => {
      if (range.start !== bytes[0]?.start || revoked++ > 0) return;
      world.folder.table.revoke(web, { generation: 0 }); // between our look at the range and our lock on it
    };
    expect(await stopsAt(place)).toBe("unknown");
    world.kernel.beforeLock = () => undefined;
    const grant = granted(await place.attempt());
    expect(world.isLocked(web)).toBe(true);
    await grant.release();
  });
});

describe("older clients, which know nothing but lock files", () => {
  test.each([
    ["the model's own", web, web],
    ["the datastore's", datastore, web],
    ["a model's, for the datastore", db, datastore],
  ] as const)("a fresh record is honoured: %s", async (_, where, wanted) => {
    world.writeRecord(where, foreignRecord());
    const place = await world.ask(wanted);
    expect(await stopsAt(place)).toBe("foreign");
    world.clock.turn(29_000);
    expect(await stopsAt(place)).toBe("foreign");
    world.clock.turn(1000);
    const grant = granted(await place.attempt());
    expect(world.record(wanted)).toMatchObject({ nonce: grant.nonce });
    await grant.release();
  });

  test.each([
    ["the model's own", web, web],
    ["a model's, for the datastore", db, datastore],
  ] as const)("lock-10: one that can't be read is honoured for a TTL, then recovered: %s", async (_, where, wanted) => {
    world.writeRecord(where, "");
    const place = await world.ask(wanted);
    expect(await stopsAt(place)).toBe("foreign");
    world.clock.turn(30_000);
    await granted(await place.attempt()).release();
  });

  describe("lock-10: a power cut leaves the name of a record without its text", () => {
    const leave = (resource: Resource, text: string, { minutes }: { readonly minutes: number }) => {
      world.writeRecord(resource, text);
      const started = world.clock.now() - world.clock.sinceBoot();
      const at = new Date(started - minutes * 60_000);
      utimesSync(world.folder.recordPath(resource), at, at);
    };

    test.each([
      ["the model's own", web, web, ""],
      ["the datastore's", datastore, web, ""],
      ["a model's, for the datastore", db, datastore, ""],
      ["with zeros for the text", web, web, "\0".repeat(400)],
    ] as const)("nobody waits for it: %s", async (_, where, wanted, text) => {
      leave(where, text, { minutes: 1 });
      await (await world.take(wanted)).release();
    });

    test.each([
      ["one from after the start", "", -1],
      ["another one that can't be read", "{", 1],
    ])("but for %s", async (_, text, minutes) => {
      leave(web, text, { minutes });
      const place = await world.ask(web);
      expect(await stopsAt(place)).toBe("foreign");
      await place.leave();
    });

    test("but where the clock was set back since", async () => {
      leave(web, "", { minutes: 1 });
      world.clock.stepWall(-3_600_000);
      const place = await world.ask(web);
      expect(await stopsAt(place)).toBe("foreign");
      await place.leave();
    });
  });

  test("one that comes in just before ours is published stops us there", async () => {
    const slot = { resource: web };
    const place = await world.ask(web, "shared");
    const gate = world.keep(world.folder.table.open());
    world.folder.table.tryLock(gate, [world.folder.table.gate(slot)], "exclusive");
    const attempt = place.attempt(); // has looked, and now wants to publish, in the gate
    await new Promise((resolve) => setImmediate(resolve));
    world.writeRecord(web, foreignRecord());
    world.folder.table.unlock(gate, [world.folder.table.gate(slot)]);
    expect(blockedBy(await world.clock.turnUntil(attempt))).toBe("foreign");
    expect(world.record(web)?.nonce).toBe(foreignRecord().nonce);
    await place.leave();
  });

  test("the record that a dead fen left behind stops nobody", async () => {
    world.writeRecord(web, foreignRecord({ token: 3, mode: "exclusive" }));
    const grant = await world.take(web);
    expect(world.record(web)?.nonce).toBe(grant.nonce);
    await grant.release();
  });

  test("at no look does the datastore's record fall away between announcement and grant", async () => {
    const holder = await world.take(web);
    const structural = await world.ask(datastore);
    await structural.attempt();
    await holder.release();
    const missing: string[] = [];
    world.kernel.beforeLock = () => {
      if (world.record(datastore)?.nonce !== structural.nonce) missing.push("missing");
    };
    const grant = granted(await structural.attempt());
    world.kernel.beforeLock = () => undefined;
    expect(missing).toEqual([]);
    expect(world.record(datastore)).toMatchObject({ nonce: grant.nonce, token: 1 });
    await grant.release();
  });
});
