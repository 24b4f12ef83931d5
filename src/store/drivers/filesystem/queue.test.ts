import { closeSync, existsSync, openSync, readdirSync, rmSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { foreignRecord, LockWorld, web } from "../../../../test/support/lock-world.ts";
import type { LockMode } from "../../contract.ts";
import { slotName } from "./lock-table.ts";
import type { OwnTicket, Queue } from "./queue.ts";

let world: LockWorld;
let queue: Queue;
beforeEach(() => {
  world = new LockWorld();
  queue = world.folder.queue({ resource: web });
});
afterEach(() => world[Symbol.dispose]());

const take = (nonce: string, mode: LockMode = "exclusive"): OwnTicket =>
  queue.take(nonce, mode, foreignRecord({ nonce }));
const see = (nonce: string) => {
  const ticket = queue.tickets().find((one) => one.nonce === nonce);
  if (ticket === undefined) throw new Error(`no ticket ${nonce}`);
  return ticket;
};

describe("order", () => {
  test("tickets stand in the order in which they were taken, whatever their nonces", () => {
    for (const nonce of ["m", "z", "a", "Z"]) take(nonce);
    expect(queue.tickets().map((ticket) => ticket.nonce)).toEqual(["m", "z", "a", "Z"]);
    expect(queue.tickets().map((ticket) => ticket.number)).toEqual([1, 2, 3, 4]);
  });

  test("of two with one number the lower nonce by code point is first, for both of them", () => {
    const [lower, upper] = [take("a"), take("B")];
    for (const one of [lower, upper]) one.show(5);
    expect(queue.tickets().map((ticket) => ticket.nonce)).toEqual(["B", "a"]);
    expect(lower.waitsFor(see("B"))).toBe(true);
    expect(upper.waitsFor(see("a"))).toBe(false);
  });

  test.each([
    ["exclusive", "exclusive", true],
    ["exclusive", "shared", true],
    ["shared", "exclusive", true],
    ["shared", "shared", false],
  ] as const)("lock-32: behind an earlier %s one, a %s one waits: %s", (first, second, waits) => {
    const earlier = take("earlier", first);
    const later = take("later", second);
    expect(later.waitsFor(see("earlier"))).toBe(waits);
    expect(earlier.waitsFor(see("later"))).toBe(false);
  });
});

describe("life and death", () => {
  test("a ticket is alive while its owner keeps it, and gone when the owner leaves", () => {
    const own = take("own");
    const ticket = see("own");
    expect(queue.isAlive(ticket)).toBe(true);
    const probe = queue.openProbe(ticket);
    own.leave();
    expect(probe?.isGone()).toBe(true);
    probe?.close();
    expect(queue.isAlive(ticket)).toBe(false);
    expect(readdirSync(queue.folder)).toEqual([]);
  });

  test("a ticket that was removed is gone though its owner still lives", () => {
    const own = take("own");
    const probe = queue.openProbe(see("own"));
    queue.bury(see("own"));
    expect(probe?.isGone()).toBe(true);
    probe?.close();
    own.leave();
  });

  test("a hidden ticket of one who still lives is left alone, a dead one's is swept", () => {
    const dead = world.deadTicket(web, ".dead");
    const living = world.deadTicket(web, ".living");
    const fd = openSync(living, "r+");
    world.kernel.tryLock(fd, { start: 0, length: 0 }, "exclusive");
    take("own");
    expect(existsSync(dead)).toBe(false);
    expect(existsSync(living)).toBe(true);
    closeSync(fd);
  });

  test("a ticket is locked before anybody can see it", () => {
    const seen: string[] = [];
    world.kernel.beforeLock = () => seen.push(...queue.tickets().map((ticket) => basename(ticket.path)));
    take("own");
    expect(seen).toEqual([]);
    world.kernel.beforeLock = () => undefined;
    expect(queue.isAlive(see("own"))).toBe(true);
  });

  test("one whose hidden ticket was swept away before it was locked takes another", () => {
    let sweeps = 0;
    world.kernel.beforeLock = () => {
      if (sweeps++ === 0) rmSync(join(queue.folder, `.${slotName({ resource: web })}+own`));
    };
    const own = take("own");
    expect(sweeps).toBeGreaterThan(1);
    expect(queue.isAlive(see("own"))).toBe(true);
    own.leave();
  });

  test("only a living owner who was granted the lock holds it", () => {
    const own = take("own");
    expect(queue.isHeldBy("own")).toBe(false);
    own.markGranted(foreignRecord({ nonce: "own" }), 0);
    expect(queue.isHeldBy("own")).toBe(true);
    expect(queue.otherHolder("own")).toBeUndefined();
    expect(queue.otherHolder("another")?.nonce).toBe("own");
    own.leave();
    expect(queue.isHeldBy("own")).toBe(false);
    expect(queue.otherHolder("another")).toBeUndefined();
  });

  test("a grant that is half written is no grant yet", () => {
    const [whole, other] = [foreignRecord(), foreignRecord({ pid: 1 })];
    const path = join(relative(world.folder.root, queue.folder), `${slotName({ resource: web })}+000000000001.x.own`);
    world.write(path, `${JSON.stringify(whole)}\n${JSON.stringify(other)}`);
    expect(queue.read(see("own"))).toEqual({ waiting: whole });
    world.write(path, `${JSON.stringify(whole)}\n${JSON.stringify(other)}\n`);
    expect(queue.read(see("own"))).toEqual({ waiting: whole, granted: other });
  });
});
