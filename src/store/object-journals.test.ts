/** Journals of many pieces, in memory: put together when a writer ends, at any order of requests of whoever else reads, goes on, or comes too late. */
import { mkdtempSync, rmSync } from "node:fs";
import { tries } from "../../test/support/quick.ts";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HandClock } from "../../test/support/hand-clock.ts";
import { FenError } from "../kernel/errors.ts";
import { systemMachine } from "../kernel/machine.ts";
import type { LocalFiles } from "./contract.ts";
import { openFilesystemDatastore } from "./drivers/filesystem/datastore.ts";
import { MemoryObjects } from "./drivers/memory/objects.ts";
import { ObjectJournals } from "./object-journals.ts";
import type { ObjectStore } from "./objects.ts";

const orders = tries(250);

const path = "workflow-runs/w/workflow-run-1.journal";
const machine = systemMachine("journals");
let root: string;
let local: LocalFiles;
let objects: MemoryObjects;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "fen-journals-"));
  ({ local } = openFilesystemDatastore(root, machine));
  objects = new MemoryObjects();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const journalsOn = (store: ObjectStore) => new ObjectJournals({ objects: store, local, machine, quietMs: 1000 });
const names = () => [...objects.objects.keys()].map((one) => one.slice(path.length + 1)).sort();

async function text(journals: ObjectJournals, start = 0, seen: { readonly size?: number } = {}): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of journals.stream(path, { start, ...seen })) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** A writer that adds its lines one by one and ends; its name is in each. */
async function write(journals: ObjectJournals, name: string, lines: number, size?: number): Promise<string> {
  const said: string[] = [];
  await add(journals, { name, lines, said, ...(size === undefined ? {} : { size }) });
  return said.join("");
}

interface Session {
  readonly name: string;
  readonly lines: number;
  /** Of those who go on: what they have read. */
  readonly size?: number;
  /** What it was told to be durable. */
  readonly said: string[];
}

async function add(journals: ObjectJournals, { name, lines, size, said }: Session): Promise<void> {
  const file = await (size === undefined ? journals.create(path) : journals.reopen(path, { size }));
  for (let line = 1; line <= lines; line++) {
    file.append(`${name}${line}\n`);
    await file.sync();
    said.push(`${name}${line}\n`);
  }
  await file.close();
}

describe("a journal whose writer has ended", () => {
  test("is one object and the first of its pieces where there were many, and what it was where there were few", async () => {
    expect(await write(journalsOn(objects), "a", 8)).toBe(await text(journalsOn(objects)));
    expect(names()).toHaveLength(8);
    objects.objects.clear();
    const lines = await write(journalsOn(objects), "a", 9);
    expect(names()).toEqual(["00000001", "00000009.whole"]);
    const there = journalsOn(objects);
    expect(await text(there)).toBe(lines);
    expect([await text(there, 7), (await there.stat(path))?.size]).toEqual([lines.slice(7), lines.length]);
  });

  test("is gone on with after what it holds, and put together again", async () => {
    const first = await write(journalsOn(objects), "a", 9);
    const second = await write(journalsOn(objects), "b", 10, first.length);
    expect(names()).toEqual(["00000001", "00000010", "00000019.whole"]);
    const third = await write(journalsOn(objects), "c", 1, first.length + second.length);
    expect(await text(journalsOn(objects))).toBe(first + second + third);
    expect(await text(journalsOn(objects), first.length + second.length)).toBe(third);
  });

  test("stays as it is where it can't be put together", async () => {
    const failing: ObjectStore = Object.assign(Object.create(objects), {
      create: async (one: string, ...rest: [Parameters<ObjectStore["create"]>[1], { readonly nonce: string }]) => {
        if (one.endsWith(".whole")) throw new FenError("store_unavailable", "No answer came.");
        return objects.create(one, ...rest);
      },
    });
    const lines = await write(journalsOn(failing), "a", 9);
    expect(names()).toHaveLength(9);
    expect(await text(journalsOn(objects))).toBe(lines);
  });

  test("can't be gone on with by who hasn't read all of it", async () => {
    const lines = await write(journalsOn(objects), "a", 3);
    for (const size of [0, 3, lines.length + 3])
      await expect(journalsOn(objects).reopen(path, { size })).rejects.toMatchObject({ code: "lock_lost" });
  });
});

