/** Who holds and who waits, read without taking any lock. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { storeError } from "../../../kernel/errors.ts";
import { isAbsence } from "../../../kernel/files.ts";
import {
  type HeldLock,
  type LockTable as Table,
  type Resource,
  resourceKey,
  type WaitingLock,
} from "../../contract.ts";
import type { LockFolder } from "./lock-folder.ts";
import { type FoundRecord, readRecord, recordPath } from "./records.ts";

export function inspectLocks(locks: LockFolder): Table {
  const held = new Map<string, HeldLock>();
  const waiting: WaitingLock[] = [];
  const known = new Set<string>();
  for (const resource of locks.queuedResources()) inspectQueue(locks, resource, held, waiting, known);
  for (const { resource, path } of walkRecords(locks.root)) {
    const found = readRecord(path);
    if (found.kind === "absent" || (found.kind === "ours" && known.has(found.record.nonce))) continue;
    held.set(`${resourceKey(resource)} record`, leftBehind(locks, resource, path, found));
  }
  return { held: [...held.values()], waiting };
}

function inspectQueue(
  locks: LockFolder,
  resource: Resource,
  held: Map<string, HeldLock>,
  waiting: WaitingLock[],
  known: Set<string>,
): void {
  const queue = locks.queue(resource);
  let place = 0;
  for (const ticket of queue.tickets()) {
    const text = queue.isAlive(ticket) ? queue.read(ticket) : undefined;
    if (text === undefined) continue;
    if (text.granted === undefined) {
      waiting.push({ resource, record: text.waiting, place: ++place });
      continue;
    }
    known.add(ticket.nonce);
    const path = join(locks.root, recordPath(resource));
    held.set(`${resourceKey(resource)} ${ticket.nonce}`, {
      resource,
      state: "held",
      record: text.granted,
      processes: [{ pid: text.granted.pid, command: text.granted.command ?? "?" }],
      path,
    });
  }
}

/** A record whose writer has no live ticket. */
function leftBehind(
  locks: LockFolder,
  resource: Resource,
  path: string,
  found: Exclude<FoundRecord, { kind: "absent" }>,
): HeldLock {
  if (found.kind === "unreadable") return { resource, state: "unreadable", processes: [], path };
  if (found.kind === "foreign") return { resource, state: "foreign", record: found.record, processes: [], path };
  const processes = locks.processesHolding(locks.table.ranges(resource));
  return { resource, state: processes.length > 0 ? "orphaned" : "stale", record: found.record, processes, path };
}

export interface RecordPlace {
  readonly resource: Resource;
  readonly path: string;
}

const uuidShape = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const deepestType = 8;

/** Where records of a datastore are or could be: costs a look per model, not per version of its data. */
export function walkRecords(root: string): RecordPlace[] {
  const places: RecordPlace[] = [
    { resource: { kind: "datastore" }, path: join(root, recordPath({ kind: "datastore" })) },
  ];
  const walk = (segments: readonly string[]): void => {
    for (const name of foldersIn(join(root, "data", ...segments))) {
      if (!uuidShape.test(name)) {
        if (segments.length < deepestType) walk([...segments, name]);
      } else if (segments.length > 0) {
        const resource: Resource = { kind: "model", type: segments.join("/"), id: name };
        places.push({ resource, path: join(root, recordPath(resource)) });
      }
    }
  };
  walk([]);
  return places;
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (isAbsence(error)) return [];
    throw storeError(error, "the folder", folder);
  }
}
