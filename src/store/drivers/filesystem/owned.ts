/** Files that tell whether their maker still lives: it holds a kernel lock on them, which ends with its process, however that ends. */
import { close, closeSync, fstatSync } from "node:fs";
import { isAbsence, openInMadeFolder, openToRead, removeFile } from "../../../kernel/files.ts";
import type { Owned } from "../../contract.ts";
import type { KernelLocks } from "./kernel-locks.ts";

const whole = { start: 0, length: 0 };

/** Makes the file and locks it. Children don't inherit it. */
export function ownFile(path: string, kernel: KernelLocks): Owned {
  for (;;) {
    const fd = openInMadeFolder(path, "wx");
    if (kernel.tryLock(fd, whole, "exclusive") && fstatSync(fd).nlink > 0) return letGoOnce(fd, kernel);
    // Somebody looked between our two steps and took it for a dead one's: that file is spent.
    closeSync(fd);
    removeFile(path);
  }
}

/** Closed in the background if not said otherwise: where its folder was removed before, that takes milliseconds, and others wait for us. */
function letGoOnce(fd: number, kernel: KernelLocks): Owned {
  let isHeld = true;
  return {
    letGo: ({ now = false } = {}) => {
      if (!isHeld) return;
      isHeld = false;
      kernel.unlock(fd, whole);
      if (now) closeSync(fd);
      else close(fd, () => undefined);
    },
  };
}

/** Several may look at once, also those who may only read: none of them is taken for an owner. */
export function ownerOf(path: string, kernel: KernelLocks): "alive" | "dead" | "absent" {
  let fd: number;
  try {
    fd = openToRead(path).fd;
  } catch (error) {
    if (isAbsence(error)) return "absent";
    throw error;
  }
  try {
    return kernel.tryLock(fd, whole, "shared") ? "dead" : "alive";
  } finally {
    closeSync(fd);
  }
}
