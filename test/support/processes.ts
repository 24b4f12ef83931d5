/** Processes that a test started. */
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";

/** True once it is known to have ended: from then on its number may be another process's, and must not be signalled. */
export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** True while a process works: one that has ended and that nobody has asked for yet (a zombie) doesn't. */
export function isAtWork(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
