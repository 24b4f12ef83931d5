/**
 * A folder for what a bench makes. Without a journal, ext4 passes over every inode that was deleted within the last minutes when it makes a file: a turn would
 * pay for the turns before it, and for the temporary files of whatever it is compared with. So each folder in it gets a region of the disk of its own, where
 * the system can do that.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export function scratchFolder(prefix) {
  const path = mkdtempSync(join(tmpdir(), prefix));
  spawnSync("chattr", ["+T", path], { stdio: "ignore" });
  return path;
}
