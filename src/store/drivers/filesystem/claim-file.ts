/** A short exclusive claim on a name, held by a kernel lock on a file: it ends with its process, however that ends. */
import { closeSync, fstatSync, statSync } from "node:fs";
import { openInMadeFolder, removeFile } from "../../../kernel/files.ts";
import type { Machine } from "../../../kernel/machine.ts";
import { KernelLocks } from "./kernel-locks.ts";

const whole = { start: 0, length: 0 };
const retryMs = 5;

/** Resolves when the file at `path` is ours; `release` removes it. */
export async function claimFile(machine: Machine, path: string): Promise<{ release(): void }> {
  const kernel = new KernelLocks(machine.host.platform, machine.host.architecture);
  for (;;) {
    const fd = openInMadeFolder(path, "a+");
    if (
      kernel.tryLock(fd, whole, "exclusive") &&
      statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino
    ) {
      return {
        release: () => {
          removeFile(path); // while it is locked: who opened it meanwhile sees that it is gone
          closeSync(fd);
        },
      };
    }
    closeSync(fd);
    await machine.clock.sleep(retryMs);
  }
}
