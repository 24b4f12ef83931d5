import { closeSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  blockedBy,
  datastore,
  db,
  foreignRecord,
  granted,
  LockWorld,
  web,
} from "../../../../test/support/lock-world.ts";
import type { Grant, Holding } from "../../contract.ts";

let world: LockWorld;
beforeEach(() => {
  world = new LockWorld();
});
afterEach(() => world[Symbol.dispose]());

const under = (parent: Holding) => ({ within: [parent], under: parent });

describe("giving back", () => {
  test("record, lock, ticket: in this order, so whoever the end of the ticket wakes finds the lock free", async () => {
    const grant = await world.take(web);
    const [lock] = world.folder.table.ranges({ resource: web });
    const atUnlock: unknown[] = [];
    world.kernel.beforeUnlock = (_, range) => {
      if (range.start === lock?.start) atUnlock.push({ record: world.record(web), tickets: world.tickets(web).length });
    };
    await grant.release();
    expect(atUnlock).toEqual([{ record: undefined, tickets: 1 }]);
    expect(world.tickets(web)).toEqual([]);
  });

  test("a second release does nothing to a successor", async () => {
    const grant = await world.take(web);
    await grant.release();
    const next = await world.take(web);
    await grant.release();
    expect(await next.check()).toBe("held");
    expect(world.record(web)?.nonce).toBe(next.nonce);
  });

  test("lock-8: one who lost the lock to an older client leaves that client's record alone", async () => {
    const grant = await world.take(web);
    world.writeRecord(web, foreignRecord());
    await grant.release();
    expect(world.record(web)?.nonce).toBe(foreignRecord().nonce);
  });

  test("an unlock frees the lock for children that outlive the command, too", async () => {
    const grant = await world.take(web);
    const { descriptor = -1 } = grant.holding;
    let isFree = false;
    world.kernel.beforeUnlock = (fd) => void (isFree ||= fd === descriptor);
    await grant.release();
    expect(isFree).toBe(true);
  });

  test("a failure of one step doesn't keep the others from being done, and is told", async () => {
    const grant = await world.take(web);
    world.kernel.beforeUnlock = () => {
      throw new Error("no unlock");
    };
    await expect(grant.release()).rejects.toThrow("no unlock");
    world.kernel.beforeUnlock = () => undefined;
    expect(world.record(web)).toBeUndefined();
    expect(world.tickets(web)).toEqual([]);
    expect(world.isLocked(web)).toBe(false);
  });
});

describe("those who share a lock", () => {
  test("the record names one who stays, as long as one stays", async () => {
    const first = await world.take(web, "shared");
    const second = await world.take(web, "shared");
    expect(world.record(web)?.nonce).toBe(first.nonce);
    await first.release();
    expect(world.record(web)?.nonce).toBe(second.nonce);
    expect(await second.check()).toBe("held");
    await second.release();
    expect(world.record(web)).toBeUndefined();
  });

  test("one who leaves first takes nothing from the one whose record it is", async () => {
    const first = await world.take(web, "shared");
    const second = await world.take(web, "shared");
    await second.release();
    expect(world.record(web)?.nonce).toBe(first.nonce);
    expect(await first.check()).toBe("held");
  });

  test("the death of the one whom the record names doesn't end the others: the record is theirs then", async () => {
    const second = await world.take(web, "shared");
    const { nonce, ...rest } = world.record(web) ?? second;
    world.writeRecord(web, { ...rest, nonce: `dead-${nonce}` });
    expect(await second.check()).toBe("held");
    expect(world.record(web)?.nonce).toBe(second.nonce);
  });

  test("one gives back its share although no way leads through the gate", async () => {
    const grant = await world.take(web, "shared");
    rmSync(world.folder.table.path);
    mkdirSync(world.folder.table.path); // as where no descriptor is left: it can't be opened
    await grant.release();
    expect(world.folder.queue({ resource: web }).tickets()).toEqual([]);
    expect(world.record(web)).toBeUndefined();
  });

  test("they work with one token, which only an exclusive grant raises", async () => {
    const before = await world.take(web);
    await before.release();
    const [first, second] = [await world.take(web, "shared"), await world.take(web, "shared")];
    expect([first.token, second.token]).toEqual([before.token, before.token]);
  });
});

