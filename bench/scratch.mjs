/**
 * Without a journal, ext4 passes over every inode that was deleted within the last minutes when it makes a file, and a bench would measure what was deleted
 * before it: by its turns, by GNU parallel, by a build. So each folder of a bench gets a region of the disk of its own, and what was deleted before can be
 * forgotten (the kernel only looks where it has the inodes in memory). Where the system can't do that, or doesn't let us, it isn't done.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder for what a bench makes. */
export function scratchFolder(prefix) {
  const path = mkdtempSync(join(tmpdir(), prefix));
  spawnSync("chattr", ["+T", path], { stdio: "ignore" });
  forgetDeleted();
  return path;
}

/** What was read before is forgotten, too: read it again before anything is measured. */
export function forgetDeleted() {
  spawnSync("sync");
  try {
    writeFileSync("/proc/sys/vm/drop_caches", "1");
  } catch {
    // Not Linux, or not root.
  }
}
