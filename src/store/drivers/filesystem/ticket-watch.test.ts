import { once } from "node:events";
import { closeSync, openSync, watch as watchFile } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { foreignRecord, LockWorld, web } from "../../../../test/support/lock-world.ts";
import type { OwnTicket, Queue, Ticket } from "./queue.ts";
import { TicketWatch } from "./ticket-watch.ts";

let world: LockWorld;
let queue: Queue;
let own: OwnTicket;
beforeEach(() => {
  world = new LockWorld();
  queue = world.folder.queue({ resource: web });
  own = queue.take("own", "exclusive", foreignRecord());
});
afterEach(() => {
  own.leave();
  world[Symbol.dispose]();
});

/** A wake-up that is lost is a hang: it needn't take the test's whole time. */
const mayHang = { timeout: 3000 };
const long = 60_000;

function last(): Ticket {
  const ticket = queue.tickets().at(-1);
  if (ticket === undefined) throw new Error("the queue is empty");
  return ticket;
}
function watch(ticket = last()): TicketWatch {
  const opened = TicketWatch.open(queue, ticket);
  if (opened === undefined) throw new Error("the ticket is gone");
  return opened;
}
const wait = (watched: TicketWatch, more: { maxMs?: number; signal?: AbortSignal; place?: number } = {}) =>
  watched.over(world.clock, { maxMs: long, signal: new AbortController().signal, place: 1, ...more });

// The clock stands still in the first ones, so nothing but the event itself can wake.

test("the end of a ticket wakes whoever waits for it, without a look at the clock", mayHang, async () => {
  const watched = watch();
  const waiting = wait(watched);
  own.leave();
  await waiting;
  expect(watched.isOver()).toBe(true);
  watched.close();
});

test("a ticket that ended before the wait began ends it at once", mayHang, async () => {
  const watched = watch();
  const event = once(watchFile(last().path), "change");
  own.leave();
  await event; // nobody waited for it: there will be no other
  await wait(watched);
  watched.close();
});

test("a ticket that ended before it was watched isn't watched", () => {
  const ticket = last();
  own.leave();
  expect(TicketWatch.open(queue, ticket)).toBeUndefined();
});

test("lock-54: an abort ends the wait at once, with its reason", mayHang, async () => {
  const watched = watch();
  const stop = new AbortController();
  const waiting = wait(watched, { signal: stop.signal });
  stop.abort(new Error("stop"));
  await expect(waiting).rejects.toThrow("stop");
  watched.close();
});

test("lock-54: an abort that came before the wait ends it too", mayHang, async () => {
  const watched = watch();
  await expect(wait(watched, { signal: AbortSignal.abort(new Error("stop")) })).rejects.toThrow("stop");
  watched.close();
});

// Here the owner dies: nothing in the folder changes, only the kernel's lock is gone.

/** A ticket whose owner can die. */
function mortal(): () => void {
  const fd = openSync(world.deadTicket(web, "000000000009.x.mortal"), "r+");
  world.kernel.tryLock(fd, { start: 0, length: 0 }, "exclusive");
  return () => closeSync(fd);
}

test("lock-4: the next in line sees within 100 ms that the one before it died", mayHang, async () => {
  const die = mortal();
  const watched = watch();
  const waiting = wait(watched);
  die();
  world.clock.turn(100);
  await waiting;
  expect(watched.isOver()).toBe(true);
  watched.close();
});

test("lock-20: those far behind look more rarely, but at last they see it too", mayHang, async () => {
  const die = mortal();
  const watched = watch();
  const waiting = wait(watched, { place: 1000 });
  die();
  world.clock.turn(200);
  await new Promise((resolve) => setImmediate(resolve));
  expect(watched.isOver()).toBe(false);
  world.clock.turn(100);
  await waiting;
  watched.close();
});

test("a wait ends when its time is over, though the ticket lives", mayHang, async () => {
  const watched = watch();
  const began = world.clock.monotonic();
  await world.clock.turnUntil(wait(watched, { maxMs: 1000, place: 1000 }));
  expect(world.clock.monotonic() - began).toBe(1000);
  expect(watched.isOver()).toBe(false);
  watched.close();
});
