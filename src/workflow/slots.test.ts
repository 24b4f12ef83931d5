import { describe, expect, test } from "vitest";
import { type Slot, Slots } from "./slots.ts";

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

describe("who is finishing", () => {
  /** Takes one; tells whether it has begun. */
  function taking(slots: Slots<number>, who: number) {
    const taken = { slot: undefined as Slot | undefined };
    void slots.take(who, never).then((slot) => (taken.slot = slot));
    return taken;
  }

  test("lets another begin, as long as few are finishing; all in all it is never more than both", async () => {
    const slots = new Slots<number>(2, (a, b) => a - b, { finishing: 1 });
    const held = [await slots.take(1, never), await slots.take(2, never)];
    const [third, fourth] = [taking(slots, 3), taking(slots, 4)];
    held[0]?.finish();
    held[0]?.finish();
    held[1]?.finish(); // one too many: it goes on counting
    await settle();
    expect([third.slot, fourth.slot].map((slot) => slot !== undefined)).toEqual([true, false]);
    held[1]?.release();
    await settle();
    expect(fourth.slot).toBeDefined();
  });

  test("one too many is finishing as soon as another is over, first come first", async () => {
    const slots = new Slots<number>(2, (a, b) => a - b, { finishing: 1 });
    const held = [await slots.take(1, never), await slots.take(2, never)];
    held[0]?.finish();
    held.push(await slots.take(3, never));
    const [fourth, fifth, sixth] = [taking(slots, 4), taking(slots, 5), taking(slots, 6)];
    const begun = () => [fourth, fifth, sixth].map(({ slot }) => slot !== undefined);
    held[2]?.finish();
    held[1]?.finish();
    await settle();
    expect(begun()).toEqual([false, false, false]);
    held[0]?.release(); // the third is finishing now, and the second still counts
    await settle();
    expect(begun()).toEqual([true, false, false]);
    held[1]?.release(); // it gives back what it had, and waits for no room any more
    await settle();
    expect(begun()).toEqual([true, true, false]);
    held[2]?.release();
    await settle();
    expect(begun()).toEqual([true, true, false]);
  });

  test("makes room for the next who finishes when it is over, and gives back nothing twice", async () => {
    const slots = new Slots<number>(1, (a, b) => a - b, { finishing: 1 });
    const first = await slots.take(1, never);
    first.finish();
    const second = await slots.take(2, never);
    first.release();
    first.release();
    first.finish();
    second.finish();
    await slots.take(3, never);
    second.release();
    const fourth = taking(slots, 4);
    await settle();
    expect(fourth.slot).toBeUndefined();
  });

  test("counts like the others where nobody says otherwise", async () => {
    const slots = new Slots<number>(1, (a, b) => a - b);
    const first = await slots.take(1, never);
    const second = taking(slots, 2);
    first.finish();
    await settle();
    expect(second.slot).toBeUndefined();
    first.release();
    await settle();
    expect(second.slot).toBeDefined();
  });
});
