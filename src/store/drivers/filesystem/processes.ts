/** Which processes hold a range of the lock table, as Linux tells it in /proc. Elsewhere nothing is known. */
import { readdirSync, readFileSync } from "node:fs";
import type { ProcessInfo } from "../../contract.ts";
import type { ByteRange } from "./kernel-locks.ts";

/** Processes with a descriptor that holds a lock in one of `ranges` of the file with this inode. Only those that we may look at. */
export function processesHolding(inode: number, ranges: readonly ByteRange[]): ProcessInfo[] {
  const found: ProcessInfo[] = [];
  for (const pid of numbersIn("/proc")) {
    if (holds(pid, inode, ranges)) found.push({ pid, command: commandOf(pid) });
  }
  return found;
}

function holds(pid: number, inode: number, ranges: readonly ByteRange[]): boolean {
  const folder = `/proc/${pid}/fdinfo`;
  for (const fd of numbersIn(folder)) {
    const text = readQuietly(`${folder}/${fd}`);
    for (const match of text.matchAll(/^lock:.*OFDLCK.*:(\d+) (\d+) (\d+|EOF)$/gm)) {
      const [, lockInode, first, last] = match;
      const start = Number(first);
      const end = last === "EOF" ? Number.MAX_SAFE_INTEGER : Number(last);
      if (Number(lockInode) !== inode) continue;
      if (ranges.some((range) => isInTheWay({ start, end }, range))) return true;
    }
  }
  return false;
}

/** Names this start of the machine; undefined where the system doesn't tell. */
export function readBootId(): string | undefined {
  const id = readQuietly("/proc/sys/kernel/random/boot_id").trim();
  return /^[0-9a-f-]{36}$/.test(id) ? id : undefined;
}

/** True where `pid` is a process above `child`. False where the system doesn't tell. */
export function isAncestor(pid: number, child: number): boolean {
  for (let current = child, depth = 0; current > 1 && depth < 1000; depth++) {
    // pid (name) state ppid ...: the name may hold anything, so count from its end.
    const text = readQuietly(`/proc/${current}/stat`);
    current = Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1] ?? 0);
    if (current === pid) return true;
  }
  return false;
}

/** For the whole range only a lock of more than a byte: those of a byte are models', each with its own holder. */
function isInTheWay(lock: { readonly start: number; readonly end: number }, range: ByteRange): boolean {
  const overlaps = lock.start < range.start + range.length && lock.end >= range.start;
  return overlaps && (range.length === 1 || lock.end > lock.start);
}

/** The program of a process and what it was told to do; "?" where it can't be read. A script may hold secrets, so it isn't shown. */
function commandOf(pid: number): string {
  const [program = "", first = "", ...rest] = readQuietly(`/proc/${pid}/cmdline`).split("\0");
  if (program === "") return "?";
  const words = first === "-c" ? [program, first, "…"] : [program, first, ...rest];
  return words.join(" ").trim().slice(0, 200);
}

function numbersIn(folder: string): number[] {
  try {
    return readdirSync(folder)
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return []; // no /proc here, or a process of another user, or one that just ended
  }
}

function readQuietly(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // the process just ended, or isn't ours to look at
  }
}
