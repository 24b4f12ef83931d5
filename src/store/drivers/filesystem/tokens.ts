/** Fencing tokens: a number per resource that only grows. Written in place (one sector), under the exclusive lock. */
import { closeSync, fdatasyncSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { storeError } from "../../../kernel/errors.ts";
import { openInMadeFolder } from "../../../kernel/files.ts";
import type { Clock } from "../../../kernel/machine.ts";
import type { LockMode, Resource } from "../../contract.ts";
import { folderName } from "./lock-table.ts";

const width = 16;

/** The token of a new grant: the next one for an exclusive lock (durable before it is used), the present one for a shared lock. */
export function takeToken(fenFolder: string, resource: Resource, mode: LockMode, clock: Clock): number {
  const path = join(fenFolder, "tokens", folderName(resource));
  try {
    // "a+" makes the file; writing at a place needs it to be there already.
    closeSync(openInMadeFolder(path, "a"));
    const fd = openInMadeFolder(path, "r+");
    try {
      const last = readNumber(fd, clock);
      if (mode === "shared") return last;
      writeSync(fd, `${String(last + 1).padStart(width, "0")}\n`, 0);
      fdatasyncSync(fd);
      return last + 1;
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw storeError(error, "the fencing token", path);
  }
}

function readNumber(fd: number, clock: Clock): number {
  const buffer = Buffer.alloc(width);
  const length = readSync(fd, buffer, 0, width, 0);
  if (length === 0) return 0;
  const value = Number(buffer.toString("latin1", 0, length));
  // Damaged: go on from the wall clock in milliseconds, which no count of grants reaches.
  return Number.isSafeInteger(value) && value >= 0 ? value : clock.now();
}
