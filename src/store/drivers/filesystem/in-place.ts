/**
 * A small file whose new content differs from the old in the last byte only, as that of a counter mostly does. One byte is there or it isn't: readers see
 * the old content or the new. Making a new file and putting it in the place of the old makes some filesystems write to the disk, and wait.
 */
import { closeSync, constants, lstatSync, openSync, readSync, writeSync } from "node:fs";

const mostBytes = 16;

/** False where that isn't so, or not possible: nothing has changed then. */
export function changeLastByte(path: string, bytes: Uint8Array | string): boolean {
  const wanted = Buffer.from(bytes);
  const last = wanted.length - 1;
  if (last < 0 || last >= mostBytes || constants.O_NOFOLLOW === undefined) return false;
  const info = lstatSync(path, { throwIfNoEntry: false });
  if (info?.isFile() !== true || info.nlink > 1 || info.size !== wanted.length) return false;
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
    const there = Buffer.alloc(mostBytes + 1);
    const length = readSync(fd, there, 0, there.length, 0);
    if (length !== wanted.length || there.compare(wanted, 0, last, 0, last) !== 0) return false;
    writeSync(fd, wanted, last, 1, last);
    return true;
  } catch {
    return false; // the way by a new file is open, and tells what is wrong
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