describe("a reader", () => {
  test("asks for a list once to look and read, and only for what is new when it looks again", async () => {
    const asked: unknown[] = [];
    const watched: ObjectStore = Object.assign(Object.create(objects), {
      list: (folder: string, options: unknown) => {
        asked.push(options);
        return objects.list(folder, options as { after?: string });
      },
    });
    const there = journalsOn(watched);
    const file = await journalsOn(objects).create(path);
    const add = async (line: string) => {
      file.append(line);
      await file.sync();
    };
    await add("one\n");
    expect(await text(there, 0, await there.stat(path))).toBe("one\n");
    await add("two\n");
    // Who doesn't say what it has seen, or knows of more, is told of what came since.
    expect(await text(there)).toBe("one\ntwo\n");
    await add("three\n");
    expect(await text(there, 0, { size: 14 })).toBe("one\ntwo\nthree\n");
    expect(asked).toEqual([{}, {}, { after: `${path}/00000001` }]);
    await file.close();
    await journalsOn(objects).remove(path);
    expect(await there.stat(path)).toBeUndefined();
  });
});

describe("two that show one run as their own", () => {
  const owner = ".fen/runs/1.owner";
  const word = () => new TextDecoder().decode(objects.objects.get(owner)?.bytes);
  const on = (name: string, clock: HandClock) => {
    const here = openFilesystemDatastore(join(root, name), machine).local;
    return new ObjectJournals({ objects, local: here, machine: { ...machine, clock }, quietMs: 1000 });
  };

  test("leave each other's word where it is: who gives up takes back only its own", async () => {
    const clock = new HandClock();
    const [one, two] = [on("one", clock), on("two", new HandClock())];
    const ownedByOne = await one.own(owner);
    const first = word();
    const ownedByTwo = await two.own(owner);
    expect(word()).not.toBe(first);
    clock.turn(200); // the first says it again
    await expect.poll(word).toBe(first);
    expect(await two.remove(owner)).toBe(true); // what it had here
    ownedByTwo.letGo();
    expect(word()).toBe(first);
    expect(await on("other", clock).owner(owner)).toBe("alive");
    expect(await one.remove(owner)).toBe(true);
    ownedByOne.letGo();
    expect(objects.objects.has(owner)).toBe(false);
  });

  test("are taken back by others only where they are dead", async () => {
    const clock = new HandClock();
    const owned = await on("one", clock).own(owner);
    expect(await on("two", clock).remove(owner)).toBe(false);
    expect(objects.objects.has(owner)).toBe(true);
    owned.letGo(); // as the end of its process does
    expect(await on("one", clock).remove(owner)).toBe(true);
    expect(objects.objects.has(owner)).toBe(false);
  });
});

/** The store as several see it, of whom one makes a request at a time, in an order that is given. */
class Order {
  readonly #waiting = new Map<string, (() => void)[]>();
  readonly #all: ObjectStore;

  constructor(all: ObjectStore) {
    this.#all = all;
  }

