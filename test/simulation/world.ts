/**
 * A few computers with the production code on them and one store between: time is a number, what happens next is the earliest event, and a seed decides every
 * delay, pause, crash and lost answer. Each computer has its own clocks, which go at their own rate; the wall clock also jumps.
 */
import type { Clock, Machine } from "../../src/kernel/machine.ts";
import { MemoryBucket, MemoryConditionalStore } from "../../src/store/drivers/memory/conditional.ts";
import { type FaultRates, FaultyConditionalStore } from "../../src/store/drivers/memory/faults.ts";
import type { ConditionalStore, PutCondition, PutOutcome } from "../../src/store/conditional.ts";
import { Chance } from "../support/chance.ts";

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export interface WorldOptions {
  readonly seed: number;
  /** One way, milliseconds: at least, at most. */
  readonly latency?: readonly [number, number];
  readonly faults?: FaultRates;
  /** Rates of the monotonic clocks differ by up to this share either way. */
  readonly drift?: number;
  readonly keepTrace?: boolean;
}

const noFaults: FaultRates = { before: 0, after: 0, late: 0 };

export class World {
  readonly chance: Chance;
  readonly bucket = new MemoryBucket();
  readonly trace: string[] = [];
  readonly options: WorldOptions;
  /** Called after each change of an object. */
  onWrite: (by: string, key: string, before: string | undefined, after: string | undefined) => void = () => undefined;
  faults: FaultRates;
  time = 0;
  /** Every line of the trace, in one number. */
  digest = 0;
  #events: Event[] = [];
  #order = 0;
  #failure: Error | undefined;

  constructor(options: WorldOptions) {
    this.options = options;
    this.chance = new Chance(options.seed);
    this.faults = options.faults ?? noFaults;
  }

  say(line: string): void {
    for (let at = 0; at < line.length; at++) this.digest = (Math.imul(this.digest, 31) + line.charCodeAt(at)) | 0;
    if (this.options.keepTrace) this.trace.push(`${this.time.toFixed(1).padStart(9)} ${line}`);
  }

  fail(what: string): void {
    this.say(`BROKEN: ${what}`);
    this.#failure ??= new Error(what);
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  at(time: number, run: () => void): Event {
    const event = { at: time, order: this.#order++, run };
    // A heap by time, then by order of asking.
    const heap = this.#events;
    let place = heap.push(event) - 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isBefore(event, parent)) break;
      heap[place] = parent;
      place = above;
    }
    heap[place] = event;
    return event;
  }

