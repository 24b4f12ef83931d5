/**
 * A place in a queue and the steps from it to a grant:
 *
 *   1. nobody alive and conflicting before us in our queue;
 *   2. (models) the structural commands that we saw on our turn are gone;
 *   3. the kernel gives us the range of the lock table;
 *   4. no fresh record of an older client; ours is published.
 *
 * `attempt` goes as far as it can and says what stops it; `changed` waits for that one thing.
 */
import { watch } from "node:fs";
import { join } from "node:path";
import type { Machine } from "../../../kernel/machine.ts";
import type { Attempt, BlockedBy, Claim, LockMode, LockRecord, Place, Resource } from "../../contract.ts";
import { FilesystemGrant } from "./grant.ts";
import type { ByteRange } from "./kernel-locks.ts";
import type { LockFolder } from "./lock-folder.ts";
import { walkRecords } from "./inspect.ts";
import type { OwnTicket, Queue, Ticket } from "./queue.ts";
import {
  ForeignWatch,
  type FoundRecord,
  publishRecord,
  readRecord,
  recordPath,
  recordTtlMs,
  replaceRecord,
} from "./records.ts";
import { takeToken } from "./tokens.ts";

/** How often a dead predecessor or an unannounced change is looked for. */
const deathPollMs = 20;
/** How often the kernel lock is tried when nothing announces that it becomes free. */
const lockPollMs = 8;
/** How often /proc is searched for what holds the lock: that costs milliseconds. */
const explainEveryMs = 1000;

export class FilesystemPlace implements Place {
  readonly #machine: Machine;
  readonly #lockFolder: LockFolder;
  readonly #resource: Resource;
  readonly #claim: Claim;
  readonly #mode: LockMode;
  readonly #queue: Queue;
  readonly #ticket: OwnTicket;
  readonly #foreign = new Map<string, ForeignWatch>();
  #structural: ReadonlySet<string> | undefined;
  #watched: { readonly queue: Queue; readonly ticket: Ticket } | undefined;
  #fd: number | undefined;
  #locked: readonly ByteRange[] | undefined;
  #explained: { readonly at: number; readonly by: BlockedBy } | undefined;
  #spent = false;

  constructor(
    machine: Machine,
    lockFolder: LockFolder,
    request: { resource: Resource; mode: LockMode; claim: Claim; queue: Queue; ticket: OwnTicket },
  ) {
    this.#machine = machine;
    this.#lockFolder = lockFolder;
    this.#resource = request.resource;
    this.#mode = request.mode;
    this.#claim = request.claim;
    this.#queue = request.queue;
    this.#ticket = request.ticket;
  }