  storeOf(who: string): ObjectStore {
    const turn = () =>
      new Promise<void>((resolve) => this.#waiting.set(who, [...(this.#waiting.get(who) ?? []), resolve]));
    const all = this.#all;
    return new Proxy(all, {
      get: (target, name) => {
        const found: unknown = Reflect.get(target, name);
        if (typeof found !== "function" || name === "locate") return found;
        if (name === "list")
          return async function* (...args: Parameters<ObjectStore["list"]>) {
            await turn();
            const listed = [];
            for await (const one of all.list(...args)) listed.push(one);
            yield* listed;
          };
        if (name === "removeAll")
          return async (paths: readonly string[]) => {
            // Of many, one is gone before the other.
            for (const one of paths) await turn().then(() => all.removeAll([one]));
          };
        return async (...args: unknown[]) => {
          await turn();
          return Reflect.apply(found, target, args);
        };
      },
    });
  }

  /** Until nobody asks for anything more: `next` chooses among those who wait, in the order of their names. `dies`: asked before each request. */
  async run(next: (waiting: readonly string[]) => number, dies: (who: string) => boolean): Promise<void> {
    const dead = new Set<string>();
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve)); // nothing else here waits for more than promises
      const waiting = [...this.#waiting.keys()].filter((one) => !dead.has(one)).sort();
      const who = waiting[next(waiting) % Math.max(1, waiting.length)];
      if (who === undefined) return;
      if (dies(who)) {
        dead.add(who);
        continue;
      }
      const [goOn, ...later] = this.#waiting.get(who) ?? [];
      if (later.length === 0) this.#waiting.delete(who);
      else this.#waiting.set(who, later);
      goOn?.();
    }
  }
}

/** Small and fast; the same numbers for the same seed. */
function chanceOf(seed: number): (below: number) => number {
  let state = seed * 2654435761 + 1;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 0x9e3779b9) | 0;
    return ((state ^ (state >>> 13)) >>> 0) % below;
  };
}

describe("whoever goes on with a run, at any time", () => {
  test(`in ${orders} orders of requests: of those who go on from one place one does; nothing of it is lost, and no reader sees anything else`, async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= orders; seed++) {
      objects.objects.clear();
      const chance = chanceOf(seed);
      const order = new Order(objects);
      const first = await write(journalsOn(objects), "a", 2);
      const sessions: { name: string; size: number; said: string[]; isOver: boolean }[] = [];
      const goOn = async (name: string): Promise<void> => {
        const journals = journalsOn(order.storeOf(name));
        const size = (await text(journals)).length;
        const session = { name, size, lines: 9 + chance(2), said: [], isOver: false };
        sessions.push(session);
        try {
          await add(journals, session);
        } catch (error) {
          if (!(error instanceof FenError) || error.code !== "lock_lost") throw error;
        }
        session.isOver = session.said.length === session.lines;
      };
      const seen: string[] = [];
      const look = async () => {
        const journals = journalsOn(order.storeOf("reader"));
        for (let turn = 0; turn < 3; turn++) seen.push(await text(journals));
      };
      // Each in its stride, with some changes: as when one is paused for long.
      let current = 0;
      const next = (waiting: readonly string[]) => (chance(7) === 0 ? (current = chance(waiting.length)) : current);
      const failures: unknown[] = [];
      for (const work of [goOn("b"), goOn("c"), goOn("d"), look()])
        work.catch((error: unknown) => failures.push(error));
      const dying = ["b", "c", "none"][chance(3)];
      await order.run(next, (who) => who === dying && chance(15) === 0);
      expect([failures, seen.length], `seed ${seed}`).toEqual([[], 3]);
      const whole = await text(journalsOn(objects));
      // Each has gone on from what it had read, and nobody has written between its lines. Who died, or was told that others went on, may have said one more.
      for (const { name, size, said, isOver } of sessions) {
        const mine = whole.split(/(?<=\n)/).filter((line) => line.startsWith(name));
        expect(whole.slice(size).startsWith(mine.join("")), `seed ${seed}`).toBe(true);
        expect([said, ...(isOver ? [] : [[...said, `${name}${said.length + 1}\n`]])], `seed ${seed}`).toContainEqual(
          mine,
        );
      }
      expect(whole.startsWith(first)).toBe(true);
      for (const one of seen) expect(whole.startsWith(one), `seed ${seed}: ${one}`).toBe(true);
      outcomes.add(`${sessions.filter(({ said }) => said.length > 0).length} went on`);
    }
    expect([...outcomes].sort()).toEqual(["1 went on", "2 went on", "3 went on"]);
  });
});
