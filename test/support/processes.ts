/** Processes that a test started. */
import type { ChildProcess } from "node:child_process";

/** True once it is known to have ended: from then on its number may be another process's, and must not be signalled. */
export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
