import { utimesSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  blockedBy,
  datastore,
  db,
  fenRecord,
  foreignRecord,
  LockWorld,
  web,
} from "../../../../test/support/lock-world.ts";
import type { Holding, Resource } from "../../contract.ts";

let world: LockWorld;
beforeEach(() => {
  world = new LockWorld();
});
afterEach(() => world[Symbol.dispose]());

const other = "00000000-0000-4000-8000-000000000000";

describe("taking a place", () => {
  const closeGate = () => {
    const fd = world.keep(world.folder.table.open());
    const gate = [world.folder.table.gate({ resource: web })];
    world.folder.table.tryLock(fd, gate, "exclusive");
    return () => world.folder.table.unlock(fd, gate);
  };

  test("numbers are given out one at a time: while another is in the gate, nobody gets one", async () => {
    const open = closeGate();
    const asking = world.ask(web);
    await new Promise((resolve) => setImmediate(resolve));
    world.clock.turn(100);
    expect(world.tickets(web)).toEqual([]);
    open();
    await world.clock.turnUntil(asking);
    expect(world.tickets(web)).toHaveLength(1);
  });

  test("one who was paused in the gate holds the others up for a second at most", async () => {
    closeGate();
    const began = world.clock.monotonic();
    await world.clock.turnUntil(world.ask(web));
    expect(world.clock.monotonic() - began).toBeLessThan(1100);
  });

  test("whoever took a place leaves the gate open behind itself", async () => {
    const began = world.clock.monotonic();
    await world.clock.turnUntil(world.ask(web));
    await world.clock.turnUntil(world.ask(web));
    expect(world.clock.monotonic()).toBe(began);
  });

  test("a gate keeps those of other models from nothing", async () => {
    closeGate();
    const grant = await world.take(db);
    await grant.release();
  });
});

describe("break-glass", () => {
  test("lock-60: only the holder whose nonce was shown loses its lock", async () => {
    const grant = await world.take(web);
    expect(await world.driver().revoke(web, other)).toBe(false);
    expect(await grant.check()).toBe("held");
    expect(world.record(web)?.nonce).toBe(grant.nonce);
    expect(await world.driver().revoke(web, grant.nonce)).toBe(true);
    expect(await grant.check()).toBe("lost");
  });

  test.each([web, datastore])(
    "the next in line gets %o while the former holder still lives",
    async (resource: Resource) => {
      const grant = await world.take(resource);
      const next = await world.ask(resource);
      expect(blockedBy(await next.attempt())).toBe("holder");
      await world.driver().revoke(resource, grant.nonce);
      expect(blockedBy(await next.attempt())).toBe("nothing");
      await grant.release();
      expect(world.record(resource)?.nonce).toBe(next.nonce);
      expect(world.isLocked(resource)).toBe(true);
    },
  );

  test("the child of a dead holder loses it too, and the next gets in", async () => {
    const child = world.orphan({ resource: web });
    const record = fenRecord();
    world.writeRecord(web, record);
    expect(await world.driver().revoke(web, record.nonce)).toBe(true);
    await (await world.take(web)).release();
    child.end();
  });

  test("lock-10: without a nonce only a record that can't be read goes", async () => {
    const grant = await world.take(web);
    expect(await world.driver().revoke(web, undefined)).toBe(false);
    expect(await grant.check()).toBe("held");
    world.writeRecord(db, "junk");
    expect(await world.driver().revoke(db, undefined)).toBe(true);
    expect(world.record(db)).toBeUndefined();
  });

  test("a record that nobody stands behind goes, without a new byte for the model", async () => {
    const record = foreignRecord();
    world.writeRecord(web, record);
    expect(await world.driver().revoke(web, record.nonce)).toBe(true);
    expect(world.record(web)).toBeUndefined();
    expect(world.folder.table.generation(web)).toBe(0);
  });

  test.each([
    ["was at work", { mode: "exclusive" }],
    ["still waited", { mode: undefined }],
  ])("the record of a structural command that died while it %s goes, and no model's lock with it", async (_, more) => {
    const grant = await world.take(web);
    const record = fenRecord(more);
    world.writeRecord(datastore, record);
    expect((await world.driver().inspect(datastore)).held).toMatchObject([{ state: "stale", processes: [] }]);
    expect(await world.driver().revoke(datastore, record.nonce)).toBe(true);
    expect(world.record(datastore)).toBeUndefined();
    expect(await grant.check()).toBe("held");
  });

  test("of a structural command that died the child is found, and loses the lock", async () => {
    const child = world.orphan({ resource: datastore });
    const record = fenRecord();
    world.writeRecord(datastore, record);
    expect((await world.driver().inspect(datastore)).held).toMatchObject([{ state: "orphaned" }]);
    expect(await world.driver().revoke(datastore, record.nonce)).toBe(true);
    await (await world.take(web)).release();
    child.end();
  });

  test("one who waits can't be revoked", async () => {
    await world.take(web);
    const waiter = await world.ask(web);
    expect(await world.driver().revoke(web, waiter.nonce)).toBe(false);
  });
});