describe("a check says lost", () => {
  test("where it rests, every ten seconds; once it is woken, at each look", async () => {
    const grant = await world.take(web);
    grant.rest?.();
    expect(await grant.check()).toBe("held");
    expect(await world.driver().revoke(web, grant.nonce)).toBe(true);
    world.clock.turn(9_000);
    expect(await grant.check()).toBe("held");
    world.clock.turn(1_000);
    expect(await grant.check()).toBe("lost");
    const other = await world.take({ kind: "model", type: "command/shell", id: "other" });
    other.rest?.();
    expect(await other.check()).toBe("held");
    expect(await world.driver().revoke(other.resource, other.nonce)).toBe(true);
    other.wake?.();
    expect(await other.check()).toBe("lost");
  });

  test("where the lock was revoked, though nobody has come since", async () => {
    const grant = await world.take(web);
    expect(await grant.check()).toBe("held");
    expect(await world.driver().revoke(web, grant.nonce)).toBe(true);
    expect(await grant.check()).toBe("lost");
    expect(world.record(web)).toBeUndefined();
  });

  test("where the lock table was replaced, though somebody holds the same lock in the new one", async () => {
    const grant = await world.take(web);
    const { path } = world.folder.table;
    renameSync(path, `${path}.old`);
    const other = world.orphan({ resource: web });
    expect(await grant.check()).toBe("lost");
    other.end();
  });

  test("where the kernel dropped the lock", async () => {
    const grant = await world.take(web);
    world.folder.table.unlock(grant.holding.descriptor ?? -1, world.folder.table.ranges({ resource: web }));
    expect(await grant.check()).toBe("lost");
  });

  test.each(["an older client's", "an unreadable"])("where %s record took the place of ours", async (whose) => {
    const grant = await world.take(web);
    world.writeRecord(web, whose === "an unreadable" ? "" : foreignRecord());
    expect(await grant.check()).toBe("lost");
  });

  test("where an older client's record took the place of ours, in a file of its own", async () => {
    const grant = await world.take(web);
    expect(await grant.check()).toBe("held");
    rmSync(world.recordPath(web));
    world.writeRecord(web, foreignRecord());
    expect(await grant.check()).toBe("lost");
  });

  test("where an older client wrote into our record", async () => {
    const grant = await world.take(web);
    expect(await grant.check()).toBe("held");
    world.writeRecord(web, foreignRecord({ nonce: grant.nonce }));
    expect(await grant.check()).toBe("lost");
  });

  test("where the lock that covers it is over", async () => {
    const parent = await world.take(web);
    const child = await world.take(web, "exclusive", under(parent.holding));
    expect(await child.check()).toBe("held");
    await parent.release();
    expect(await child.check()).toBe("lost");
  });

  test("but not where the record was only refreshed", async () => {
    const grant = await world.take(web);
    expect(await grant.check()).toBe("held");
    world.clock.turn(10_000);
    await grant.refresh();
    expect(await grant.check()).toBe("held");
  });

  test("but not of a lock in the new table, where that of an earlier one was in the old", async () => {
    const driver = world.driver();
    const take = async () => granted(await (await driver.join(web, "exclusive", world.claim())).attempt());
    const first = await take();
    expect(await first.check()).toBe("held");
    const { path } = world.folder.table;
    renameSync(path, `${path}.old`);
    expect(await first.check()).toBe("lost");
    await first.release();
    const second = await take();
    expect(await second.check()).toBe("held");
    world.folder.table.unlock(second.holding.descriptor ?? -1, world.folder.table.ranges({ resource: web }));
    expect(await second.check()).toBe("lost");
  });

  test("but not where somebody only removed the record: it is put back", async () => {
    const grant = await world.take(web);
    rmSync(world.recordPath(web));
    expect(await grant.check()).toBe("held");
    expect(world.record(web)).toMatchObject({ nonce: grant.nonce, token: grant.token });
  });
});

