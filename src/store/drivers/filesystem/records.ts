/**
 * Lock records: the JSON files at the documented paths, for people and for older clients that know nothing else.
 * They decide nothing among us. A record without a token is an older client's: it is honoured while it keeps changing
 * within its TTL, judged by our own monotonic clock only.
 */
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { storeError, systemErrorCode } from "../../../kernel/errors.ts";
import {
  closeThenRemove,
  isAbsence,
  isUnwritten,
  openInMadeFolder,
  removeFile,
  writeFileAtomicSync,
} from "../../../kernel/files.ts";
import type { Clock } from "../../../kernel/machine.ts";
import { inFolder } from "../../../kernel/paths.ts";
import type { LockRecord, Resource } from "../../contract.ts";

export const recordTtlMs = 30_000;
/** A TTL outside of these is nonsense and taken for the nearer one. */
const leastTtlMs = 1000;
const mostTtlMs = 10 * 60_000;
const maxRecordBytes = 64 * 1024;
/** More than a record of ours has, unless its command is very long. */
const longestOwnBytes = 2048;

export type FoundRecord =
  | { readonly kind: "absent" }
  /** Written by fen. */
  | { readonly kind: "ours"; readonly record: LockRecord; readonly text: string }
  /** Written by a client that knows only lock files. */
  | { readonly kind: "foreign"; readonly record: LockRecord; readonly text: string }
  /** `emptySince`: of a file in which nothing is, or zeros alone, when it was last written to, by the wall clock in milliseconds. */
  | { readonly kind: "unreadable"; readonly text: string; readonly emptySince?: number };

/** Where the record of a resource is, relative to the datastore. */
export function recordPath(resource: Resource): string {
  return resource.kind === "datastore" ? ".datastore.lock" : `data/${resource.type}/${resource.id}/.lock`;
}

export function readRecord(path: string): FoundRecord {
  let text: string;
  try {
    const info = statSync(path, { throwIfNoEntry: false }); // most often there is none: an exception costs more than a look
    if (info === undefined) return { kind: "absent" };
    // Reading a pipe that nobody writes to never ends.
    if (!info.isFile()) return { kind: "unreadable", text: info.isDirectory() ? "a folder" : "no regular file" };
    if (info.size > maxRecordBytes) return { kind: "unreadable", text: `${info.mtimeMs}` };
    text = readFileSync(path, "utf8");
    if (isUnwritten(text)) return { kind: "unreadable", text, emptySince: info.mtimeMs };
  } catch (error) {
    if (isAbsence(error)) return { kind: "absent" };
    if (systemErrorCode(error) === "EACCES") return { kind: "unreadable", text: "no permission to read it" };
    throw storeError(error, "the lock record", path);
  }
  const record = parseRecord(text);
  if (record === undefined) return { kind: "unreadable", text };
  return { kind: record.token === undefined ? "foreign" : "ours", record, text };
}

/** Puts a record where there is none; undefined once it is there, else what is. `by`: the nonce of whoever does it. */
export function putRecord(path: string, record: LockRecord, by: string): FoundRecord | undefined {
  const draft = new RecordDraft(path, by, "put");
  try {
    return draft.publish(record, () => false);
  } finally {
    draft.close();
  }
}

/**
 * A record that is written beside its place, and put there whole by a link. Most of what that costs can be done before (`prepare`), while the lock is
 * still another's, and after (`discard`), when it is ours already. The file stays open until `close`: so it can't be taken for another one.
 */
export class RecordDraft {
  readonly #path: string;
  readonly #nonce: string;
  readonly #aside: string;
  #fd: number | undefined;
  #inode: { readonly ino: number; readonly dev: number } | undefined;
  /** It was linked to its place: what is there is the same file, which nobody may see half-written. */
  #isOut = false;
  #hasText = false;
  /** As it was last found to be ours. */
  #text: string | undefined;
  /** Names that are left to remove. */
  readonly #left = new Set<string>();
  #madeFolder = false;

  /** `nonce`: of whoever writes it. Two drafts of one writer need different `label`s. */
  constructor(path: string, nonce: string, label: "new" | "put" = "new") {
    this.#path = path;
    this.#nonce = nonce;
    this.#aside = asideOf(path, nonce, label);
  }

