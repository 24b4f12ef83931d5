/** Fencing tokens: a number per resource that only grows. Written in place (one sector), under the exclusive lock. */
import { closeSync, fdatasync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { storeError } from "../../../kernel/errors.ts";
import { isAbsence, openInMadeFolder } from "../../../kernel/files.ts";
import type { Clock } from "../../../kernel/machine.ts";
import type { LockMode, Resource } from "../../contract.ts";
import type { LockFolder } from "./lock-folder.ts";
import { slotName } from "./lock-table.ts";

const width = 16;
/** So many numbers are reserved at once: the others need no wait for the disk. */
const block = 1024;

/**
 * The token of a new grant: the next one for an exclusive lock, the present one for a shared lock. Call it while the kernel lock is held.
 *
 * The file says: the last number given, the last one reserved, and the start of the machine in which they were written. Only a reservation is
 * forced to the disk. After a power cut the start differs, so the next grant goes on behind what was reserved: numbers may be
 * left out, never given twice.
 */
export class TokenFile {
  readonly #folder: LockFolder;
  readonly #path: string;
  #fd: number | undefined;
  #reserving: Promise<void> | undefined;
  #isSyncing = false;

  constructor(folder: LockFolder, resource: Resource) {
    this.#folder = folder;
    this.#path = join(folder.fenFolder, "tokens", slotName({ resource }));
  }

  /** What needs no lock, and so can be done while one waits. */
  prepare(): { readonly fd: number; readonly boot: string | undefined } {
    try {
      this.#fd ??= openForUpdate(this.#path);
      return { fd: this.#fd, boot: this.#folder.bootId };
    } catch (error) {
      throw storeError(error, "the fencing token", this.#path);
    }
  }

  take(mode: LockMode): number {
    const { fd, boot } = this.prepare();
    try {
      const before = readState(fd, this.#folder.machine.clock);
      if (mode === "shared") return before.last;
      if (boot !== undefined && before.boot === boot && before.last < before.reserved)
        return write(fd, { ...before, last: before.last + 1 });
      const base = Math.max(before.last, before.reserved);
      const reserved = base + (boot === undefined ? 1 : block);
      const token = write(fd, { last: base + 1, reserved, boot: boot ?? "-" });
      this.#reserving = this.#makeDurable(fd);
      this.#reserving.catch(() => undefined); // told to who waits for it
      return token;
    } catch (error) {
      throw storeError(error, "the fencing token", this.#path);
    }
  }

  /** What was reserved survives a power cut once this resolves: before, nobody may work with the token. */
  get reserved(): Promise<void> | undefined {
    return this.#reserving;
  }

  #makeDurable(fd: number): Promise<void> {
    this.#isSyncing = true;
    return new Promise((resolve, reject) =>
      fdatasync(fd, (error) => {
        if (this.#fd !== fd) closeSync(fd); // `close` has waited for us
        this.#isSyncing = false;
        if (error === null) resolve();
        else reject(storeError(error, "the fencing token", this.#path));
      }),
    );
  }

  /** Idempotent. */
  close(): void {
    if (this.#fd !== undefined && !this.#isSyncing) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** Opens for reading and writing at a place; makes the file where there is none. */
function openForUpdate(path: string): number {
  try {
    return openSync(path, "r+");
  } catch (error) {
    if (!isAbsence(error)) throw error;
    closeSync(openInMadeFolder(path, "a"));
    return openSync(path, "r+");
  }
}

interface State {
  readonly last: number;
  readonly reserved: number;
  readonly boot: string;
}

function write(fd: number, { last, reserved, boot }: State): number {
  const digits = (value: number) => String(value).padStart(width, "0");
  writeSync(fd, `${digits(last)} ${digits(reserved)} ${boot}\n`, 0);
  return last;
}

function readState(fd: number, clock: Clock): State {
  const buffer = Buffer.alloc(256);
  const length = readSync(fd, buffer, 0, buffer.length, 0);
  if (length === 0) return { last: 0, reserved: 0, boot: "" };
  const [last, reserved, boot = ""] = buffer.toString("latin1", 0, length).trim().split(" ");
  const [a, b] = [Number(last), Number(reserved ?? last)];
  if (Number.isSafeInteger(a) && Number.isSafeInteger(b) && a >= 0 && b >= 0) return { last: a, reserved: b, boot };
  // Damaged: go on from the wall clock in milliseconds, which no count of grants reaches.
  return { last: clock.now(), reserved: 0, boot: "" };
}
