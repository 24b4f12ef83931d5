/**
 * A place in a queue, carried from there to a grant by the steps of `protocol.ts`. `attempt` goes as far as it can and says what stops it;
 * `changed` waits for that one thing: for the end of one ticket where there is one to watch, else for a while.
 */
import { closeSync } from "node:fs";
import { isoNow } from "../../../kernel/iso-time.ts";
import {
  type Attempt,
  type BlockedBy,
  type Claim,
  type LockMode,
  type LockRecord,
  type Place,
  withinOf,
} from "../../contract.ts";
import { Blockers } from "./blockers.ts";
import { ForeignRecords } from "./foreign.ts";
import { FilesystemGrant } from "./grant.ts";
import type { ByteRange } from "./kernel-locks.ts";
import type { LockFolder } from "./lock-folder.ts";
import type { Slot } from "./lock-table.ts";
import { advance, inTheWay, type Progress, type Request, type Seen, start } from "./protocol.ts";
import type { OwnTicket, Ticket } from "./queue.ts";
import {
  isOwnRecord,
  RecordDraft,
  recordTtlMs,
  refreshRecord,
  removeAsides,
  removeRecord,
  replaceRecord,
} from "./records.ts";
import { TokenFile } from "./tokens.ts";
import { TicketWatch } from "./ticket-watch.ts";

/** How often the kernel lock is tried when nothing announces that it becomes free; slower when it takes long. */
const lockPollMs = 8;
const lockPollMostMs = 25;
const slowAfterMs = 1000;
/** Nothing but the end of a ticket changes what we know of the queue; our place in it is looked up anew this often, and more rarely far behind. */
const placeEveryMs = 1000;
const placeEveryMsPerPlace = 20;
const renewEveryMs = 10_000;
/** One who works within a lock looks before it would take the wait for a circle: a structural command may have come (`inTheWay`). */
const placeEveryMsWithin = 200;

interface Stopped {
  readonly by: BlockedBy;
  readonly place: number;
  readonly at: number;
}

export class FilesystemPlace implements Place {
  readonly #folder: LockFolder;
  readonly #slot: Slot;
  readonly #claim: Claim;
  readonly #mode: LockMode;
  readonly #request: Request;
  readonly #ticket: OwnTicket;
  readonly #foreign: ForeignRecords;
  readonly #blockers: Blockers;
  readonly #since: number;
  readonly #draft: RecordDraft;
  readonly #tokens: TokenFile;
  #progress: Progress = start;
  #watch: TicketWatch | undefined;
  #stopped: Stopped | undefined;
  #fd: number | undefined;
  #locked: readonly ByteRange[] | undefined;
  #announcedAt: number | undefined;
  #generation = 0;
  #spent = false;

