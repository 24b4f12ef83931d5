/** Empty files that were made before anybody asked for them: to make one takes ten times as long as to write it. */
import { closeSync } from "node:fs";
import { behindFolder } from "../../../kernel/paths.ts";

export class ReadyFiles {
  readonly #open = new Map<string, number>();

  /** `fd` is ours to close from then on. */
  add(path: string, fd: number): void {
    this.#open.set(path, fd);
  }

  /** Its descriptor, for who asks first; that one closes it. */
  take(path: string): number | undefined {
    const fd = this.#open.get(path);
    this.#open.delete(path);
    return fd;
  }

  /** A file, or all in a folder: they are about to be removed. */
  forget(path: string): void {
    for (const [file, fd] of this.#open) {
      if (file !== path && behindFolder(path, file) === undefined) continue;
      this.#open.delete(file);
      closeSync(fd);
    }
  }
}