  async attempt(): Promise<Attempt> {
    this.#watched = undefined;
    const blocked =
      this.#blockedInQueue() ?? this.#blockedByStructural() ?? this.#blockedInTable() ?? this.#blockedByForeign();
    return blocked ?? { outcome: "granted", grant: this.#grant() };
  }

  async changed(maxMs: number, signal: AbortSignal): Promise<void> {
    if (this.#watched === undefined) return this.#machine.clock.sleep(Math.min(maxMs, lockPollMs), signal);
    const { queue, ticket } = this.#watched;
    const probe = queue.openProbe(ticket);
    if (probe === undefined) return;
    const { clock } = this.#machine;
    const wake = new AbortController();
    const stop = () => wake.abort();
    signal.addEventListener("abort", stop, { once: true });
    const watcher = watchTicket(ticket.path, stop);
    const until = clock.monotonic() + maxMs;
    const pollMs = watcher === undefined ? lockPollMs : deathPollMs;
    try {
      while (!signal.aborted && !probe.isGone() && clock.monotonic() < until) {
        if (wake.signal.aborted) return;
        await clock.sleep(Math.min(pollMs, Math.max(0, until - clock.monotonic())), wake.signal).catch(() => undefined);
      }
      signal.throwIfAborted();
    } finally {
      watcher?.close();
      probe.close();
      signal.removeEventListener("abort", stop);
    }
  }

  async leave(): Promise<void> {
    if (this.#spent) return;
    this.#spent = true;
    this.#unlock();
    if (this.#fd !== undefined) this.#lockFolder.close(this.#fd);
    this.#ticket.leave();
  }

  /** Step 1. The nearest live predecessor is the only one that is watched. */
  #blockedInQueue(): Attempt | undefined {
    const before = this.#queue.tickets().filter((ticket) => this.#ticket.waitsFor(ticket));
    while (before.length > 0) {
      const nearest = before.at(-1);
      if (nearest === undefined) break;
      if (!this.#queue.isAlive(nearest)) {
        this.#queue.bury(nearest);
        before.pop();
        continue;
      }
      this.#watched = { queue: this.#queue, ticket: nearest };
      return this.#blocked(this.#describe(this.#queue, before[0] ?? nearest), before.length);
    }
    return undefined;
  }

  /** Step 2. Structural commands that come after our turn began wait for us, so that a row of them can't starve models. */
  #blockedByStructural(): Attempt | undefined {
    if (this.#resource.kind === "datastore" || this.#locked !== undefined) return undefined;
    const queue = this.#lockFolder.queue({ kind: "datastore" });
    const alive = queue
      .tickets()
      .filter((ticket) => this.#structural?.has(ticket.nonce) !== false && queue.isAlive(ticket));
    this.#structural = new Set(alive.map((ticket) => ticket.nonce));
    const [first] = alive;
    if (first === undefined) return undefined;
    this.#watched = { queue, ticket: first };
    return this.#blocked(this.#asStructural(queue, first), 1);
  }

  /** Step 3. */
  #blockedInTable(): Attempt | undefined {
    if (this.#locked !== undefined) return undefined;
    const { table } = this.#lockFolder;
    this.#fd ??= table.open();
    const ranges = table.ranges(this.#resource);
    if (!table.tryLock(this.#fd, ranges, this.#mode)) return this.#blocked(this.#explain(ranges), 1);
    this.#locked = ranges;
    // The table may have been replaced, or the lock revoked, between our look and our lock: then this lock means nothing.
    if (table.isCurrent(this.#fd) && sameRanges(ranges, table.ranges(this.#resource))) return undefined;
    this.#unlock();
    this.#lockFolder.close(this.#fd);
    this.#fd = undefined;
    return this.#blocked({ kind: "unknown" }, 1);
  }

  /** Step 4, first half: older clients. The kernel lock stays ours meanwhile. */
  #blockedByForeign(): Attempt | undefined {
    const paths =
      this.#resource.kind === "datastore"
        ? walkRecords(this.#lockFolder.root).map(({ path }) => path)
        : [this.#path({ kind: "datastore" })];
    for (const path of [...paths, this.#path(this.#resource)]) {
      const found = readRecord(path);
      if (found.kind === "absent" || found.kind === "ours" || this.#isStale(path, found)) continue;
      const record = found.kind === "foreign" ? { record: found.record } : {};
      return this.#blocked({ kind: "foreign", path, ...record }, 1);
    }
    return undefined;
  }

  #isStale(path: string, found: Extract<FoundRecord, { text: string }>): boolean {
    const watched = this.#foreign.get(path) ?? new ForeignWatch(this.#machine.clock);
    this.#foreign.set(path, watched);
    return watched.isStale(found);
  }

  /** Step 4, second half. */
  #grant(): FilesystemGrant {
    const fd = this.#fd;
    const ranges = this.#locked;
    if (fd === undefined || ranges === undefined) throw new Error("granted without a lock");
    const { clock } = this.#machine;
    const token = takeToken(this.#lockFolder.fenFolder, this.#resource, this.#mode, clock);
    const now = new Date(clock.now()).toISOString();
    const record: LockRecord = {
      ...recordOf(this.#claim),
      acquiredAt: now,
      token,
      mode: this.#mode,
      command: this.#claim.command,
      since: now,
    };
    const path = this.#path(this.#resource);
    if (!publishRecord(path, record)) replaceRecord(path, record);
    this.#ticket.markGranted(record);
    this.#spent = true;
    return new FilesystemGrant(this.#machine, this.#lockFolder, {
      resource: this.#resource,
      record,
      path,
      fd,
      ranges,
      ticket: this.#ticket,
    });
  }

  #blocked(by: BlockedBy, place: number): Attempt {
    return { outcome: "blocked", resource: this.#resource, by, place };
  }

  #describe(queue: Queue, ticket: Ticket): BlockedBy {
    const text = queue.read(ticket);
    if (text === undefined) return { kind: "unknown" };
    return text.granted === undefined
      ? { kind: "waiter", record: text.waiting }
      : { kind: "holder", record: text.granted };
  }

  #asStructural(queue: Queue, ticket: Ticket): BlockedBy {
    const text = queue.read(ticket);
    return text === undefined ? { kind: "unknown" } : { kind: "structural", record: text.granted ?? text.waiting };
  }

  /** Nobody queues before us, but the kernel says no: who is it? */
  #explain(ranges: readonly ByteRange[]): BlockedBy {
    const now = this.#machine.clock.monotonic();
    if (this.#explained === undefined || now - this.#explained.at >= explainEveryMs) {
      this.#explained = { at: now, by: this.#findBlocker(ranges) };
    }
    return this.#explained.by;
  }

  #findBlocker(ranges: readonly ByteRange[]): BlockedBy {
    const others =
      this.#resource.kind === "datastore" ? this.#lockFolder.queues() : [this.#lockFolder.queue({ kind: "datastore" })];
    for (const queue of others) {
      for (const ticket of queue.tickets()) {
        const granted =
          ticket.nonce !== this.#claim.nonce && queue.isAlive(ticket) ? queue.read(ticket)?.granted : undefined;
        if (granted !== undefined)
          return { kind: this.#resource.kind === "datastore" ? "holder" : "structural", record: granted };
      }
    }
    const found = readRecord(this.#path(this.#resource));
    const processes = this.#lockFolder.processesHolding(ranges);
    return { kind: "orphan", processes, ...(found.kind === "ours" ? { record: found.record } : {}) };
  }

  #path(resource: Resource): string {
    return join(this.#lockFolder.root, recordPath(resource));
  }

  #unlock(): void {
    if (this.#fd !== undefined && this.#locked !== undefined) this.#lockFolder.table.unlock(this.#fd, this.#locked);
    this.#locked = undefined;
  }
}

/** The part of a record that every client knows. */
export function recordOf(claim: Claim): LockRecord {
  const { holder, hostname, pid, nonce, since, command } = claim;
  return { holder, hostname, pid, acquiredAt: since, ttlMs: recordTtlMs, nonce, command, since };
}

function sameRanges(a: readonly ByteRange[], b: readonly ByteRange[]): boolean {
  return (
    a.length === b.length &&
    a.every((range, index) => range.start === b[index]?.start && range.length === b[index]?.length)
  );
}

/** Undefined where the system has no watches left: then the caller polls more often. */
function watchTicket(path: string, onChange: () => void): { close(): void } | undefined {
  try {
    const watcher = watch(path, onChange);
    watcher.on("error", onChange);
    return watcher;
  } catch {
    return undefined; // gone already, or out of watches: the caller looks itself
  }
}
