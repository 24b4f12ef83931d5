/** Who is in the way: for the person who waits, and for the one ticket whose end is worth waiting for. */
import type { BlockedBy } from "../../contract.ts";
import { walkRecords } from "./inspect.ts";
import type { ByteRange } from "./kernel-locks.ts";
import type { LockFolder } from "./lock-folder.ts";
import type { Slot } from "./lock-table.ts";
import type { Seen } from "./protocol.ts";
import type { Queue, Ticket } from "./queue.ts";
import { readRecord } from "./records.ts";

/** How often /proc is searched for what holds the lock: that costs milliseconds. */
const searchEveryMs = 1000;

export interface Blocker {
  readonly by: BlockedBy;
  readonly watch?: { readonly queue: Queue; readonly ticket: Ticket };
}

export class Blockers {
  readonly #folder: LockFolder;
  readonly #slot: Slot;
  readonly #nonce: string;
  #searched: { readonly at: number; readonly by: BlockedBy } | undefined;

  constructor(folder: LockFolder, slot: Slot, nonce: string) {
    this.#folder = folder;
    this.#slot = slot;
    this.#nonce = nonce;
  }

  explain(seen: Seen<Ticket>, watch: Ticket | undefined, ranges: readonly ByteRange[]): Blocker {
    switch (seen.stage) {
      case "queue":
        return this.#inQueue(seen.before, watch);
      case "structural":
        return this.#structural(watch);
      case "table":
        return seen.lock === "replaced" ? { by: { kind: "unknown" } } : this.#inTable(ranges);
      case "announce":
      case "foreign":
      case "publish":
        return this.#foreign(seen.foreign ?? "");
    }
  }

  #inQueue(before: readonly Ticket[], watch: Ticket | undefined): Blocker {
    const queue = this.#folder.queue(this.#slot);
    const first = before[0];
    const text = first === undefined ? undefined : queue.read(first);
    const by: BlockedBy =
      text === undefined
        ? { kind: "unknown" }
        : text.granted === undefined
          ? { kind: "waiter", record: text.waiting }
          : { kind: "holder", record: text.granted };
    return watch === undefined ? { by } : { by, watch: { queue, ticket: watch } };
  }

  #structural(watch: Ticket | undefined): Blocker {
    const queue = this.#folder.queue({ resource: { kind: "datastore" } });
    const text = watch === undefined ? undefined : queue.read(watch);
    if (watch === undefined || text === undefined) return { by: { kind: "unknown" } };
    return { by: { kind: "structural", record: text.granted ?? text.waiting }, watch: { queue, ticket: watch } };
  }

  /** Nobody is before us in the queue, but the kernel says no. */
  #inTable(ranges: readonly ByteRange[]): Blocker {
    const isStructural = this.#slot.resource.kind === "datastore";
    const structural: Slot = { resource: { kind: "datastore" } };
    const others = isStructural
      ? this.#folder.queues().filter(({ slot }) => slot.under === undefined)
      : [structural, this.#slot].map((slot) => this.#withTickets(slot));
    for (const { slot, queue, tickets } of others) {
      for (const ticket of tickets) {
        const granted = ticket.nonce !== this.#nonce && queue.isAlive(ticket) ? queue.read(ticket)?.granted : undefined;
        if (granted === undefined) continue;
        const watch = { queue, ticket };
        if (slot.resource.kind === "datastore" && !isStructural)
          return { by: { kind: "structural", record: granted }, watch };
        return { by: { kind: "holder", record: granted, resource: slot.resource }, watch };
      }
    }
    return { by: this.#search(() => (isStructural ? this.#leftInModels() : this.#left(ranges))) };
  }

  #withTickets(slot: Slot): { readonly slot: Slot; readonly queue: Queue; readonly tickets: readonly Ticket[] } {
    const queue = this.#folder.queue(slot);
    return { slot, queue, tickets: queue.tickets() };
  }

  /** No live ticket: the holder is dead, but what it started still has the descriptor. */
  #search(look: () => BlockedBy): BlockedBy {
    const now = this.#folder.machine.clock.monotonic();
    if (this.#searched === undefined || now - this.#searched.at >= searchEveryMs)
      this.#searched = { at: now, by: look() };
    return this.#searched.by;
  }

  #left(ranges: readonly ByteRange[]): BlockedBy {
    const found = readRecord(this.#folder.recordPath(this.#slot.resource));
    const record = found.kind === "ours" ? { record: found.record } : {};
    return { kind: "orphan", processes: this.#folder.processesHolding(ranges), ...record };
  }

  /** Of the holder of some model: the record of the datastore is our own, which is published while we wait. Costs a look per model. */
  #leftInModels(): BlockedBy {
    const left = walkRecords(this.#folder.root).flatMap(({ resource, path }) => {
      const found = resource.kind === "model" ? readRecord(path) : undefined;
      return found?.kind === "ours"
        ? [{ resource, record: found.record, ranges: this.#folder.table.ownRanges(resource) }]
        : [];
    });
    const all = this.#folder.processesHolding(left.flatMap(({ ranges }) => ranges));
    if (all.length > 0)
      for (const { resource, record, ranges } of left) {
        const processes = this.#folder.processesHolding(ranges);
        if (processes.length > 0) return { kind: "orphan", resource, record, processes };
      }
    return { kind: "orphan", processes: all };
  }

  #foreign(path: string): Blocker {
    const found = readRecord(path);
    return { by: { kind: "foreign", path, ...(found.kind === "foreign" ? { record: found.record } : {}) } };
  }
}
