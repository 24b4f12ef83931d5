/** A held lock: the kernel lock, its record and its ticket. Given back in this order: record, lock, ticket; so whoever the end of the ticket wakes finds the lock free. */
import { closeSync } from "node:fs";
import { FenError } from "../../../kernel/errors.ts";
import { isoNow } from "../../../kernel/iso-time.ts";
import { all } from "../../../kernel/several.ts";
import type { Grant, Holding, LockMode, LockRecord, Resource } from "../../contract.ts";
import type { ByteRange } from "./kernel-locks.ts";
import type { LockFolder } from "./lock-folder.ts";
import { type Slot, slotOf } from "./lock-table.ts";
import type { OwnTicket } from "./queue.ts";
import {
  putRecord,
  type RecordDraft,
  readRecord,
  recordTtlMs,
  refreshRecord,
  removeRecord,
  replaceRecord,
} from "./records.ts";

/** What needn't be done before the holder gets to work is done so much later. */
const tidyAfterMs = 2;
/** Nobody works under a lock that rests, so it is looked at only this often: a thousand of them would else do little but look. */
const restingCheckMs = 10_000;

interface Held {
  readonly record: LockRecord;
  /** The holding that covers this one. */
  readonly under: Holding | undefined;
  readonly fd: number;
  readonly ranges: readonly ByteRange[];
  /** How often the lock had been revoked when it was taken: read before the lock, so that none is overlooked. */
  readonly generation: number;
  readonly ticket: OwnTicket;
  /** See `Grant`. */
  readonly ready: Promise<void> | undefined;
  /** The record, by its file; undefined where none is published. */
  readonly draft: RecordDraft | undefined;
  /** Lets go of what was of use until the grant. */
  readonly tidy: () => void;
}

export class FilesystemGrant implements Grant {
  readonly #folder: LockFolder;
  readonly #slot: Slot;
  readonly #held: Held;
  readonly #tidying: Disposable;
  /** What carries the lock: a descriptor of its own, or that of all who rest. */
  #fd: number;
  #isResting = false;
  #hasRested = false;
  #restCheckedAt = -Infinity;
  /** It didn't arrive when it was moved. */
  #isLost = false;
  #released = false;
  /** When our record (or that of one who shares) was last seen in its place. */
  #seenAt: number;

  constructor(folder: LockFolder, slot: Slot, held: Held) {
    this.#folder = folder;
    this.#slot = slot;
    this.#held = held;
    this.#fd = held.fd;
    this.#seenAt = folder.machine.clock.monotonic();
    this.#tidying = folder.machine.clock.after(tidyAfterMs, held.tidy);
  }

  get resource(): Resource {
    return this.#slot.resource;
  }

  get mode(): LockMode {
    return this.#held.record.mode ?? "exclusive";
  }

  get nonce(): string {
    return this.#held.record.nonce;
  }

  get token(): number {
    return this.#held.record.token ?? 0;
  }

  get ready(): Promise<void> | undefined {
    return this.#held.ready;
  }

  get holding(): Holding {
    const under = this.#held.under === undefined ? {} : { under: this.#held.under.nonce };
    const { resource, mode, nonce, token } = this;
    const { pid, owner } = this.#held.record;
    const owned = owner === undefined ? {} : { owner };
    const descriptor = this.#isResting ? {} : { descriptor: this.#fd };
    return { resource, mode, nonce, token, pid, ...owned, ...descriptor, ...under };
  }

