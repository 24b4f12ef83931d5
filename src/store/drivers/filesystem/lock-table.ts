/**
 * The lock table: one permanent empty file whose byte ranges are the locks (decision 0002).
 *
 *   [0, 2^51]           models: a byte each, by hash. The whole range is the datastore, so a lock on the datastore
 *                       conflicts with every model's, and a model's lock implies the intention on the datastore.
 *   [2^52, 2^52 + 2^51] gates: a byte each, held for microseconds while a place in a queue is given out.
 *
 * A lock that was revoked can't be taken from a living process; its byte is left to it and the model moves on to the next byte of
 * its series. `revoked/<key>` counts how far.
 */
import { createHash } from "node:crypto";
import { fstatSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { storeError } from "../../../kernel/errors.ts";
import { isAbsence, openInMadeFolder, writeFileAtomicSync } from "../../../kernel/files.ts";
import { type LockMode, type Resource, resourceKey } from "../../contract.ts";
import type { ByteRange, KernelLocks } from "./kernel-locks.ts";

const modelBytes = 2 ** 51;
const gatesStart = 2 ** 52;

export class LockTable {
  readonly path: string;
  readonly #revokedFolder: string;
  readonly #kernel: KernelLocks;

  constructor(fenFolder: string, kernel: KernelLocks) {
    this.path = join(fenFolder, "locks");
    this.#revokedFolder = join(fenFolder, "revoked");
    this.#kernel = kernel;
  }

  open(): number {
    try {
      return openInMadeFolder(this.path, "a+");
    } catch (error) {
      throw storeError(error, "the lock table", this.path);
    }
  }

  /** False where the table was removed or replaced since `fd` was opened: locks on `fd` then mean nothing. */
  isCurrent(fd: number): boolean {
    try {
      const ours = fstatSync(fd);
      const theirs = statSync(this.path);
      return ours.ino === theirs.ino && ours.dev === theirs.dev;
    } catch (error) {
      if (isAbsence(error)) return false;
      throw storeError(error, "the lock table", this.path);
    }
  }

  /** The ranges that stand for `resource` now. More than one only for a datastore around revoked bytes. */
  ranges(resource: Resource): readonly ByteRange[] {
    if (resource.kind === "model") return [{ start: byteOf(resource, this.generation(resource)), length: 1 }];
    return around(this.#revokedBytes());
  }

  /** How often this resource's lock was revoked. */
  generation(resource: Resource): number {
    return this.#readGeneration(folderName(resource));
  }

  /** Moves the resource to the next byte of its series. Call it under the resource's gate. */
  revoke(resource: Resource): void {
    writeFileAtomicSync(join(this.#revokedFolder, folderName(resource)), `${this.generation(resource) + 1}\n`);
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

  gate(resource: Resource): ByteRange {
    return { start: gatesStart + hash51(resourceKey(resource)), length: 1 };
  }

  #revokedBytes(): number[] {
    const bytes: number[] = [];
    for (const name of namesIn(this.#revokedFolder)) {
      const generation = this.#readGeneration(name);
      const resource = resourceOfFolder(name);
      if (resource?.kind !== "model") continue;
      for (let k = 0; k < generation; k++) bytes.push(byteOf(resource, k));
    }
    return bytes.sort((a, b) => a - b);
  }

  #readGeneration(name: string): number {
    try {
      const text = readFileSync(join(this.#revokedFolder, name), "utf8");
      return Math.max(0, Number.parseInt(text, 10) || 0);
    } catch (error) {
      if (isAbsence(error)) return 0;
      throw storeError(error, "the list of revoked locks", join(this.#revokedFolder, name));
    }
  }
}

function byteOf(model: Resource, generation: number): number {
  const key = resourceKey(model);
  return hash51(generation === 0 ? key : `${key}#${generation}`) + 1;
}

/** The first 51 bits of SHA-256: fits a double exactly. */
function hash51(text: string): number {
  return Number(createHash("sha256").update(text).digest().readBigUInt64BE(0) >> 13n);
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

/** A resource's name as one folder name. Models always have a `/` in theirs, so none is called "datastore". */
export function folderName(resource: Resource): string {
  return encodeURIComponent(resourceKey(resource)).replaceAll("*", "%2A");
}

export function resourceOfFolder(name: string): Resource | undefined {
  if (name === "datastore") return { kind: "datastore" };
  let key: string;
  try {
    key = decodeURIComponent(name);
  } catch {
    return undefined; // not one of our names
  }
  const cut = key.lastIndexOf("/");
  return cut > 0 ? { kind: "model", type: key.slice(0, cut), id: key.slice(cut + 1) } : undefined;
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
