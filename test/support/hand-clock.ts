/** A clock that stands still until a test turns it. The wall clock can be set apart from the monotonic one. */
import type { Clock } from "../../src/kernel/machine.ts";

interface Alarm {
  at: number;
  readonly every: number | undefined;
  readonly ring: () => void;
}

export class HandClock implements Clock {
  #monotonic = 1000;
  #wall = Date.parse("2026-01-01T00:00:00.000Z");
  readonly #alarms = new Set<Alarm>();

  now(): number {
    return this.#wall;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  /** It was started when the monotonic clock began. */
  sinceBoot(): number {
    return this.#monotonic;
  }

  /** Sets the wall clock forward or back, as an administrator or NTP does. */
  stepWall(ms: number): void {
    this.#wall += ms;
  }

  /** Lets `ms` pass; what is due meanwhile happens in order. */
  turn(ms: number): void {
    const until = this.#monotonic + ms;
    for (let next = this.#next(until); next !== undefined; next = this.#next(until)) {
      this.#goTo(next.at);
      if (next.every === undefined) this.#alarms.delete(next);
      else next.at += next.every;
      next.ring();
    }
    this.#goTo(until);
  }

  /** Turns from alarm to alarm, as long as `work` waits for them. */
  async turnUntil<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const settled = () => void (isDone = true);
    void work.then(settled, settled);
    for (let turns = 0; turns < 10_000; turns++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (isDone) return work;
      const next = this.#next(Infinity);
      if (next !== undefined) this.turn(Math.max(0, next.at - this.#monotonic));
    }
    throw new Error("waited in vain, however far the clock was turned");
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason);
      const alarm = this.after(ms, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      const onAbort = () => {
        alarm[Symbol.dispose]();
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  after(ms: number, task: () => void): Disposable {
    return this.#set({ at: this.#monotonic + ms, every: undefined, ring: task });
  }

  every(ms: number, task: () => void): Disposable {
    return this.#set({ at: this.#monotonic + ms, every: ms, ring: task });
  }

  #set(alarm: Alarm): Disposable {
    this.#alarms.add(alarm);
    return { [Symbol.dispose]: () => void this.#alarms.delete(alarm) };
  }

  #next(until: number): Alarm | undefined {
    const due = [...this.#alarms].filter((alarm) => alarm.at <= until);
    return due.sort((a, b) => a.at - b.at)[0];
  }

  #goTo(at: number): void {
    this.#wall += at - this.#monotonic;
    this.#monotonic = at;
  }
}
