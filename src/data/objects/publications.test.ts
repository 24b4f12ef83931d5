/** Publications that many want at once, on a store in memory and a clock that is turned by hand. */
import { beforeEach, describe, expect, test } from "vitest";
import { tries } from "../../../test/support/quick.ts";
import { Chance } from "../../../test/support/chance.ts";
import { HandClock } from "../../../test/support/hand-clock.ts";
import { FenError } from "../../kernel/errors.ts";
import { systemMachine } from "../../kernel/machine.ts";
import type { ConditionalStore } from "../../store/conditional.ts";
import { MemoryBucket, MemoryConditionalStore } from "../../store/drivers/memory/conditional.ts";
import { FaultyConditionalStore } from "../../store/drivers/memory/faults.ts";
import { Publications } from "./publications.ts";

const key = "publication.json";
const takesMs = 3000;
const often = tries(300);
let clock: HandClock;
let bucket: MemoryBucket;
/** What everybody has put, and what of it is published. */
let there: string[];
let published: readonly string[];
let counts: { begun: number; atWork: number; mostAtWork: number };
beforeEach(() => {
  clock = new HandClock();
  bucket = new MemoryBucket();
  [there, published] = [[], []];
  counts = { begun: 0, atWork: 0, mostAtWork: 0 };
});

const plain = () => new MemoryConditionalStore(bucket);
const on = (store: ConditionalStore = plain()) =>
  new Publications({ machine: { ...systemMachine("publications"), clock }, store });
/** Each of its calls as it is, but for these. */
const altered = (own: Partial<ConditionalStore>, store: ConditionalStore = plain()): ConditionalStore => ({
  get: (name) => store.get(name),
  list: (prefix) => store.list(prefix),
  put: (name, body, condition) => store.put(name, body, condition),
  remove: (name) => store.remove(name),
  ...own,
});
const turn = (): Record<string, unknown> => JSON.parse(bucket.objects.get(key)?.body ?? "{}");

/** Publishes what is there when it begins. */
async function publish(ms = takesMs, errors: readonly string[] = []) {
  counts.begun++;
  counts.mostAtWork = Math.max(counts.mostAtWork, ++counts.atWork);
  const list = [...there];
  await clock.sleep(ms);
  published = [...new Set([...published, ...list])];
  counts.atWork--;
  return { files: 1, errors };
}

/** Comes after so long, with something new. What it had put is published when it is told so. */
async function comes(afterMs: number, name: string, publications = on(), ms = takesMs, prepareMs = 0) {
  await clock.sleep(afterMs);
  there.push(name);
  const told = await publications.join(async (begins) => {
    if (prepareMs > 0) {
      await clock.sleep(prepareMs);
      await begins();
    }
    return publish(ms);
  });
  expect(published).toContain(name);
  return told;
}

function noAnswer(): FenError {
  return new FenError("store_unavailable", "No answer came.");
}

describe("of ten that want a publication", () => {
  test("at once, one makes it for those who came before it began, and one more for all others", async () => {
    const all = Array.from({ length: 10 }, (_, index) => comes(index < 4 ? 0 : 500 + index, `${index}`));
    const told = await clock.turnUntil(Promise.all(all));
    expect(counts).toEqual({ begun: 2, atWork: 0, mostAtWork: 1 });
    expect(told.filter(({ files }) => files === 1)).toHaveLength(2);
  });

  test("while one prepares it, that one makes it for all of them", async () => {
    const all = Array.from({ length: 10 }, (_, index) => comes(index * 35, `${index}`, on(), takesMs, 400));
    const told = await clock.turnUntil(Promise.all(all));
    expect(counts).toEqual({ begun: 1, atWork: 0, mostAtWork: 1 });
    expect(told.filter(({ files }) => files === 1)).toHaveLength(1);
  });

  test("one after the other, each makes its own, and none waits", async () => {
    const start = clock.monotonic();
    for (let count = 0; count < 10; count++) await clock.turnUntil(comes(0, `${count}`));
    expect(counts).toMatchObject({ begun: 10, mostAtWork: 1 });
    expect(clock.monotonic() - start).toBe(10 * takesMs);
  });

  test("those who waited hear what it had to tell", async () => {
    const all = ["a", "b", "c"].map(() => on().join(() => publish(takesMs, ["gone: x"])));
    const told = await clock.turnUntil(Promise.all(all));
    expect(counts.begun).toBe(1);
    expect(told.map(({ errors }) => errors)).toEqual([["gone: x"], ["gone: x"], ["gone: x"]]);
  });

  test(`with answers that are lost and writes that come late, each is told the truth: ${often} times`, async () => {
    let begun = 0;
    for (let seed = 1; seed <= often; seed++) {
      const chance = new Chance(seed);
      [there, published, bucket] = [[], [], new MemoryBucket()];
      const travel = (leg: "there" | "back" | "late") =>
        clock.sleep(leg === "late" ? 200 + chance.below(20_000) : 1 + chance.below(50));
      const faults = { rates: () => ({ before: 0.1, after: 0.1, late: 0.1 }), chance: () => chance.next(), travel };
      const store = new FaultyConditionalStore(plain(), faults);
      // A read that failed so often ends the command.
      const reading = { get: (name: string) => plain().get(name) };
      const all = Array.from({ length: 6 }, (_, index) =>
        comes(chance.below(4000), `${index}`, on(altered(reading, store)), chance.below(25_000), chance.below(2) * 500),
      );
      await clock.turnUntil(Promise.all(all));
      begun += counts.begun;
      counts.begun = 0;
    }
    expect(begun).toBeLessThan(often * 5);
  });
});

