/** A disk of 400 KiB, which can be filled to the last byte. Takes root. */
import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";

export class SmallDisk implements Disposable {
  readonly path: string;
  readonly #ballast: number;

  constructor(path: string) {
    this.path = path;
    mkdirSync(path);
    shell('mount -t tmpfs -o size=400k,nr_inodes=300 tmpfs "$0"', path);
    this.#ballast = openSync(join(path, "ballast"), "w");
  }

  fill(): void {
    const chunk = Buffer.alloc(4096);
    try {
      for (;;) writeSync(this.#ballast, chunk);
    } catch {
      // Full.
    }
  }

  empty(): void {
    ftruncateSync(this.#ballast, 0);
  }

  [Symbol.dispose](): void {
    closeSync(this.#ballast);
    shell('umount -l "$0"', this.path);
  }
}

function shell(script: string, path: string): void {
  const done = spawnSync("sh", ["-c", script, path], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`a small disk takes root: ${done.stderr}`);
}
