/** Small files that are changed where they are. Making a new file and putting it in the place of the old makes some filesystems write to the disk, and wait. */
import { closeSync, constants, lstatSync, openSync, readSync, writeSync } from "node:fs";
import { DiskSteps } from "../../../kernel/disk-steps.ts";

const node = { closeSync, constants, lstatSync, openSync, readSync, writeSync };

/** False where the new content doesn't differ from the old in the last byte only, or where that can't be told: nothing has changed then. */
export function changeLastByte(path: string, bytes: Uint8Array | string): boolean {
  return DiskSteps.changeLastByte(node, path, Buffer.from(bytes));
}