  prepare(): number {
    if (this.#fd !== undefined) return this.#fd;
    try {
      this.#madeFolder ||= statSync(dirname(this.#path), { throwIfNoEntry: false }) === undefined;
      this.#fd = openInMadeFolder(this.#aside, "wx+");
      this.#left.add(this.#aside);
      const { ino, dev } = fstatSync(this.#fd);
      this.#inode = { ino, dev };
      return this.#fd;
    } catch (error) {
      throw storeError(error, "the lock record", this.#path);
    }
  }

  /**
   * Puts the record where there is none, or only one that `isSpent` says may go. Undefined once ours is there; else what is there instead.
   * Never half-written, and never over a record that wasn't judged.
   */
  publish(record: LockRecord, isSpent: (found: FoundRecord) => boolean): FoundRecord | undefined {
    if (this.#isOut) this.close();
    const fd = this.prepare();
    try {
      if (this.#hasText) ftruncateSync(fd); // of an attempt that was refused
      this.#hasText = true;
      writeSync(fd, `${JSON.stringify(record, undefined, 2)}\n`, 0);
      for (;;) {
        if (linkNew(this.#aside, this.#path)) {
          this.#isOut = true;
          return undefined;
        }
        const found = readRecord(this.#path);
        if (found.kind === "absent") continue;
        if (!isSpent(found)) return found;
        // Another may have come into its place since we looked: that one is judged anew.
        takeAway(this.#path, this.#nonce, (now) => isSame(now, found));
      }
    } catch (error) {
      throw storeError(error, "the lock record", this.#path);
    }
  }

  /** Takes our record out of its place, and no other. False where it isn't there. */
  withdraw(): boolean {
    if (!this.#isOut || !this.#isAt(this.#path) || !this.#isUntouched()) return false;
    const old = asideOf(this.#path, this.#nonce, "old");
    try {
      renameSync(this.#path, old);
    } catch (error) {
      if (isAbsence(error)) return false;
      throw storeError(error, "the lock record", this.#path);
    }
    this.#left.add(old);
    if (this.#isAt(old) && this.#isUntouched()) return true;
    linkNew(old, this.#path); // another came in between: back with it
    return false;
  }

  /** True where what we published is in its place and is still ours. If not, `readRecord` tells what is there: it may be ours in another file. */
  isInPlace(): boolean {
    try {
      if (!this.#isOut || !this.#isAt(this.#path)) return false;
      const text = this.#read();
      if (text === this.#text) return true;
      const record = parseRecord(text); // a refresh, or somebody else, wrote into it
      if (record?.nonce !== this.#nonce || record.token === undefined) return false;
      this.#text = text;
      return true;
    } catch {
      return false;
    }
  }

  #isAt(path: string): boolean {
    const info = statSync(path, { throwIfNoEntry: false });
    return info !== undefined && info.ino === this.#inode?.ino && info.dev === this.#inode.dev;
  }

  /** False where somebody wrote into the file itself. */
  #isUntouched(): boolean {
    return this.#read().includes(`"nonce": "${this.#nonce}"`);
  }

  /** What is in the file, wherever it is now. */
  #read(): string {
    const bytes = Buffer.allocUnsafe(longestOwnBytes);
    const length = this.#fd === undefined ? 0 : readSync(this.#fd, bytes, 0, bytes.length, 0);
    return bytes.toString("utf8", 0, length);
  }

  /** Removes what is left beside the place, not what was published. Idempotent. */
  discard(): void {
    for (const path of this.#left) removeQuietly(path);
    this.#left.clear();
  }

  /** Discards, and lets go of the file. Idempotent. */
  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#isOut = false;
    this.#hasText = false;
    this.discard();
  }

  /** As `close`, but nobody is kept from other work meanwhile. */
  async closeSoon(): Promise<void> {
    const [fd, left] = [this.#fd, [...this.#left]];
    this.#fd = undefined;
    this.#left.clear();
    this.close();
    if (fd !== undefined) await closeThenRemove(fd, left).catch(() => undefined); // as `discard`
  }

  /** Removes the folder where it was made for the record and nothing else came into it. */
  removeMadeFolder(): void {
    if (!this.#madeFolder) return;
    try {
      rmdirSync(dirname(this.#path));
    } catch {
      // In use, or gone: both are fine.
    }
  }
}

/**
 * Puts another record in the place of the one with this nonce, without a moment in which there is none: an older client would take that for free. False
 * where that one isn't there. Only for those who hold the lock and take turns.
 */
export function replaceRecord(path: string, nonce: string, by: LockRecord): boolean {
  const found = readRecord(path);
  if (found.kind !== "ours" || found.record.nonce !== nonce) return false;
  writeFileAtomicSync(path, `${JSON.stringify(by, undefined, 2)}\n`, { durable: false });
  return true;
}

export function isOwnRecord(path: string, nonce: string): boolean {
  const found = readRecord(path);
  return found.kind === "ours" && found.record.nonce === nonce;
}

/** Removes the record if it carries this nonce, and no other that may have come meanwhile. */
export function removeRecord(path: string, nonce: string): boolean {
  const isOurs = (found: FoundRecord) =>
    (found.kind === "ours" || found.kind === "foreign") && found.record.nonce === nonce;
  return isOurs(readRecord(path)) && takeAway(path, nonce, isOurs);
}

/** Removes a record that can't be read, and no other. */
export function removeUnreadable(path: string, by: string): boolean {
  const isJunk = (found: FoundRecord) => found.kind === "unreadable";
  return isJunk(readRecord(path)) && takeAway(path, by, isJunk);
}

/**
 * Writes a new `acquiredAt` into our record where it stands. The file is opened before it is judged, so that a late refresh
 * never touches a record that replaced ours.
 */
export function refreshRecord(path: string, nonce: string, acquiredAt: string): void {
  let fd: number;
  try {
    fd = openSync(path, "r+");
  } catch (error) {
    if (isAbsence(error)) return;
    throw storeError(error, "the lock record", path);
  }
  try {
    if (!fstatSync(fd).isFile()) return;
    const text = readFileSync(fd, "utf8");
    const record = parseRecord(text);
    if (record?.nonce !== nonce || record.acquiredAt.length !== acquiredAt.length) return;
    const at = text.indexOf(`"${record.acquiredAt}"`);
    writeSync(fd, acquiredAt, Buffer.byteLength(text.slice(0, at + 1)));
  } finally {
    closeSync(fd);
  }
}

/** Moves the file away in one step, looks whether it is the one that was meant, and removes it; puts it back where it isn't. */
function takeAway(path: string, by: string, isMeant: (found: FoundRecord) => boolean): boolean {
  const aside = asideOf(path, by, "old");
  try {
    renameSync(path, aside);
  } catch (error) {
    if (isAbsence(error)) return false;
    throw error;
  }
  const isRight = isMeant(readRecord(aside));
  if (!isRight) linkNew(aside, path);
  try {
    unlinkSync(aside);
  } catch (error) {
    if (systemErrorCode(error) !== "EISDIR" && systemErrorCode(error) !== "EPERM") throw error;
    rmSync(aside, { recursive: true });
  }
  return isRight;
}

/** What one who died may have left beside the record's place. Nobody else ever needs it, and nobody else knows the names. */
export function removeAsides(path: string, nonce: string): void {
  for (const what of asides) removeQuietly(asideOf(path, nonce, what));
}

const asides = ["new", "put", "old"] as const;

/** Two of one owner are never at work at once, so its nonce makes the name unique. */
function asideOf(path: string, nonce: string, what: (typeof asides)[number]): string {
  return inFolder(dirname(path), `.${nonce}.${what}.tmp`);
}

function linkNew(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === "EEXIST") return false;
    throw error;
  }
}

function isSame(a: FoundRecord, b: FoundRecord): boolean {
  if (a.kind === "absent" || b.kind === "absent") return a.kind === b.kind;
  return a.text === b.text && emptySinceOf(a) === emptySinceOf(b);
}

function emptySinceOf(found: FoundRecord): number | undefined {
  return found.kind === "unreadable" ? found.emptySince : undefined;
}

function removeQuietly(path: string): void {
  try {
    removeFile(path);
  } catch {
    // The first failure is the one to tell.
  }
}

/** Watches a record that isn't ours until it is certain that its writer is gone. */
export class ForeignWatch {
  readonly #clock: Clock;
  #text: string | undefined;
  #unchangedSince = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True once the record hasn't changed for its TTL on our own clock. */
  isStale(found: Exclude<FoundRecord, { kind: "absent" }>): boolean {
    const now = this.#clock.monotonic();
    if (found.text !== this.#text) {
      this.#text = found.text;
      this.#unchangedSince = now;
      return false;
    }
    const ttl = found.kind === "foreign" ? Math.min(Math.max(found.record.ttlMs, leastTtlMs), mostTtlMs) : recordTtlMs;
    return now - this.#unchangedSince >= ttl;
  }
}

/** Reads one JSON record; undefined where it isn't one. Unknown fields are dropped. */
export function parseRecord(text: string): LockRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // the caller treats it as unreadable
  }
  if (typeof value !== "object" || value === null) return undefined;
  const fields = new Map<string, unknown>(Object.entries(value));
  const string = (name: string): string | undefined => {
    const field = fields.get(name);
    return typeof field === "string" ? field : undefined;
  };
  const number = (name: string): number | undefined => {
    const field = fields.get(name);
    return typeof field === "number" && Number.isFinite(field) ? field : undefined;
  };
  const nonce = string("nonce");
  const holder = string("holder");
  const acquiredAt = string("acquiredAt");
  if (nonce === undefined || holder === undefined || acquiredAt === undefined) return undefined;
  const token = number("token");
  const mode = string("mode");
  const command = string("command");
  const since = string("since");
  const owner = string("owner");
  const within = fields.get("within");
  return {
    holder,
    hostname: string("hostname") ?? holder.slice(holder.indexOf("@") + 1),
    pid: number("pid") ?? 0,
    acquiredAt,
    ttlMs: number("ttlMs") ?? recordTtlMs,
    nonce,
    ...(token === undefined ? {} : { token }),
    ...(mode === "shared" || mode === "exclusive" ? { mode } : {}),
    ...(command === undefined ? {} : { command }),
    ...(since === undefined ? {} : { since }),
    ...(owner === undefined ? {} : { owner }),
    ...(Array.isArray(within) ? { within: within.filter((one) => typeof one === "string") } : {}),
  };
}
