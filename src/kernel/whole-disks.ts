/**
 * Makes everything that was written to a disk durable by one call of `syncfs(2)`: for ten thousand small files a fortieth of the time that an `fsync` of each
 * takes. It also waits for what others have written there.
 */
import { closeSync, existsSync, fstatSync, openSync } from "node:fs";
import { release } from "node:os";
import { dirname } from "node:path";
import { callInThread, CLibrary, koffiPath } from "./c-library.ts";

/** Older kernels don't tell by `syncfs` that something could not be written (syncfs(2)). */
const firstHonest = [5, 8] as const;

export class WholeDisks {
  readonly #library: Pick<CLibrary<"syncfs">, "functions">;
  readonly #isTrusted: (folder: string) => boolean;
  readonly #folders = new Set<string>();
  /** A descriptor on each disk. What goes wrong after it was opened is told by it. */
  readonly #descriptors = new Map<number, number>();
  #isPossible = true;

  /** `isTrusted`: whether a folder is on a disk whose `syncfs` keeps its promise. */
  constructor(library: Pick<CLibrary<"syncfs">, "functions">, isTrusted: (folder: string) => boolean) {
    this.#library = library;
    this.#isTrusted = isTrusted;
  }

  /** Undefined where the system has no such call, or one that doesn't say what went wrong. */
  static load(isTrusted: (folder: string) => boolean, kernel: string = release()): WholeDisks | undefined {
    if (process.platform !== "linux" || isOlder(kernel)) return undefined;
    try {
      return new WholeDisks(new CLibrary({ syncfs: declaration }), isTrusted);
    } catch {
      return undefined; // another processor, another C library, or a package that was left out
    }
  }

  /** What another thread needs for a `QuickDisk` of a folder; undefined where nobody trusts the disk to say what went wrong. */
  quickParts(folder: string): QuickDiskParts | undefined {
    return this.#isTrusted(folder) ? { folder, library: koffiPath(), declaration } : undefined;
  }

  /** Before something is written to the folder: a disk says only what has gone wrong since. False where `sync` won't do for it. */
  add(folder: string): boolean {
    if (!this.#isPossible || this.#folders.has(folder)) return this.#isPossible;
    this.#folders.add(folder);
    let there = folder; // one that is made later will be on the same disk
    while (!existsSync(there)) there = dirname(there);
    this.#isPossible = this.#isTrusted(there) && this.#open(there);
    return this.#isPossible;
  }

  #open(folder: string): boolean {
    let fd: number | undefined;
    try {
      fd = openSync(folder, "r");
      const { dev } = fstatSync(fd);
      if (this.#descriptors.has(dev)) closeSync(fd);
      else this.#descriptors.set(dev, fd);
      return true;
    } catch {
      if (fd !== undefined) closeSync(fd);
      return false;
    }
  }

  /** True once everything that was written to the folders survives a power cut, contents and names; false where that isn't known. */
  async sync(): Promise<boolean> {
    if (!this.#isPossible) return false;
    const calls = [...this.#descriptors.values()].map((fd) => callInThread(this.#library.functions.syncfs, fd));
    const results = await Promise.all(calls).catch(() => [-1]);
    // What went wrong is told once only: from then on each file is asked for by itself.
    this.#isPossible = results.every((result) => result === 0);
    return this.#isPossible;
  }
}

export interface QuickDiskParts {
  readonly folder: string;
  /** Path of koffi's library. */
  readonly library: string;
  readonly declaration: string;
}

const declaration = "int syncfs(int fd)";

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  const [least, leastMinor] = firstHonest;
  return major < least || (major === least && minor < leastMinor);
}
