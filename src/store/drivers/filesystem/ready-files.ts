/** Empty files that were made before anybody asked for them: to make one takes ten times as long as to write it. */
import { closeSync, fstatSync, lstatSync } from "node:fs";
import { behindFolder } from "../../../kernel/paths.ts";

export class ReadyFiles {
  readonly #open = new Map<string, number>();

  /** `fd` is ours to close from then on. */
  add(path: string, fd: number): void {
    this.#open.set(path, fd);
  }

  /** Its descriptor, for who asks first; that one closes it. `gone`: it is no longer at its place, or is written into by somebody. */
  take(path: string): number | "gone" | undefined {
    const fd = this.#open.get(path);
    if (fd === undefined) return undefined;
    this.#open.delete(path);
    const [ours, there] = [fstatSync(fd), lstatSync(path, { throwIfNoEntry: false })];
    if (ours.ino === there?.ino && ours.dev === there.dev && there.size === 0) return fd;
    closeSync(fd);
    return "gone";
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