  /** Lost: revoked, the table replaced, the kernel's lock dropped (a network filesystem may), the record another's, or the covering lock over. */
  async check(): Promise<"held" | "lost"> {
    if (this.#isResting && !this.#released && !this.#isLost) {
      const now = this.#folder.machine.clock.monotonic();
      if (now - this.#restCheckedAt < restingCheckMs) return "held";
      this.#restCheckedAt = now;
    }
    const { table } = this.#folder;
    const { ranges, under, generation } = this.#held;
    if (this.#released || this.#isLost || table.generation(this.resource) !== generation) return "lost";
    if (!table.isHeld(this.#fd, ranges)) return "lost";
    if (under !== undefined) return this.#folder.queue(slotOf(under)).isHeldBy(under.nonce) ? "held" : "lost";
    if (this.#held.draft === undefined || this.#recordIsOurs()) return "held";
    if (this.mode !== "shared") return "lost";
    return (await this.#folder.throughGate(this.#slot, () => this.#replaceRecordOfDead())) ? "held" : "lost";
  }

  /** Of those who share, each keeps the one record fresh, whoever of them it names: so it stays fresh while that one is stopped. */
  async refresh(): Promise<void> {
    if (this.#released || this.#held.draft === undefined) return;
    const found = this.mode === "shared" ? readRecord(this.#path) : undefined;
    const nonce = found?.kind === "ours" && this.#isOfHolder(found.record.nonce) ? found.record.nonce : this.nonce;
    refreshRecord(this.#path, nonce, isoNow(this.#folder.machine));
  }

  rest(): void {
    // Locks of Windows can't be turned from exclusive to shared; those who share a holding have one each.
    const isPossible = this.#folder.machine.host.platform !== "win32" && this.#held.under === undefined;
    if (this.#isResting || this.#released || !isPossible) return;
    const own = this.#fd;
    this.#move(this.#folder.commonDescriptor);
    this.#isResting = true;
    this.#hasRested = true;
    this.#restCheckedAt = this.#folder.machine.clock.monotonic();
    closeSync(own);
  }

  wake(): void {
    if (!this.#isResting || this.#released) return;
    this.#move(this.#folder.table.open());
    this.#isResting = false;
  }

  #move(to: number): void {
    const { table } = this.#folder;
    // Where the table was replaced, the new one says nothing of a lock that was in the old one.
    if (!table.isCurrent(this.#fd) || !table.move(this.#held.ranges, this.mode, { from: this.#fd, to }))
      this.#isLost = true;
    this.#fd = to;
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    this.#tidying[Symbol.dispose]();
    const { ticket, draft, tidy } = this.#held;
    const inTheWay = [() => this.#removeRecord(), () => this.#unlock(), () => ticket.leave()];
    const tidying = [tidy, () => draft?.close(), () => draft?.removeMadeFolder(), () => this.#close()];
    if (this.#hasRested && this.mode !== "shared") {
      try {
        return runAll([...inTheWay.slice(0, -1), tidy, () => this.#close()]);
      } finally {
        await this.#removeFilesSoon();
      }
    }
    const giveBack = () => runAll([...inTheWay, ...tidying]);
    if (this.mode !== "shared" || draft === undefined) return giveBack();
    // Those who share take turns here, so that the record of one who stays is never taken away. Where there is no way through the gate (no
    // descriptor is left, say), the lock is given back all the same.
    let isGiven = false;
    const giveOnce = () => {
      isGiven = true;
      giveBack();
    };
    await this.#folder.throughGate(this.#slot, giveOnce).catch((error: unknown) => {
      if (isGiven) throw error;
      giveOnce();
    });
  }

  /** Who holds hundreds has more to do than to wait until files are removed: others do that. */
  async #removeFilesSoon(): Promise<void> {
    const { ticket, draft } = this.#held;
    await all([ticket.leaveSoon(), draft?.closeSoon()]);
    draft?.removeMadeFolder();
  }

  #removeRecord(): void {
    const { draft } = this.#held;
    if (draft === undefined) return;
    const other = this.mode === "shared" ? this.#folder.queue(this.#slot).otherHolder(this.nonce) : undefined;
    if (other === undefined) return void (draft.withdraw() || removeRecord(this.#path, this.nonce));
    replaceRecord(this.#path, this.nonce, other);
  }

  #unlock(): void {
    this.#folder.table.unlock(this.#fd, this.#held.ranges);
  }

  #close(): void {
    if (!this.#isResting) closeSync(this.#fd);
  }

  /**
   * An older client that thought us dead replaces the record: then it is lost. One that somebody removed is put back; but where we were stopped for
   * so long that an older client could have come and gone meanwhile, it is lost too.
   */
  #recordIsOurs(): boolean {
    const now = this.#folder.machine.clock.monotonic();
    if (this.#held.draft?.isInPlace() === true) {
      this.#seenAt = now;
      return true;
    }
    const found = readRecord(this.#path);
    if (found.kind === "absent" && now - this.#seenAt > recordTtlMs) return false;
    const there = found.kind === "absent" ? putRecord(this.#path, this.#held.record, this.nonce) : found;
    const isOurs = there === undefined || (there.kind === "ours" && this.#isOfHolder(there.record.nonce));
    if (isOurs) this.#seenAt = now;
    return isOurs;
  }

  #isOfHolder(nonce: string): boolean {
    return nonce === this.nonce || (this.mode === "shared" && this.#folder.queue(this.#slot).isHeldBy(nonce));
  }

  /** Among those who share, the one whom the record names may have died: ours takes its place. One at a time, as when they publish. */
  #replaceRecordOfDead(): boolean {
    const found = readRecord(this.#path);
    if (this.#released || found.kind === "foreign" || found.kind === "unreadable") return false;
    if (this.#folder.table.generation(this.resource) !== this.#held.generation) return false;
    if (found.kind === "ours" && !this.#isOfHolder(found.record.nonce))
      replaceRecord(this.#path, found.record.nonce, this.#held.record);
    return this.#recordIsOurs();
  }

  get #path(): string {
    return this.#folder.recordPath(this.resource);
  }
}

/** Runs every step, whatever fails; throws the first failure. */
function runAll(steps: readonly (() => void)[]): void {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      failures.push(error);
    }
  }
  const [first] = failures;
  if (first === undefined) return;
  throw first instanceof Error ? first : new FenError("internal", String(first));
}
