import { expect, test } from "vitest";
import { Slots } from "./slots.ts";

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
