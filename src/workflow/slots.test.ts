import { expect, test } from "vitest";
import { type RunSlot, RunSlots, Slots } from "./slots.ts";

const never = new AbortController().signal;
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test("never more than there are; of those who wait the lowest goes first, however they came", async () => {
  const slots = new Slots<number>(2, (a, b) => a - b);
  const order: number[] = [];
  const held = [await slots.take(100, never), await slots.take(101, never)];
  for (const who of [5, 1, 9, 3, 7])
    void slots.take(who, never).then((slot) => {
      order.push(who);
      held.push(slot);
    });
  await settle();
  expect(order).toEqual([]);
  for (let n = 0; n < 5; n++) {
    held.shift()?.release();
    await settle();
  }
  expect(order).toEqual([1, 3, 5, 7, 9]);
});

test("a slot that is given back twice counts once", async () => {
  const slots = new Slots<number>(1, (a, b) => a - b);
  const first = await slots.take(1, never);
  first.release();
  first.release();
  await slots.take(2, never);
  let begun = false;
  void slots.take(3, never).then(() => (begun = true));
  await settle();
  expect(begun).toBe(false);
});

test("one who gives up leaves its place to the next; one who had given up before gets none", async () => {
  const slots = new Slots<number>(1, (a, b) => a - b);
  const held = await slots.take(0, never);
  const stop = new AbortController();
  const gone = slots.take(1, stop.signal);
  const next = slots.take(2, never);
  stop.abort(new Error("enough"));
  await expect(gone).rejects.toThrow("enough");
  held.release();
  (await next).release();
  await expect(slots.take(3, stop.signal)).rejects.toThrow("enough");
  await slots.take(4, never);
});

test("without a limit nobody waits", async () => {
  const slots = new Slots<number>(undefined, (a, b) => a - b);
  await Promise.all(Array.from({ length: 1000 }, (_, n) => slots.take(n, never)));
});

const byNumber = (a: number, b: number) => a - b;

/** Asks for slots in order, and gives whom it has let begin. */
function ask(slots: RunSlots<number>, many: number) {
  const begun = new Map<number, RunSlot>();
  for (let who = 1; who <= many; who++) void slots.take(who, never).then((slot) => begun.set(who, slot));
  return begun;
}

test("a run's slots: when a method has ended the next begins, before the first one's outputs are committed", async () => {
  const begun = ask(new RunSlots<number>(2, byNumber), 9);
  await settle();
  expect([...begun.keys()]).toEqual([1, 2]);
  begun.get(1)?.methodEnded();
  begun.get(1)?.methodEnded();
  await settle();
  expect([...begun.keys()]).toEqual([1, 2, 3]);
});

test("a run's slots: a store that is slow holds the run up, with as many commits as methods", async () => {
  const begun = ask(new RunSlots<number>(2, byNumber), 9);
  for (let round = 0; round < 9; round++) {
    await settle();
    for (const slot of begun.values()) slot.methodEnded();
  }
  expect([...begun.keys()]).toEqual([1, 2, 3, 4]);
  begun.get(3)?.release();
  await settle();
  expect([...begun.keys()]).toEqual([1, 2, 3, 4, 5]);
});

test("a run of one slot does one thing after the other, commits included", async () => {
  const begun = ask(new RunSlots<number>(1, byNumber), 2);
  await settle();
  begun.get(1)?.methodEnded();
  await settle();
  expect([...begun.keys()]).toEqual([1]);
  begun.get(1)?.release();
  await settle();
  expect([...begun.keys()]).toEqual([1, 2]);
});

test("a run's slots: one that gives up while it waits keeps nothing", async () => {
  const slots = new RunSlots<number>(2, byNumber);
  const held = [await slots.take(1, never), await slots.take(2, never)];
  for (let round = 0; round < 5; round++) {
    const stop = new AbortController();
    const waiting = slots.take(3, stop.signal);
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  }
  for (const slot of held) slot.methodEnded();
  await slots.take(4, never);
  await slots.take(5, never);
});
