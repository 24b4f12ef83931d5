/**
 * Wait cycles among commands that don't know of each other: one waits for a lock whose holder waits, by a command that it called, for a lock that the first
 * one's caller holds. Pure: looks at a table of what is held and awaited.
 *
 * A wait leads to those who are in its way; one who is, leads to all waits of the same owner and of those who work within its locks.
 */
import { type HeldLock, type LockTable, resourceKey, type WaitingLock } from "../store/contract.ts";

export interface WaitCycle {
  /** The waits in it, ours first. */
  readonly waits: readonly WaitingLock[];
  /** The one that gives way: the same for all who look, so only one does. */
  readonly victim: string;
}

/** The shortest cycle through the wait with this nonce, or undefined. */
export function findCycle(table: LockTable, nonce: string): WaitCycle | undefined {
  const own = table.waiting.find((one) => one.record.nonce === nonce);
  if (own === undefined) return undefined;
  const paths: (readonly WaitingLock[])[] = [[own]];
  const visited = new Set<string>();
  for (let path = paths.shift(); path !== undefined; path = paths.shift()) {
    const last = path.at(-1);
    if (last === undefined) continue;
    for (const next of waitsAhead(table, last)) {
      if (next.record.nonce === nonce) return { waits: path, victim: victimOf(path) };
      if (visited.has(next.record.nonce)) continue;
      visited.add(next.record.nonce);
      paths.push([...path, next]);
    }
  }
  return undefined;
}

/** Only those who hold something look for cycles, so one of them must give way. */
function victimOf(waits: readonly WaitingLock[]): string {
  const able = waits.filter((one) => (one.record.within ?? []).length > 0).map((one) => one.record.nonce);
  return able.sort().at(-1) ?? "";
}

/** The waits that must end before this one can. */
function waitsAhead(table: LockTable, wait: WaitingLock): WaitingLock[] {
  const holders = table.held
    .filter((lock) => isInTheWay(lock, wait))
    .flatMap(({ record }) => [record?.nonce, record?.owner].filter((one) => one !== undefined));
  const within = table.waiting.filter((one) => (one.record.within ?? []).some((holder) => holders.includes(holder)));
  // Those who wait for a structural command are no obstacle: who works within a lock passes them (`inTheWay` of the driver's protocol).
  const before = table.waiting.filter(
    (one) => one.place < wait.place && sameLine(one, wait) && !bothShare(one.record.mode, wait.record.mode),
  );
  return [...within, ...before];
}

function isInTheWay(lock: HeldLock, wait: WaitingLock): boolean {
  if (lock.record === undefined || bothShare(lock.record.mode, wait.record.mode)) return false;
  if (lock.under !== undefined || wait.under !== undefined) return sameLine(lock, wait);
  return sameLine(lock, wait) || lock.resource.kind === "datastore" || wait.resource.kind === "datastore";
}

function sameLine(a: HeldLock | WaitingLock, b: HeldLock | WaitingLock): boolean {
  return resourceKey(a.resource) === resourceKey(b.resource) && a.under === b.under;
}

function bothShare(a: string | undefined, b: string | undefined): boolean {
  return a === "shared" && b === "shared";
}