  constructor(
    folder: LockFolder,
    slot: Slot,
    own: { readonly mode: LockMode; readonly claim: Claim; readonly ticket: OwnTicket },
  ) {
    this.#folder = folder;
    this.#slot = slot;
    this.#mode = own.mode;
    this.#claim = own.claim;
    this.#ticket = own.ticket;
    this.#request = {
      kind: slot.under === undefined ? slot.resource.kind : "share",
      isWithin: own.claim.within.length > 0,
      isWithoutRecords: folder.records === "none",
    };
    this.#foreign = new ForeignRecords(folder, slot.resource);
    this.#blockers = new Blockers(folder, slot, own.claim.nonce);
    this.#since = folder.machine.clock.monotonic();
    this.#draft = new RecordDraft(this.#recordPath(), own.claim.nonce);
    this.#tokens = new TokenFile(folder, slot.resource);
  }

  async attempt(): Promise<Attempt> {
    this.#renewAnnouncement();
    const known = this.#stillStopped();
    if (known !== undefined) {
      this.#prepare();
      return this.#blocked(known);
    }
    while (this.#progress.stage !== "granted") {
      const seen = await this.#look();
      const advanced = advance(this.#request, this.#progress, seen);
      this.#progress = advanced.progress;
      if (!("blocked" in advanced)) continue;
      const { by, watch } = this.#blockers.explain(seen, advanced.watch, this.#locked ?? this.#ranges());
      this.#unwatch();
      if (watch !== undefined) {
        this.#watch = TicketWatch.open(watch.queue, watch.ticket);
        if (this.#watch === undefined) continue; // it ended just now: look again
      }
      this.#stopped = { by, place: advanced.place, at: this.#now() };
      // Those behind do it when they look again: where many come at once, those in front need the processors.
      if (advanced.place === 1) this.#prepare();
      return this.#blocked(this.#stopped);
    }
    return { outcome: "granted", grant: this.#grant() };
  }

  /** While we wait: then it needn't be done when it is our turn, and others wait for us. */
  #prepare(): void {
    this.#fd ??= this.#folder.table.open();
    if (this.#request.kind === "share") return;
    if (this.#hasRecord) this.#draft.prepare();
    this.#tokens.prepare();
  }

  async changed(maxMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#folder.machine;
    if (this.#watch !== undefined) return this.#watch.over(clock, { maxMs, signal, place: this.#stopped?.place ?? 1 });
    const pollMs = this.#now() - this.#since < slowAfterMs ? lockPollMs : lockPollMostMs;
    await clock.sleep(Math.min(maxMs, pollMs), signal);
  }

  async leave(): Promise<void> {
    if (this.#spent) return;
    this.#spent = true;
    this.#unwatch();
    try {
      // What was announced, or published by one that then failed.
      if (this.#request.kind !== "share") removeRecord(this.#recordPath(), this.#claim.nonce);
      this.#draft.close();
      this.#draft.removeMadeFolder();
      this.#tokens.close();
    } finally {
      this.#letGo();
      this.#ticket.leave();
    }
  }

  /** What stopped us last, where nothing can have changed that. Keeps a thousand waiters from reading a queue of a thousand each second. */
  #stillStopped(): Stopped | undefined {
    const stopped = this.#stopped;
    if (stopped === undefined || this.#watch === undefined || this.#watch.isOver()) return undefined;
    const everyMs = Math.max(placeEveryMs, stopped.place * placeEveryMsPerPlace);
    const due = stopped.at + (this.#request.isWithin ? placeEveryMsWithin : everyMs);
    return this.#now() < due && !this.#watch.isGone() ? stopped : undefined;
  }

  async #look(): Promise<Seen<Ticket>> {
    const { stage } = this.#progress;
    switch (stage) {
      case "queue":
        return { stage, before: this.#before() };
      case "structural":
        return { stage, live: this.#structural() };
      case "table":
        return { stage, lock: this.#tryTable() };
      case "foreign":
        return { stage, foreign: await this.#foreign.find() };
      case "announce":
        return { stage, foreign: this.#announce() };
      case "publish":
        return { stage, foreign: await this.#publishGranted() };
      case "granted":
        throw new Error("nothing is left to look at");
    }
  }

  /** Live conflicting tickets before ours. Only the nearest is certain to live: it is the one to watch. Dead ones are buried on the way to it. */
  #before(): Ticket[] {
    if (this.#ticket.isFirst) return [];
    const queue = this.#folder.queue(this.#slot);
    const earlier = queue.tickets().filter((ticket) => this.#ticket.waitsFor(ticket));
    const before = [
      ...inTheWay(this.#request, earlier, {
        isStructuralThere: () => this.#structural().length > 0,
        waitsFreely: (ticket) => {
          const text = queue.read(ticket);
          return text !== undefined && text.granted === undefined && text.waiting.within === undefined;
        },
      }),
    ];
    for (let last = before.at(-1); last !== undefined && !queue.isAlive(last); last = before.at(-1)) {
      if (this.#request.kind !== "share") removeAsides(this.#recordPath(), last.nonce); // first: the ticket alone says their names
      queue.bury(last);
      before.pop();
    }
    return before;
  }

  /** Structural commands that hold or wait, oldest first. */
  #structural(): Ticket[] {
    const queue = this.#folder.queue({ resource: { kind: "datastore" } });
    return queue.tickets().filter((ticket) => queue.isAlive(ticket));
  }

  #ranges(): readonly ByteRange[] {
    return this.#folder.table.ranges(this.#slot);
  }

  #tryTable(): "locked" | "busy" | "replaced" {
    const { table } = this.#folder;
    if (this.#fd !== undefined && !table.isCurrent(this.#fd)) this.#letGo(); // opened while we waited, and replaced since
    this.#fd ??= table.open();
    this.#generation = table.generation(this.#slot.resource);
    const ranges = table.ranges(this.#slot, this.#generation);
    if (!table.tryLock(this.#fd, ranges, this.#mode)) return table.isCurrent(this.#fd) ? "busy" : this.#reopen();
    this.#locked = ranges;
    // The table may have been replaced, or the lock revoked, between our look and our lock: then this lock means nothing.
    return table.isCurrent(this.#fd) && sameRanges(ranges, this.#ranges()) ? "locked" : this.#reopen();
  }

  #reopen(): "replaced" {
    this.#letGo();
    return "replaced";
  }

  /** Tells older clients to stay away while we wait for those who are here; they look for this record after they made theirs. */
  #announce(): string | undefined {
    this.#foreign.forget();
    const foreign = this.#publish(this.#record());
    if (foreign === undefined) this.#announcedAt = this.#now();
    return foreign;
  }

  /** An announcement that isn't renewed would be taken for a dead one's. */
  #renewAnnouncement(): void {
    if (this.#announcedAt === undefined || this.#now() - this.#announcedAt < renewEveryMs) return;
    this.#announcedAt = this.#now();
    refreshRecord(this.#recordPath(), this.#claim.nonce, isoNow(this.#folder.machine));
  }

  /** Holders that share publish one at a time, so that one who leaves sees who stays. */
  async #publishGranted(): Promise<string | undefined> {
    // While we waited an older client may have taken our announcement for a dead one's: then it may be at work somewhere.
    if (this.#announcedAt !== undefined && !isOwnRecord(this.#recordPath(), this.#claim.nonce))
      return this.#recordPath();
    const record = { ...this.#record(), token: this.#token(), mode: this.#mode };
    // What was announced stays until the new record is in its place: never a moment without one.
    if (this.#announcedAt !== undefined && replaceRecord(this.#recordPath(), record.nonce, record)) {
      this.#markGranted(record);
      return undefined;
    }
    const publish = () => {
      const foreign = this.#publish(record) ?? this.#foreign.structural();
      if (foreign === undefined) this.#markGranted(record);
      // An older client that works on the whole datastore came meanwhile, and may not have seen our record: it goes first.
      else removeRecord(this.#recordPath(), this.#claim.nonce);
      return foreign;
    };
    return this.#mode === "shared" ? this.#folder.throughGate(this.#slot, publish) : publish();
  }

  #markGranted(record: LockRecord): void {
    this.#ticket.markGranted(record, this.#generation);
  }

  /** The path of a record that must be honoured, or undefined once ours (or, for a shared lock, that of one who shares it) is there. */
  #publish(record: LockRecord): string | undefined {
    const path = this.#recordPath();
    const shares = this.#folder.queue(this.#slot);
    const there = this.#draft.publish(record, (found) =>
      found.kind === "ours"
        ? !(this.#mode === "shared" && found.record.nonce !== record.nonce && shares.isHeldBy(found.record.nonce))
        : this.#foreign.isSpent(path, found),
    );
    return there === undefined || there.kind === "ours" ? undefined : path;
  }

  #grant(): FilesystemGrant {
    const { descriptor, ranges } = this.#lockedOrThrow();
    const record = { ...this.#record(), token: this.#token(), mode: this.#mode };
    if (!this.#hasRecord) this.#markGranted(record);
    this.#spent = true; // one that failed before that still has everything to give back
    return new FilesystemGrant(this.#folder, this.#slot, {
      record,
      under: this.#claim.under,
      fd: descriptor,
      ranges,
      generation: this.#generation,
      ticket: this.#ticket,
      ready: this.#tokens.reserved,
      draft: this.#hasRecord ? this.#draft : undefined,
      tidy: () => this.#tidy(),
    });
  }

  #tokenTaken: number | undefined;

  /** Taken once, under the kernel lock; those who share a holding work with its token. */
  #token(): number {
    this.#tokenTaken ??= this.#claim.under?.token ?? this.#tokens.take(this.#mode);
    return this.#tokenTaken;
  }

  #recordMade: LockRecord | undefined;

  #record(): LockRecord {
    const now = isoNow(this.#folder.machine);
    this.#recordMade ??= { ...recordOf(this.#claim), token: 0, acquiredAt: now, since: now };
    return this.#recordMade;
  }

  #lockedOrThrow(): { descriptor: number; ranges: readonly ByteRange[] } {
    if (this.#fd === undefined || this.#locked === undefined) throw new Error("granted without a lock");
    return { descriptor: this.#fd, ranges: this.#locked };
  }

  #blocked({ by, place }: Stopped): Attempt {
    return { outcome: "blocked", resource: this.#slot.resource, by, place };
  }

  #recordPath(): string {
    return this.#folder.recordPath(this.#slot.resource);
  }

  #now(): number {
    return this.#folder.machine.clock.monotonic();
  }

  get #hasRecord(): boolean {
    return this.#request.kind !== "share" && this.#request.isWithoutRecords !== true;
  }

  /** What was of use while we waited. */
  #tidy(): void {
    this.#unwatch();
    this.#tokens.close();
    this.#draft.discard();
  }

  #unwatch(): void {
    this.#watch?.close();
    this.#watch = undefined;
    this.#stopped = undefined;
  }

  #letGo(): void {
    if (this.#fd !== undefined) closeSync(this.#fd); // frees its locks: nobody else has this descriptor
    this.#fd = undefined;
    this.#locked = undefined;
  }
}

/** The part of a record that every client knows, and what wait cycles are found by. */
export function recordOf(claim: Claim): LockRecord {
  const { holder, hostname, pid, nonce, owner, since, command } = claim;
  const held = claim.within.length === 0 ? {} : { within: withinOf(claim) };
  return { holder, hostname, pid, acquiredAt: since, ttlMs: recordTtlMs, nonce, command, since, owner, ...held };
}

function sameRanges(a: readonly ByteRange[], b: readonly ByteRange[]): boolean {
  return (
    a.length === b.length &&
    a.every((range, index) => range.start === b[index]?.start && range.length === b[index]?.length)
  );
}
