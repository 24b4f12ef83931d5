/**
 * What a caller says that it handed down. The words (an environment variable) prove nothing: what counts is the descriptor that carries the
 * kernel lock, and the live ticket of its holder. A copy of the words in another process has neither.
 */
import { fstatSync } from "node:fs";
import { systemErrorCode } from "../../../kernel/errors.ts";
import type { Holding, Inherited } from "../../contract.ts";
import type { LockFolder } from "./lock-folder.ts";
import { slotOf } from "./lock-table.ts";
import { isAncestor } from "./processes.ts";

export function checkInherited(folder: LockFolder, said: readonly Holding[]): Inherited {
  const holdings: Holding[] = [];
  const unshared: Holding[] = [];
  for (const holding of said) {
    const carries = carriesLock(folder, holding);
    const isLive = folder.queue(slotOf(holding)).isHeldBy(holding.nonce);
    if (carries && isLive) holdings.push(holding);
    // Its holder died and only we still keep the lock; or a program between dropped the descriptor: waiting for it would be for ever.
    else if (carries || (isLive && isAncestor(holding.pid, folder.machine.host.pid))) unshared.push(holding);
  }
  return { holdings, unshared };
}

/** True where the descriptor is one of the lock table, and the lock is held through it and not through another. */
function carriesLock(folder: LockFolder, { descriptor, mode, ...holding }: Holding): boolean {
  const { table } = folder;
  if (descriptor === undefined || !isOpen(descriptor) || !table.isCurrent(descriptor)) return false;
  const ranges = table.ranges({ resource: holding.resource, under: holding.under });
  // Held by somebody, and yet no obstacle to this descriptor: then it is this one's.
  return table.isLocked(ranges) && table.tryLock(descriptor, ranges, mode);
}

function isOpen(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isFile();
  } catch (error) {
    if (systemErrorCode(error) === "EBADF") return false;
    throw error;
  }
}