describe("what a caller handed down", () => {
  const inherit = (said: Holding) => world.driver().inherit([said]);

  test("a holding with the descriptor that carries its lock is inherited", async () => {
    const { holding } = await world.take(web);
    expect(await inherit(holding)).toEqual({ holdings: [holding], unshared: [] });
  });

  test("lock-34: the words alone give nothing, with no descriptor or that of any other file", async () => {
    const { holding } = await world.take(web);
    const { descriptor: _, ...words } = holding;
    const opened = world.keep(world.folder.table.open());
    for (const said of [
      words,
      { ...words, descriptor: 999_999 },
      { ...words, descriptor: 0 },
      { ...words, descriptor: opened },
    ])
      expect(await inherit(said), JSON.stringify(said)).toEqual({ holdings: [], unshared: [] });
  });

  test("the right descriptor with the wrong words gives nothing", async () => {
    const { holding } = await world.take(web);
    expect(await inherit({ ...holding, resource: db })).toEqual({ holdings: [], unshared: [] });
    expect((await inherit({ ...holding, nonce: other })).holdings).toEqual([]);
  });

  test("a lock whose holder is gone is ours alone: nothing to share, and nothing to wait for", async () => {
    const child = world.orphan({ resource: web });
    const said: Holding = { resource: web, mode: "exclusive", nonce: other, token: 1, pid: 1, descriptor: child.fd };
    expect(await inherit(said)).toEqual({ holdings: [], unshared: [said] });
    child.end();
  });

  test("lock-34: what a command above us holds is known though a program between dropped the descriptor", async () => {
    const { holding } = await world.take(web);
    const { descriptor: _, ...words } = { ...holding, pid: process.ppid };
    expect(await inherit(words)).toEqual({ holdings: [], unshared: [words] });
  });

  test("a lock that was revoked is inherited by nobody", async () => {
    const { holding, nonce } = await world.take(web);
    await world.driver().revoke(web, nonce);
    expect((await inherit(holding)).holdings).toEqual([]);
  });
});

describe("status", () => {
  const look = (scope: "all" | "live" | Resource = "all") => world.driver().inspect(scope);

  test("the holder and the waiters in their order", async () => {
    const grant = await world.take(web);
    const waiters = [await world.ask(web), await world.ask(web)];
    const { held, waiting } = await look();
    expect(held.map((one) => [one.state, one.record?.nonce])).toEqual([["held", grant.nonce]]);
    expect(waiting.map((one) => [one.place, one.record.nonce])).toEqual([
      [1, waiters[0]?.nonce],
      [2, waiters[1]?.nonce],
    ]);
  });

  test("lock-4: the dead hold nothing and wait for nothing", async () => {
    world.deadTicket(web, "000000000001.x.dead");
    expect(await look()).toEqual({ held: [], waiting: [] });
  });

  test("lock-10, lock-58: what was left behind is told: another client's, a dead one's, an unreadable, one whose child still works", async () => {
    const models = ["1", "2", "3", "4", "5"].map((digit): Resource => ({
      ...db,
      kind: "model",
      type: "t",
      id: db.kind === "model" ? digit + db.id.slice(1) : "",
    }));
    const [foreign = db, stale = db, unreadable = db, orphaned = db, cut = db] = models;
    world.writeRecord(foreign, foreignRecord());
    world.writeRecord(stale, fenRecord());
    world.writeRecord(unreadable, "{");
    world.writeRecord(orphaned, fenRecord());
    const child = world.orphan({ resource: orphaned });
    world.writeRecord(cut, "");
    utimesSync(world.folder.recordPath(cut), new Date(0), new Date(0)); // before the machine was started
    const { held } = await look();
    const states = Object.fromEntries(
      held.map((one) => [one.resource.kind === "model" ? one.resource.id[0] : "", one.state]),
    );
    expect(states).toEqual({ 1: "foreign", 2: "stale", 3: "unreadable", 4: "orphaned", 5: "stale" });
    child.end();
  });

  test.each(["shell", "command/shell", "@acme/net/switch", "a.b/c.d"])(
    "lock-26: a record of type %s is found",
    async (type) => {
      const resource: Resource = { kind: "model", type, id: "a0000000-0000-4000-a000-000000000001" };
      world.writeRecord(resource, foreignRecord());
      expect((await look()).held.map((one) => one.resource)).toEqual([resource]);
      const structural = await world.ask(datastore);
      expect(blockedBy(await structural.attempt())).toBe("foreign");
    },
  );

  test("one resource: without the others", async () => {
    await world.take(web);
    await world.take(db);
    expect((await look(web)).held.map((one) => one.resource)).toEqual([web]);
  });

  test("lock-57: a look changes nothing, while everything is held", async () => {
    const grant = await world.take(datastore);
    expect((await look()).held).toHaveLength(1);
    expect(await grant.check()).toBe("held");
  });
});