describe("after a stop", () => {
  test("lock-9: that was longer than the record's TTL, a record that is gone was an older client's to take", async () => {
    const grant = await world.take(web);
    world.clock.turn(31_000);
    rmSync(world.recordPath(web));
    expect(await grant.check()).toBe("lost");
  });

  test("a record that is still there says that nobody came", async () => {
    const grant = await world.take(web);
    world.clock.turn(31_000);
    expect(await grant.check()).toBe("held");
  });
});

describe("commands that one holder calls", () => {
  test("lock-34: two of them on the model that the holder holds take turns", async () => {
    const parent = await world.take(web);
    const first = await world.take(web, "exclusive", under(parent.holding));
    const second = await world.ask(web, "exclusive", under(parent.holding));
    expect(blockedBy(await second.attempt())).toBe("holder");
    await first.release();
    const grant = granted(await second.attempt());
    expect(grant.token).toBe(parent.token);
    await grant.release();
    expect(world.record(web)?.nonce).toBe(parent.nonce);
    expect(await parent.check()).toBe("held");
  });

  test("lock-34: nobody else gets in, between them or after them", async () => {
    const parent = await world.take(web);
    await (await world.take(web, "exclusive", under(parent.holding))).release();
    const stranger = await world.ask(web);
    expect(blockedBy(await stranger.attempt())).toBe("holder");
  });

  test("what is handed down is the one descriptor that carries the lock", async () => {
    const grant: Grant = await world.take(web);
    const { descriptor = -1 } = grant.holding;
    const ranges = world.folder.table.ranges({ resource: web });
    expect(world.folder.table.tryLock(descriptor, ranges, "exclusive")).toBe(true);
    closeSync(descriptor);
    expect(world.isLocked(web)).toBe(false);
  });
});

describe("keeping the record fresh", () => {
  test("lock-3: a refresh after the release makes no record", async () => {
    const grant = await world.take(web);
    world.clock.turn(10_000);
    await grant.refresh();
    expect(world.record(web)?.acquiredAt).toBe(new Date(world.clock.now()).toISOString());
    await grant.release();
    await grant.refresh();
    expect(world.record(web)).toBeUndefined();
  });

  test("lock-9: a refresh doesn't touch the record of one who took over", async () => {
    const grant = await world.take(datastore);
    world.writeRecord(datastore, foreignRecord());
    world.clock.turn(10_000);
    await grant.refresh();
    expect(world.record(datastore)).toEqual(foreignRecord());
  });
});

test("nothing stays of a lock that was given back at once: not even the folder that was made for its record", async () => {
  for (const mode of ["exclusive", "shared"] as const) {
    const grant = await world.take(web, mode);
    await grant.release();
    expect(existsSync(dirname(world.recordPath(web)))).toBe(false);
  }
});

describe("one of many that is given back", () => {
  test.each([
    ["at rest", (grant: Grant) => grant.rest?.()],
    ["awake", (grant: Grant) => [grant.rest?.(), grant.wake?.()]],
  ])("%s: record, lock, ticket, in this order, and nothing is left of it", async (_, prepare) => {
    const grant = await world.take(web);
    prepare(grant);
    const [lock] = world.folder.table.ranges({ resource: web });
    const atUnlock: unknown[] = [];
    world.kernel.beforeUnlock = (__, range) => {
      if (range.start === lock?.start) atUnlock.push({ record: world.record(web), tickets: world.tickets(web).length });
    };
    await grant.release();
    await grant.release();
    expect(atUnlock).toEqual([{ record: undefined, tickets: 1 }]);
    expect(world.tickets(web)).toEqual([]);
    expect(existsSync(dirname(world.recordPath(web)))).toBe(false); // nothing was left in it
    await (await world.take(web)).release();
  });

  test("leaves no ticket where its record can't be taken away, and says so", async () => {
    const grant = await world.take(web);
    grant.rest?.();
    world.kernel.beforeUnlock = () => {
      throw new Error("the table is gone");
    };
    await expect(grant.release()).rejects.toThrow("the table is gone");
    expect(world.tickets(web)).toEqual([]);
  });
});

