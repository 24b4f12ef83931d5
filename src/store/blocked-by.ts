/** Who is in the way, in words: for the one who waits, and for the error of who gave up. */
import { type BlockedBy, type LockRecord, type Resource, resourceKey } from "./contract.ts";

interface Blocked {
  /** What was asked for. */
  readonly resource: Resource;
  readonly by: BlockedBy;
}

/** What is known of whoever is in the way. */
export function recordOf(by: BlockedBy): LockRecord | undefined {
  return by.kind === "unknown" ? undefined : by.record;
}

/** What the one in the way holds, where that isn't what was asked for. */
export function heldElsewhere({ resource, by }: Blocked): string | undefined {
  if ((by.kind !== "holder" && by.kind !== "orphan") || by.resource === undefined) return undefined;
  const key = resourceKey(by.resource);
  return key === resourceKey(resource) ? undefined : key;
}

/** Who has it, at the end of a wait; a holder that died isn't called one who has it. */
export function whoHas(blocked: Blocked): string {
  const { by } = blocked;
  const record = recordOf(by);
  const command = record?.command === undefined ? "" : `, ${record.command}`;
  const who = record === undefined ? "somebody else" : `${record.holder} (pid ${record.pid}${command})`;
  if (by.kind !== "orphan") return `${who} has ${heldElsewhere(blocked) ?? "it"}`;
  return orphaned(blocked, record === undefined ? undefined : who);
}

/** A holder that is dead, and those who work on under its lock. `who`: the holder, where it is known. */
export function orphaned(blocked: Blocked, who: string | undefined): string {
  const { by } = blocked;
  const processes = by.kind === "orphan" ? by.processes : [];
  const what = processes.map(({ pid, command }) => `pid ${pid} (${command})`).join(", ");
  const holds = heldElsewhere(blocked);
  const holder = holds === undefined ? "its holder" : `the holder of ${holds}`;
  const works = what === "" ? "something that it started still works" : `what it started still works: ${what}`;
  return `${holder} is dead, but ${works}${who === undefined ? "" : `; it was ${who}`}`;
}

/** What one can do about it. */
export function remedyOf({ resource, by }: Blocked): string {
  const wait = "Wait longer with --lock-timeout 10m (or forever)";
  if (by.kind !== "orphan" || by.processes.length === 0)
    return `${wait}, or look who holds what: fen datastore lock status`;
  const held = by.resource ?? resource;
  const model = held.kind === "model" ? ` --model ${held.type}/${held.id}` : "";
  const pids = by.processes.map(({ pid }) => pid).join(" ");
  return `${wait}, or end what it started (kill ${pids}), or take the lock away: fen datastore lock release --force${model}`;
}
