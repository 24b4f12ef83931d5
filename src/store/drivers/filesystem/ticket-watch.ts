/** Waiting for the end of one ticket: told by the system when its owner removes it, found out by a look now and then when its owner dies. */
import { type FSWatcher, watch } from "node:fs";
import type { Clock } from "../../../kernel/machine.ts";
import type { Queue, Ticket, TicketProbe } from "./queue.ts";

/** The next in line looks this often whether the one before it died; those behind more rarely, as their turn is further away. */
const deathPollMs = 20;
const deathPollMostMs = 250;
/** Where the system has no watches left. */
const blindPollMs = 8;

export class TicketWatch {
  readonly #probe: TicketProbe;
  readonly #watcher: FSWatcher | undefined;
  #isOver = false;
  #wake: (() => void) | undefined;

  private constructor(probe: TicketProbe, path: string) {
    this.#probe = probe;
    this.#watcher = watchQuietly(path, () => this.#wake?.());
  }

  /** Undefined where the ticket is gone already. The watch is set before anybody asks `isGone`, so that no end is missed. */
  static open(queue: Queue, ticket: Ticket): TicketWatch | undefined {
    const probe = queue.openProbe(ticket);
    return probe === undefined ? undefined : new TicketWatch(probe, ticket.path);
  }

  /** True once the ticket was seen to end: look at the queue again. */
  isOver(): boolean {
    return this.#isOver;
  }

  isGone(): boolean {
    this.#isOver ||= this.#probe.isGone();
    return this.#isOver;
  }

  /** Resolves at the end of the ticket, or after `maxMs`; rejects with the signal's reason. */
  async over(
    clock: Clock,
    { maxMs, signal, place }: { readonly maxMs: number; readonly signal: AbortSignal; readonly place: number },
  ): Promise<void> {
    const until = clock.monotonic() + maxMs;
    const pollMs = this.#watcher === undefined ? blindPollMs : Math.min(deathPollMs * place, deathPollMostMs);
    const onAbort = () => this.#wake?.();
    signal.addEventListener("abort", onAbort);
    try {
      while (!this.isGone()) {
        signal.throwIfAborted();
        const left = until - clock.monotonic();
        if (left <= 0) return;
        await this.#rest(clock, Math.min(pollMs, left));
      }
      signal.throwIfAborted();
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Until something happens to the ticket, or for `ms`. */
  #rest(clock: Clock, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const alarm = clock.after(ms, resolve);
      this.#wake = () => {
        alarm[Symbol.dispose]();
        resolve();
      };
    });
  }

  close(): void {
    this.#watcher?.close();
    this.#probe.close();
  }
}

/** Undefined where the ticket is gone, or the system has no watches left: then the caller looks more often. */
function watchQuietly(path: string, onChange: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(path, onChange);
    watcher.on("error", onChange);
    return watcher;
  } catch {
    return undefined;
  }
}