describe("one of many, at rest", () => {
  /** At every call into the kernel's locks, what another command would find. */
  const watchMoves = (probe: () => void) => {
    let isProbing = false;
    const look = () => {
      if (isProbing) return;
      isProbing = true;
      probe();
      isProbing = false;
    };
    world.kernel.beforeLock = look;
    world.kernel.beforeUnlock = look;
  };

  test("is held at every instant while it goes to rest and wakes", async () => {
    const grant = await world.take(web);
    const found: boolean[] = [];
    watchMoves(() => found.push(world.isLocked(web)));
    grant.rest?.();
    grant.wake?.();
    watchMoves(() => undefined);
    expect(found.length).toBeGreaterThan(6);
    expect(found).not.toContain(false);
    expect(await grant.check()).toBe("held");
  });

  test("lets nobody share an exclusive lock, neither at rest nor awake", async () => {
    const grant = await world.take(web);
    const other = world.folder.table.open();
    const canShare = () => world.folder.table.tryLock(other, world.folder.table.ranges({ resource: web }), "shared");
    grant.rest?.();
    expect(canShare()).toBe(false);
    grant.wake?.();
    expect(canShare()).toBe(false);
    closeSync(other);
  });

  test("hands nothing down at rest, and a descriptor that carries this lock alone once it is awake", async () => {
    const driver = world.driver();
    const take = async (resource: typeof web) => {
      const place = await driver.join(resource, "exclusive", world.claim());
      return granted(await place.attempt());
    };
    const [one, other] = [await take(web), await take(db)];
    one.rest?.();
    other.rest?.();
    expect(one.holding.descriptor).toBeUndefined();
    other.wake?.();
    const { descriptor = -1 } = other.holding;
    await one.release();
    expect(world.isLocked(web)).toBe(false);
    expect(world.isLocked(db)).toBe(true);
    expect(world.folder.table.tryLock(descriptor, world.folder.table.ranges({ resource: db }), "exclusive")).toBe(true);
    expect(await other.check()).toBe("held");
  });

  test("keeps a shared lock shared", async () => {
    const grant = await world.take(web, "shared");
    grant.rest?.();
    const beside = await world.take(web, "shared");
    grant.wake?.();
    expect([await grant.check(), await beside.check()]).toEqual(["held", "held"]);
  });

  test("is given back at rest, once and for all", async () => {
    const grant = await world.take(web);
    grant.rest?.();
    await grant.release();
    grant.wake?.();
    expect(world.isLocked(web)).toBe(false);
    expect(world.tickets(web)).toEqual([]);
    expect(await (await world.take(web)).check()).toBe("held");
  });

  test("learns that it was taken away", async () => {
    const grant = await world.take(web);
    grant.rest?.();
    expect(await world.driver().revoke(web, grant.nonce)).toBe(true);
    world.clock.turn(10_000);
    expect(await grant.check()).toBe("lost");
    grant.wake?.();
    expect(await grant.check()).toBe("lost");
  });

  test("is lost, not taken anew, where the table was replaced", async () => {
    const grant = await world.take(web);
    grant.rest?.();
    rmSync(world.folder.table.path);
    grant.wake?.();
    expect(await grant.check()).toBe("lost");
  });
});
