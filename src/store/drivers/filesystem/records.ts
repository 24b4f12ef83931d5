/**
 * Lock records: the JSON files at the documented paths, for people and for older clients that know nothing else.
 * They decide nothing among us. A record without a token is an older client's: it is honoured while it keeps changing
 * within its TTL, judged by our own monotonic clock only.
 */
import { linkSync, readFileSync, renameSync, statSync } from "node:fs";
import { storeError, systemErrorCode } from "../../../kernel/errors.ts";
import { asidePath, isAbsence, removeFile, writeNew } from "../../../kernel/files.ts";
import type { Clock } from "../../../kernel/machine.ts";
import type { LockRecord, Resource } from "../../contract.ts";

export const recordTtlMs = 30_000;
const maxRecordBytes = 64 * 1024;

export type FoundRecord =
  | { readonly kind: "absent" }
  /** Written by fen. */
  | { readonly kind: "ours"; readonly record: LockRecord }
  /** Written by a client that knows only lock files. */
  | { readonly kind: "foreign"; readonly record: LockRecord; readonly text: string }
  | { readonly kind: "unreadable"; readonly text: string };

/** Where the record of a resource is, relative to the datastore. */
export function recordPath(resource: Resource): string {
  return resource.kind === "datastore" ? ".datastore.lock" : `data/${resource.type}/${resource.id}/.lock`;
}

export function readRecord(path: string): FoundRecord {
  let text: string;
  try {
    if (statSync(path).size > maxRecordBytes) return { kind: "unreadable", text: `${statSync(path).mtimeMs}` };
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (isAbsence(error)) return { kind: "absent" };
    if (systemErrorCode(error) === "EISDIR") return { kind: "unreadable", text: "a folder" };
    throw storeError(error, "the lock record", path);
  }
  const record = parseRecord(text);
  if (record === undefined) return { kind: "unreadable", text };
  return record.token === undefined ? { kind: "foreign", record, text } : { kind: "ours", record };
}

/** Publishes where there is no record yet; false where there is one. Never half-written. */
export function publishRecord(path: string, record: LockRecord): boolean {
  return putRecord(path, record, (aside) => {
    try {
      linkSync(aside, path);
      return true;
    } catch (error) {
      if (systemErrorCode(error) === "EEXIST") return false;
      throw error;
    } finally {
      removeFile(aside);
    }
  });
}

/** Replaces whatever record there is. */
export function replaceRecord(path: string, record: LockRecord): void {
  putRecord(path, record, (aside) => {
    renameSync(aside, path);
    return true;
  });
}

/** Removes the record if it carries this nonce. */
export function removeRecord(path: string, nonce: string): void {
  const found = readRecord(path);
  if (found.kind === "ours" && found.record.nonce === nonce) removeFile(path);
}

function putRecord(path: string, record: LockRecord, place: (aside: string) => boolean): boolean {
  const aside = asidePath(path);
  try {
    writeNew(aside, `${JSON.stringify(record, undefined, 2)}\n`, { durable: false, mode: 0o666 });
    return place(aside);
  } catch (error) {
    removeQuietly(aside);
    throw storeError(error, "the lock record", path);
  }
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
  isStale(found: Extract<FoundRecord, { text: string }>): boolean {
    const now = this.#clock.monotonic();
    if (found.text !== this.#text) {
      this.#text = found.text;
      this.#unchangedSince = now;
      return false;
    }
    const ttl = found.kind === "foreign" ? Math.min(Math.max(found.record.ttlMs, 1000), 10 * 60_000) : recordTtlMs;
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
  };
}
