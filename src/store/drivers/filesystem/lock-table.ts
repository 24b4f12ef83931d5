/**
 * The lock table: one permanent empty file whose byte ranges are the locks (decision 0002).
 *
 *   [0, 2^51]             models: a byte each, by hash. The whole range is the datastore, so a lock on the datastore
 *                         conflicts with every model's, and a model's lock implies the intention on the datastore.
 *   2^52 + [0, 2^51)      gates: a byte each, held for microseconds while a place in a queue is given out.
 *   2^52 + 2^51 + [0, 2^50)  shares: a byte each, for those who share a holding (commands that a holder calls).
 *
 * A lock that was revoked can't be taken from a living process; its byte is left to it and the model moves on to the next byte of its series: the
 * marks `revoked/<key>+<number>`, from 1, say how far. Where the datastore's own lock is revoked all move on to the next table, `locks.<number>`.
 */
import { closeSync, fstatSync, linkSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { FenError, storeError, systemErrorCode } from "../../../kernel/errors.ts";
import { isAbsence, makeFolder, openInMadeFolder } from "../../../kernel/files.ts";
import { sha256 } from "../../../kernel/hash.ts";
import { inFolder } from "../../../kernel/paths.ts";
import { type Holding, type LockMode, type Resource, resourceKey } from "../../contract.ts";
import type { ByteRange, KernelLocks } from "./kernel-locks.ts";

const modelBytes = 2 ** 51;
const gatesStart = 2 ** 52;
const sharesStart = gatesStart + 2 ** 51;
const shareBytes = 2 ** 50;
const mostKnown = 1000;

/** What one queue and one lock are about: a resource, or the share of a holding among the commands that it covers. */
export interface Slot {
  readonly resource: Resource;
  /** The nonce of the holding. */
  readonly under?: string | undefined;
}

export function slotOf({ resource, under }: Holding): Slot {
  return { resource, under };
}

export function slotKey({ resource, under }: Slot): string {
  return under === undefined ? resourceKey(resource) : `${resourceKey(resource)}${separator}${under}`;
}

/** No name may hold it. */
const separator = "\0";
/** A ticket's name is longer by 53 characters; 255 is what filesystems take. */
const longestSlotName = 200;

export class LockTable {
  readonly #fenFolder: string;
  readonly #revokedFolder: string;
  readonly #kernel: KernelLocks;
  readonly #hashes = new Map<string, number>();
  readonly #names = new Map<string, string>();
  /** A descriptor of the table through which nothing is ever held, kept for the next look. */
  #probe: (Identity & { readonly fd: number }) | undefined;

  constructor(fenFolder: string, kernel: KernelLocks) {
    this.#fenFolder = fenFolder;
    this.#revokedFolder = join(fenFolder, "revoked");
    this.#kernel = kernel;
  }

  /** Of the current table: another one after the datastore's lock was revoked. */
  get path(): string {
    const generation = this.generation({ kind: "datastore" });
    return inFolder(this.#fenFolder, generation === 0 ? "locks" : `locks.${generation}`);
  }

  open(): number {
    const { path } = this;
    try {
      return openInMadeFolder(path, "a+");
    } catch (error) {
      throw storeError(error, "the lock table", path);
    }
  }

  /** False where the table was removed or replaced since `fd` was opened: locks on `fd` then mean nothing. */
  isCurrent(fd: number): boolean {
    return this.#currentOf(fd) !== undefined;
  }

  /** Of the current table, where that is the one of `fd`. */
  #currentOf(fd: number): Identity | undefined {
    const { path } = this;
    try {
      const ours = fstatSync(fd);
      return isSame(ours, statSync(path)) ? ours : undefined;
    } catch (error) {
      if (isAbsence(error)) return undefined;
      throw storeError(error, "the lock table", path);
    }
  }

  /** The ranges that stand for `slot` now, its lock having been revoked so often. More than one only for a datastore around revoked bytes. */
  ranges(slot: Slot, generation: number = this.generation(slot.resource)): readonly ByteRange[] {
    const { resource } = slot;
    if (slot.under !== undefined)
      return [{ start: sharesStart + (this.#hash(`${slotKey(slot)}#${generation}`) % shareBytes), length: 1 }];
    if (resource.kind === "model") return [{ start: this.#byteOf(resource, generation), length: 1 }];
    return around(this.#revokedBytes());
  }

  /** Ranges that nobody holds but who holds this very resource: of the datastore the first byte, which is no model's. */
  ownRanges(resource: Resource): readonly ByteRange[] {
    return resource.kind === "datastore" ? [{ start: 0, length: 1 }] : this.ranges({ resource });
  }

  /** How often this resource's lock was revoked. */
  generation(resource: Resource): number {
    const name = remembered(this.#names, resourceKey(resource), () => slotName({ resource }));
    let generation = 0;
    try {
      while (statSync(this.#markPath(name, generation + 1), { throwIfNoEntry: false }) !== undefined) generation++;
      return generation;
    } catch (error) {
      throw storeError(error, "the list of revoked locks", this.#revokedFolder);
    }
  }

  /**
   * Leaves the lock of this generation to its holder and makes it mean nothing. The mark of the next generation is a link to the holder's ticket (its
   * path), so it can't hit whoever comes next: where the ticket is gone there is nothing to link to, nothing is done, and false returned. Without a ticket
   * (one who died may have none any more) it hits whoever holds it.
   */
  revoke(resource: Resource, held: { readonly generation: number; readonly ticket?: string | undefined }): boolean {
    const mark = this.#markPath(slotName({ resource }), held.generation + 1);
    try {
      makeFolder(this.#revokedFolder, { durable: false });
      if (held.ticket === undefined) closeSync(openInMadeFolder(mark, "a"));
      else linkSync(held.ticket, mark);
      return true;
    } catch (error) {
      if (systemErrorCode(error) === "EEXIST") return true; // another did it
      if (isAbsence(error)) return false;
      throw storeError(error, "the list of revoked locks", mark);
    }
  }

  /** All ranges or none. */
  tryLock(fd: number, ranges: readonly ByteRange[], mode: LockMode): boolean {
    for (const [index, range] of ranges.entries()) {
      if (this.#kernel.tryLock(fd, range, mode)) continue;
      this.unlock(fd, ranges.slice(0, index));
      return false;
    }
    return true;
  }

  unlock(fd: number, ranges: readonly ByteRange[]): void {
    for (const range of ranges) this.#kernel.unlock(fd, range);
  }

  /**
   * Moves a lock from one descriptor of ours to another. Never a moment without one; but while it moves it is shared, so only our living ticket keeps those
   * out who would share. False where it didn't arrive: then it is lost.
   */
  move(ranges: readonly ByteRange[], mode: LockMode, way: { readonly from: number; readonly to: number }): boolean {
    const isShared = this.tryLock(way.from, ranges, "shared") && this.tryLock(way.to, ranges, "shared");
    this.unlock(way.from, ranges);
    return isShared && (mode === "shared" || this.tryLock(way.to, ranges, "exclusive"));
  }

  /** True where `fd` is of the current table, and somebody has a lock in one of the ranges: the holder of `fd`, if it has not been lost. */
  isHeld(fd: number, ranges: readonly ByteRange[]): boolean {
    const current = this.#currentOf(fd);
    return current !== undefined && this.#isTaken(ranges, this.#probeOf(current));
  }

  /** True where somebody, through whatever descriptor, keeps a lock in one of the ranges from being taken. */
  isLocked(ranges: readonly ByteRange[]): boolean {
    const fd = this.open();
    try {
      return this.#isTaken(ranges, fd);
    } finally {
      closeSync(fd);
    }
  }

  #isTaken(ranges: readonly ByteRange[], fd: number): boolean {
    if (!this.tryLock(fd, ranges, "exclusive")) return true;
    this.unlock(fd, ranges);
    return false;
  }

  #probeOf(table: Identity): number {
    if (this.#probe !== undefined && isSame(this.#probe, table)) return this.#probe.fd;
    if (this.#probe !== undefined) closeSync(this.#probe.fd);
    this.#probe = undefined;
    const fd = this.open();
    const { ino, dev } = fstatSync(fd);
    this.#probe = { fd, ino, dev };
    return fd;
  }

  gate(slot: Slot): ByteRange {
    return { start: gatesStart + this.#hash(slotKey(slot)), length: 1 };
  }

  #byteOf(model: Resource, generation: number): number {
    const key = resourceKey(model);
    return this.#hash(generation === 0 ? key : `${key}#${generation}`) + 1;
  }

  /** Asked for again and again while one waits, and when it is one's turn. */
  #hash(text: string): number {
    return remembered(this.#hashes, text, () => hash51(text));
  }

  #revokedBytes(): number[] {
    const bytes: number[] = [];
    for (const mark of namesIn(this.#revokedFolder)) {
      const [, name = "", number = ""] = /^(.+)\+(\d+)$/.exec(mark) ?? [];
      const resource = readSlotName(name)?.resource;
      if (resource?.kind === "model") bytes.push(this.#byteOf(resource, Number(number) - 1));
    }
    return bytes.sort((a, b) => a - b);
  }

  #markPath(name: string, number: number): string {
    return inFolder(this.#revokedFolder, `${name}+${number}`);
  }
}

/** What is asked for again and again, of so many at most. */
function remembered<T>(known: Map<string, T>, key: string, find: () => T): T {
  const before = known.get(key);
  if (before !== undefined) return before;
  if (known.size >= mostKnown) known.clear();
  const found = find();
  known.set(key, found);
  return found;
}

/** Which file it is: nobody else has both numbers as long as it is open. */
interface Identity {
  readonly ino: number;
  readonly dev: number;
}

function isSame(a: Identity, b: Identity): boolean {
  return a.ino === b.ino && a.dev === b.dev;
}

/** The first 51 bits of SHA-256: fits a double exactly. */
function hash51(text: string): number {
  return Number(Buffer.from(sha256(text)).readBigUInt64BE(0) >> 13n);
}

function around(holes: readonly number[]): ByteRange[] {
  const ranges: ByteRange[] = [];
  let start = 0;
  for (const hole of holes) {
    if (hole > start) ranges.push({ start, length: hole - start });
    start = Math.max(start, hole + 1);
  }
  ranges.push({ start, length: modelBytes + 1 - start });
  return ranges;
}

/** A slot's name as (part of) a file's name. Models always have a `/` in theirs, so none is called "datastore". */
export function slotName(slot: Slot): string {
  const name = encodeURIComponent(slotKey(slot)).replaceAll("*", "%2A");
  if (name.length <= longestSlotName) return name;
  throw new FenError("name_invalid", `The name is too long for a lock: ${resourceKey(slot.resource)}`, {
    hint: `Written as a file name it has ${name.length} characters; ${longestSlotName} are possible.`,
  });
}

export function readSlotName(name: string): Slot | undefined {
  let decoded: string;
  try {
    decoded = decodeURIComponent(name);
  } catch {
    return undefined; // not one of our names
  }
  const [key = "", under] = decoded.split(separator);
  if (key === "datastore") return { resource: { kind: "datastore" }, under };
  const cut = key.lastIndexOf("/");
  return cut > 0 ? { resource: { kind: "model", type: key.slice(0, cut), id: key.slice(cut + 1) }, under } : undefined;
}

/** The names in a folder; none where there is no folder. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (isAbsence(error)) return [];
    throw storeError(error, "the folder", folder);
  }
}