  /** Lets everything happen until `done`, or until nothing is left, or the time is up; false for the last two. */
  async run(done: () => boolean, until: number): Promise<boolean> {
    for (;;) {
      await settled();
      if (this.#failure !== undefined || done()) return true;
      const event = this.#take();
      if (event === undefined || event.at > until) return false;
      this.time = Math.max(this.time, event.at);
      event.run();
    }
  }

  #take(): Event | undefined {
    const heap = this.#events;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined || first === last) return first;
    let place = 0;
    for (;;) {
      let child = place * 2 + 1;
      const [left, right] = [heap[child], heap[child + 1]];
      if (left === undefined) break;
      let smaller = left;
      if (right !== undefined && isBefore(right, left)) {
        smaller = right;
        child++;
      }
      if (!isBefore(smaller, last)) break;
      heap[place] = smaller;
      place = child;
    }
    heap[place] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** All that needs no time has happened. */
function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

export class Computer {
  readonly name: string;
  readonly machine: Machine;
  readonly store: ConditionalStore;
  requests = 0;
  crashed = false;
  /** No request of its gets through. */
  cutOff = false;
  readonly #world: World;
  readonly #rate: number;
  readonly #start: number;
  #wall: number;
  #pausedUntil = 0;
  #words = 0;

  constructor(world: World, name: string) {
    this.#world = world;
    this.name = name;
    const drift = world.options.drift ?? 0;
    this.#rate = world.chance.between(1 - drift, 1 + drift);
    this.#start = world.chance.between(0, 1e6);
    this.#wall = Date.UTC(2026, 0, 1) + world.chance.between(-3.6e6, 3.6e6);
    this.machine = {
      clock: this.#clock(),
      random: {
        uuid: () => `${name}-${++this.#words}`,
        bytes: (length) => Uint8Array.from({ length }, () => Math.floor(world.chance.next() * 256)),
      },
      host: {
        hostname: name,
        user: "test",
        pid: name.charCodeAt(0),
        platform: "linux",
        cores: 2,
        architecture: "x64",
        execPath: "node",
        env: {},
        cwd: "/",
        command: `run on ${name}`,
      },
      children: {
        start: () => {
          throw new Error("a simulation starts no processes");
        },
      },
      optimizeLater: () => undefined,
    };
    this.store = new FaultyConditionalStore(this.#watched(), {
      rates: () => (this.cutOff ? { before: 1, after: 0, late: 0 } : world.faults),
      chance: () => world.chance.next(),
      travel: (leg) => this.#travel(leg),
    });
  }

  get paused(): boolean {
    return this.#pausedUntil > this.#world.time;
  }

  pause(ms: number): void {
    this.#world.say(`${this.name} is paused for ${ms.toFixed(0)}`);
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#world.time + ms);
  }

  crash(): void {
    this.#world.say(`${this.name} crashes`);
    this.crashed = true;
  }

  stepWall(ms: number): void {
    this.#wall += ms;
  }

  /** `run` on this computer: not while it is paused, never once it crashed. */
  later(ms: number, run: () => void): void {
    const due = (): void => {
      if (this.crashed) return;
      if (this.paused) this.#world.at(this.#pausedUntil, due);
      else run();
    };
    this.#world.at(this.#world.time + ms, due);
  }

  #clock(): Clock {
    const monotonic = (): number => this.#start + this.#world.time * this.#rate;
    const after = (ms: number, task: () => void): Disposable => {
      let live = true;
      // As with real timers, time goes on: a wait shorter than a number can tell would be one for ever.
      this.later(Math.max(1e-6, ms) / this.#rate, () => live && task());
      return { [Symbol.dispose]: () => (live = false) };
    };
    return {
      now: () => this.#wall + this.#world.time,
      monotonic,
      sinceBoot: monotonic,
      after,
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          if (signal?.aborted) return reject(signal.reason);
          const stop = (): void => {
            timer[Symbol.dispose]();
            reject(signal?.reason);
          };
          const timer = after(Math.min(ms, 1e9), () => {
            signal?.removeEventListener("abort", stop);
            resolve();
          });
          signal?.addEventListener("abort", stop, { once: true });
        }),
      every: (ms, task) => {
        let timer: Disposable;
        const again = (): void => {
          timer = after(ms, () => {
            again();
            task();
          });
        };
        again();
        return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
      },
    };
  }

  /** A request is on its way though its sender is paused or dead; its answer finds only one who lives. */
  #travel(leg: "there" | "back" | "late"): Promise<void> {
    const world = this.#world;
    const [least, most] = world.options.latency ?? [1, 30];
    const ms = world.chance.between(least, most) + (leg === "late" ? world.chance.between(0, 15_000) : 0);
    if (leg === "there") this.requests++;
    return new Promise((resolve) => {
      if (leg === "back") this.later(ms, resolve);
      else world.at(world.time + ms, resolve);
    });
  }

  #watched(): ConditionalStore {
    const world = this.#world;
    const inner = new MemoryConditionalStore(world.bucket);
    const change = async <T>(key: string, act: () => Promise<T>): Promise<T> => {
      const before = world.bucket.objects.get(key)?.body;
      const result = await act();
      const after = world.bucket.objects.get(key)?.body;
      if (before !== after) {
        world.say(`${this.name} ${key} = ${after ?? "removed"}`);
        world.onWrite(this.name, key, before, after);
      }
      return result;
    };
    const put = (key: string, body: string, condition: PutCondition): Promise<PutOutcome> => {
      // "*" is a condition that always holds: what a planted bug writes with.
      const found = world.bucket.objects.get(key);
      const any = "ifMatch" in condition && condition.ifMatch === "*";
      const real: PutCondition = found === undefined ? { ifAbsent: true } : { ifMatch: found.etag };
      return change(key, () => inner.put(key, body, any ? real : condition));
    };
    return {
      get: (key) => inner.get(key),
      list: (prefix) => inner.list(prefix),
      put,
      remove: (key) => change(key, () => inner.remove(key)),
    };
  }
}
