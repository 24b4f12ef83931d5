/** One disk, made durable as a whole for everybody who asks at the same time: quicker than file by file even for a few, as long as little waits to be written there. */
import type * as fs from "node:fs";

type Node = Pick<typeof fs, "fsync" | "openSync" | "readFileSync">;

/** `syncfs(2)`, in another thread. */
export type SyncDisk = (descriptor: number, done: (error: unknown, result: number) => void) => void;

/** Its code is given to a thread as text: nothing outside of the class can be used. */
export class QuickDisk {
  /** It also waits for what others have written: more than this is not for us to wait for. */
  readonly #mostWaiting = 32 * 1024 * 1024;
  readonly #node: Node;
  readonly #syncDisk: SyncDisk;
  /** What goes wrong after it was opened is told by it. */
  readonly #fd: number;
  #underWay: Promise<unknown> = Promise.resolve();
  #next: Promise<boolean> | undefined;
  #isPossible = true;

  /** `folder`: on the disk. Of a disk whose `syncfs` says what could not be written. Throws as the system does. */
  constructor(node: Node, syncDisk: SyncDisk, folder: string) {
    this.#node = node;
    this.#syncDisk = syncDisk;
    this.#fd = node.openSync(folder, "r");
  }

  /** True once everything that was written there before survives a power cut, contents and names; false where that isn't known: then each file is to be asked for. */
  async sync(): Promise<boolean> {
    return this.#isPossible && (this.#next ??= this.#after(this.#underWay));
  }

  /** What is under way may have passed by what was written since it began. */
  async #after(underWay: Promise<unknown>): Promise<boolean> {
    await underWay;
    this.#next = undefined;
    if (this.#isBusy()) return false;
    const now = this.#now();
    this.#underWay = now;
    return now;
  }

  #now(): Promise<boolean> {
    return new Promise((resolve) =>
      this.#syncDisk(this.#fd, (error, result) => {
        // What went wrong is told once only: from then on each file is asked for by itself.
        this.#isPossible &&= (error === null || error === undefined) && result === 0;
        // Some filesystems tell the disk to empty its own memory before they have written the names.
        if (this.#isPossible) this.#node.fsync(this.#fd, (failure) => resolve(failure === null));
        else resolve(false);
      }),
    );
  }

  /** Whether much waits to be written, to whatever disk. */
  #isBusy(): boolean {
    try {
      const text = this.#node.readFileSync("/proc/meminfo", "latin1");
      let bytes = 0;
      for (const [, kilobytes] of text.matchAll(/^(?:Dirty|Writeback): +(\d+) kB$/gm))
        bytes += Number(kilobytes) * 1024;
      return bytes > this.#mostWaiting;
    } catch {
      return true; // nobody knows
    }
  }
}
