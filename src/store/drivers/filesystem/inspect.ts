/** Who holds and who waits, read without taking any lock. */
import { join } from "node:path";
import { storeError } from "../../../kernel/errors.ts";
import { isAbsence, listFolder } from "../../../kernel/files.ts";
import {
  type HeldLock,
  type LockTable as Table,
  type Resource,
  resourceKey,
  type WaitingLock,
} from "../../contract.ts";
import type { LockFolder } from "./lock-folder.ts";
import { type FoundRecord, readRecord, recordPath } from "./records.ts";

/** "live": without the walk over all models. One resource: without a look at the others. */
export function inspectLocks(locks: LockFolder, scope: "all" | "live" | Resource): Table {
  const resource = typeof scope === "string" ? undefined : scope;
  const held: HeldLock[] = [];
  const waiting: WaitingLock[] = [];
  const known = new Set<string>();
  const wanted = resource === undefined ? undefined : resourceKey(resource);
  for (const line of locks.queues()) {
    if (wanted === undefined || resourceKey(line.slot.resource) === wanted)
      inspectQueue(locks, line, { held, waiting, known });
  }
  const places =
    resource === undefined
      ? scope === "all"
        ? walkRecords(locks.root)
        : []
      : [{ resource, path: locks.recordPath(resource) }];
  for (const place of places) {
    const found = readRecord(place.path);
    if (found.kind === "absent" || (found.kind === "ours" && known.has(found.record.nonce))) continue;
    held.push(leftBehind(locks, place, found));
  }
  return { held, waiting };
}

type Line = ReturnType<LockFolder["queues"]>[number];

function inspectQueue(
  locks: LockFolder,
  { slot, queue, tickets }: Line,
  into: { readonly held: HeldLock[]; readonly waiting: WaitingLock[]; readonly known: Set<string> },
): void {
  const { resource } = slot;
  const under = slot.under === undefined ? {} : { under: slot.under };
  let place = 0;
  for (const ticket of tickets) {
    const text = queue.isAlive(ticket) ? queue.read(ticket) : undefined;
    if (text === undefined) continue;
    into.known.add(ticket.nonce);
    const { granted, waiting } = text;
    if (granted === undefined) into.waiting.push({ resource, record: waiting, place: ++place, ...under });
    else {
      const processes = [{ pid: granted.pid, command: granted.command ?? "?" }];
      into.held.push({
        resource,
        state: "held",
        record: granted,
        processes,
        path: locks.recordPath(resource),
        ...under,
      });
    }
  }
}

/** A record whose writer has no live ticket. */
function leftBehind(
  locks: LockFolder,
  { resource, path }: RecordPlace,
  found: Exclude<FoundRecord, { kind: "absent" }>,
): HeldLock {
  if (found.kind === "unreadable")
    return { resource, state: locks.isLeftByPowerCut(found) ? "stale" : "unreadable", processes: [], path };
  if (found.kind === "foreign") return { resource, state: "foreign", record: found.record, processes: [], path };
  // Without a mode it only waited: a structural command's announcement.
  const processes = found.record.mode === undefined ? [] : locks.processesHolding(locks.table.ownRanges(resource));
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
    return listFolder(folder)
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (isAbsence(error)) return [];
    throw storeError(error, "the folder", folder);
  }
}