describe("who publishes", () => {
  test("is waited for as long as it shows that it lives", async () => {
    const told = Promise.all([comes(0, "a", on(), 60_000), comes(1000, "b")]);
    await clock.turnUntil(told);
    expect(counts).toMatchObject({ begun: 2, mostAtWork: 1 });
  });

  test("and died is waited for until it was quiet for ten seconds, by all who come, once", async () => {
    const dead = { begun: 3, ended: 2, errors: [], by: "gone", beat: 4 };
    await plain().put(key, JSON.stringify(dead), { ifAbsent: true });
    const start = clock.monotonic();
    const told = Promise.all(["a", "b", "c"].map((name) => comes(0, name)));
    clock.turn(0);
    await clock.turnUntil(told);
    expect(counts).toMatchObject({ begun: 1 });
    expect(clock.monotonic() - start).toBeGreaterThanOrEqual(10_000 + takesMs);
    expect(clock.monotonic() - start).toBeLessThan(13_000 + takesMs);
  });

  test("and fails is waited for by nobody, and fails alone", async () => {
    const failing = on().join(async () => {
      await clock.sleep(500);
      throw noAnswer();
    });
    const start = clock.monotonic();
    const told = Promise.allSettled([failing, comes(0, "b"), comes(0, "c")]);
    const [first, ...others] = await clock.turnUntil(told);
    expect(first).toMatchObject({ status: "rejected", reason: { code: "store_unavailable" } });
    expect(others.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled"]);
    expect(clock.monotonic() - start).toBeLessThan(500 + takesMs + 2000);
  });

  test("and was taken for dead ends beside the other, whose turn stays its own", async () => {
    let isCutOff = false;
    const cutOff = altered({ get: async (name) => (isCutOff ? Promise.reject(noAnswer()) : plain().get(name)) });
    const slow = comes(0, "a", on(cutOff), 20_000);
    await clock.turnUntil(clock.sleep(1));
    isCutOff = true;
    const other = comes(0, "b", on(), 20_000);
    await clock.turnUntil(clock.sleep(15_000));
    isCutOff = false;
    await clock.turnUntil(slow);
    expect(turn()).toMatchObject({ begun: 2, ended: 1, by: expect.any(String) });
    await clock.turnUntil(other);
    expect(turn()).toEqual({ begun: 2, ended: 2, errors: [] });
  });

  test("and could not say that it begins later than it came is not that of those who came meanwhile", async () => {
    const deaf = altered({
      put: (name, body, condition) => {
        const isDown = clock.monotonic() - start > 100 && clock.monotonic() - start < 1000;
        return isDown ? Promise.reject(noAnswer()) : plain().put(name, body, condition);
      },
    });
    const start = clock.monotonic();
    await clock.turnUntil(Promise.all([comes(0, "a", on(deaf), takesMs, 400), comes(1000, "b")]));
    expect(counts.begun).toBe(2);
  });

  test("ends last though it began first, and takes back nothing", async () => {
    const dead = { begun: 1, ended: 0, errors: [], by: "gone" };
    const slow = comes(0, "a", on(), 500);
    await clock.turnUntil(clock.sleep(100));
    const later = { ...dead, begun: 5, ended: 5, errors: ["x"], by: undefined };
    bucket.objects.set(key, { body: JSON.stringify(later), etag: "later" });
    await clock.turnUntil(slow);
    expect(turn()).toEqual({ begun: 5, ended: 5, errors: ["x"] });
  });
});

describe("where turns can't be taken", () => {
  test("since nothing can be written there, each publishes", async () => {
    await clock.turnUntil(comes(0, "a", on(altered({ put: () => Promise.reject(noAnswer()) }))));
    expect(counts.begun).toBe(1);
  });

  test("since what is there is no turn, it is written anew", async () => {
    for (const body of ["", "[]", `{"begun":"x","ended":-1,"errors":7}`]) {
      bucket.objects.set(key, { body, etag: body });
      await clock.turnUntil(comes(0, body));
      expect(turn()).toEqual({ begun: 1, ended: 1, errors: [] });
    }
  });

  test("since the command is to end, nobody waits any more", async () => {
    const waiting = new AbortController();
    const first = comes(0, "a");
    await clock.turnUntil(clock.sleep(1));
    const second = on().join(() => publish(), waiting.signal);
    const ended = expect(second).rejects.toThrow("enough");
    await clock.turnUntil(clock.sleep(500));
    waiting.abort(new Error("enough"));
    await ended;
    await clock.turnUntil(first);
  });
});
