/**
 * The queue of one resource: its tickets, `<resource>+<number>.<x|s>.<nonce>`. A folder for each resource would have to be made and removed with every
 * lock, or there would be as many as models; one folder for all makes a command that takes a thousand locks read a thousand names for each. So
 * resources share 64 folders, and the datastore has its own: whoever takes a model looks there too.
 *
 * A ticket is locked by its owner from before it is visible until it is gone, so it proves its owner alive; nobody else ever has the lock, so
 * a ticket whose lock can be had is dead and may be removed by anybody (a name is never used twice: it carries a nonce).
 * Lines in it say who waits, then (a second line) what was granted. The queue is only the order; the lock table decides.
 */
import { closeSync, openSync, readFileSync, renameSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { storeError, systemErrorCode } from "../../../kernel/errors.ts";
import { closeThenRemove, isAbsence, openInMadeFolder, removeFile } from "../../../kernel/files.ts";
import { compareCodePoints } from "../../../kernel/order.ts";
import { inFolder } from "../../../kernel/paths.ts";
import type { LockMode, LockRecord } from "../../contract.ts";
import type { KernelLocks } from "./kernel-locks.ts";
import { namesIn, readSlotName, type Slot, slotName } from "./lock-table.ts";
import { parseRecord } from "./records.ts";

const wholeTicket = { start: 0, length: 0 };
const numberWidth = 12;
const folders = 64;

/** A visible ticket, by its name. */
export interface Ticket {
  readonly name: string;
  readonly path: string;
  readonly number: number;
  readonly mode: LockMode;
  readonly nonce: string;
}

/** What a ticket says. `granted` only while its owner holds the lock. */
export interface TicketText {
  readonly waiting: LockRecord;
  readonly granted?: LockRecord;
  /** Of what was granted: how often the lock had been taken away by force before. */
  readonly generation?: number;
}

export class Queue {
  readonly folder: string;
  readonly #prefix: string;
  readonly #kernel: KernelLocks;

  constructor(fenFolder: string, slot: Slot, kernel: KernelLocks) {
    const name = slotName(slot);
    this.folder = join(queueFolder(fenFolder), slot.resource.kind === "datastore" ? "datastore" : folderOf(name));
    this.#prefix = `${name}+`;
    this.#kernel = kernel;
  }

  /** The names of all tickets in its folder, hidden ones and those of other resources too. */
  names(): string[] {
    return namesIn(this.folder);
  }

  /** All tickets, first come first, dead ones included. `names`: of its folder, where they are known already. */
  tickets(names: readonly string[] = this.names()): Ticket[] {
    return names
      .filter((name) => name.startsWith(this.#prefix))
      .map((name) => ticketOf(this.folder, name))
      .filter((ticket) => ticket !== undefined)
      .sort((a, b) => a.number - b.number || compareCodePoints(a.nonce, b.nonce));
  }

  /** True while the owner lives and keeps it. */
  isAlive(ticket: Ticket): boolean {
    const probe = this.openProbe(ticket);
    if (probe === undefined) return false;
    try {
      return !probe.isGone();
    } finally {
      probe.close();
    }
  }

  /** An open look at a ticket, or undefined where it is gone. */
  openProbe(ticket: Ticket): TicketProbe | undefined {
    return this.#probe(ticket.path);
  }

  /** True where the owner of this nonce lives and has been granted the lock. */
  isHeldBy(nonce: string): boolean {
    const ticket = this.tickets().find((one) => one.nonce === nonce);
    return ticket !== undefined && this.isAlive(ticket) && this.read(ticket)?.granted !== undefined;
  }

  /** What another live holder's ticket says, or undefined where there is none but the one with this nonce. */
  otherHolder(nonce: string): LockRecord | undefined {
    for (const ticket of this.tickets()) {
      const granted = ticket.nonce !== nonce && this.isAlive(ticket) ? this.read(ticket)?.granted : undefined;
      if (granted !== undefined) return granted;
    }
    return undefined;
  }

  /** Removes a ticket that is known to be dead. */
  bury(ticket: Ticket): void {
    removeFile(ticket.path);
  }

  read(ticket: Ticket): TicketText | undefined {
    try {
      const lines = readFileSync(ticket.path, "utf8").split("\n");
      lines.pop(); // behind the last newline: empty, or a line that is being written
      const [waiting, granted] = lines.map((line) => parseRecord(line));
      if (waiting === undefined) return undefined;
      return granted === undefined ? { waiting } : { waiting, granted, ...generationIn(lines[1] ?? "") };
    } catch (error) {
      if (isAbsence(error)) return undefined;
      throw storeError(error, "a ticket of the queue", ticket.path);
    }
  }

  /**
   * Makes a ticket: locked before it is visible, numbered behind all others. Call it in the gate of the slot, else two may get one number.
   * Buries what was left of those who died in here.
   */
  take(nonce: string, mode: LockMode, record: LockRecord): OwnTicket {
    for (;;) {
      const hidden = inFolder(this.folder, `.${this.#prefix}${nonce}`);
      try {
        const fd = openInMadeFolder(hidden, "wx+");
        try {
          if (this.#kernel.tryLock(fd, wholeTicket, "exclusive")) {
            writeSync(fd, `${JSON.stringify(record)}\n`);
            const ticket = new OwnTicket(inFolder(this.folder, this.#prefix), hidden, { fd, nonce, mode });
            if (ticket.show(this.#nextNumber(nonce))) return ticket;
          }
          // Looked at, or swept away, by somebody who took us for dead: once more.
          closeSync(fd);
          removeFile(hidden);
        } catch (error) {
          closeSync(fd);
          removeFile(hidden);
          throw error;
        }
      } catch (error) {
        throw storeError(error, "the queue", this.folder);
      }
    }
  }

  /** The number behind the last; sweeps hidden tickets whose owners died before they were shown. */
  #nextNumber(own: string): number {
    const names = this.names();
    const hidden = `.${this.#prefix}`;
    for (const name of names) {
      if (name.startsWith(hidden) && name !== `${hidden}${own}`) this.#sweep(inFolder(this.folder, name));
    }
    return (this.tickets(names).at(-1)?.number ?? 0) + 1;
  }

  #sweep(path: string): void {
    const probe = this.#probe(path);
    if (probe?.isGone() === true) removeFile(path);
    probe?.close();
  }

  #probe(path: string): TicketProbe | undefined {
    try {
      return new TicketProbe(path, openSync(path, "r"), this.#kernel);
    } catch (error) {
      if (isAbsence(error)) return undefined;
      throw storeError(error, "a ticket of the queue", path);
    }
  }
}

export class OwnTicket {
  readonly nonce: string;
  readonly mode: LockMode;
  readonly #stem: string;
  readonly #fd: number;
  #path: string;
  #number = 0;
  #left = false;

  /** `stem`: of the path under which it is shown. */
  constructor(
    stem: string,
    path: string,
    own: { readonly fd: number; readonly nonce: string; readonly mode: LockMode },
  ) {
    this.#stem = stem;
    this.#path = path;
    this.#fd = own.fd;
    this.nonce = own.nonce;
    this.mode = own.mode;
  }

  /** Nobody was in the queue when its number was given out, so nobody ever comes before it. */
  get isFirst(): boolean {
    return this.#number === 1;
  }

  /** Makes the ticket visible under its number; false where it is gone. */
  show(number: number): boolean {
    const mark = this.mode === "exclusive" ? "x" : "s";
    const path = `${this.#stem}${String(number).padStart(numberWidth, "0")}.${mark}.${this.nonce}`;
    try {
      renameSync(this.#path, path);
    } catch (error) {
      if (isAbsence(error)) return false;
      throw error;
    }
    this.#path = path;
    this.#number = number;
    return true;
  }

  /** True where `other` came earlier and conflicts. */
  waitsFor(other: Ticket): boolean {
    if (other.nonce === this.nonce) return false;
    const earlier = other.number - this.#number || compareCodePoints(other.nonce, this.nonce);
    return earlier < 0 && (this.mode === "exclusive" || other.mode === "exclusive");
  }

  /** Says in the ticket that the lock is held. */
  markGranted(record: LockRecord, generation: number): void {
    writeSync(this.#fd, `${JSON.stringify({ ...record, generation })}\n`);
  }

  /** Gives up its lock (it counts as dead then) and removes it: its successor sees that. Idempotent. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    closeSync(this.#fd); // before: some filesystems take much longer to remove a file that is open
    removeFile(this.#path);
  }

  /** As `leave`, but nobody is kept from other work meanwhile. */
  async leaveSoon(): Promise<void> {
    if (this.#left) return;
    this.#left = true;
    await closeThenRemove(this.#fd, [this.#path]);
  }
}

/** A look at another's ticket through an open descriptor. */
export class TicketProbe {
  readonly #path: string;
  readonly #fd: number;
  readonly #kernel: KernelLocks;

  constructor(path: string, fd: number, kernel: KernelLocks) {
    this.#path = path;
    this.#fd = fd;
    this.#kernel = kernel;
  }

  /** True once the ticket was removed, or taken away by force, or its owner died. */
  isGone(): boolean {
    try {
      if (statSync(this.#path, { throwIfNoEntry: false }) === undefined) return true;
      if (!this.#kernel.tryLock(this.#fd, wholeTicket, "shared")) return false;
      this.#kernel.unlock(this.#fd, wholeTicket);
      return true;
    } catch (error) {
      if (systemErrorCode(error) === "ESTALE") return true; // removed by another machine of a network filesystem
      throw error;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Of a line that is known to be a record. */
function generationIn(line: string): { readonly generation?: number } {
  const { generation }: Record<string, unknown> = { ...JSON.parse(line) };
  return typeof generation === "number" ? { generation } : {};
}

function ticketOf(folder: string, name: string): Ticket | undefined {
  const match = /\+(\d+)\.([xs])\.([^.+]+)$/.exec(name);
  if (match === null) return undefined;
  const [, number = "", mode, nonce = ""] = match;
  return {
    name,
    path: inFolder(folder, name),
    number: Number(number),
    mode: mode === "x" ? "exclusive" : "shared",
    nonce,
  };
}

function queueFolder(fenFolder: string): string {
  return join(fenFolder, "queue");
}

/** The same for a name in every process: 00 to 3f, by FNV-1a. */
function folderOf(name: string): string {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  return ((hash >>> 0) % folders).toString(16).padStart(2, "0");
}

/** The tickets of everybody, by what they are for; from one look at each folder. */
export function ticketsBySlot(
  fenFolder: string,
  kernel: KernelLocks,
): { readonly slot: Slot; readonly queue: Queue; readonly tickets: readonly Ticket[] }[] {
  const names = namesIn(queueFolder(fenFolder)).flatMap((folder) => namesIn(join(queueFolder(fenFolder), folder)));
  const namesOf = new Map<string, string[]>();
  for (const name of names) {
    const key = name.startsWith(".") ? "" : name.slice(0, name.lastIndexOf("+"));
    namesOf.set(key, [...(namesOf.get(key) ?? []), name]);
  }
  return [...namesOf].flatMap(([key, own]) => {
    const slot = readSlotName(key);
    if (slot === undefined) return [];
    const queue = new Queue(fenFolder, slot, kernel);
    return [{ slot, queue, tickets: queue.tickets(own) }];
  });
}
