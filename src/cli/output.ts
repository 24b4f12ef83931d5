/** Standard output and error, written straight to the descriptor: Node's streams for them take longer to load than a short command runs. */
import { fstatSync, statSync, writeSync } from "node:fs";
import { systemErrorCode } from "../kernel/errors.ts";

/** True for a terminal. Asked of the descriptor first: most are none, and that is known without loading anything. */
export function isTerminal(fd: 0 | 1 | 2): boolean {
  try {
    const info = fstatSync(fd);
    if (!info.isCharacterDevice() || info.rdev === statSync("/dev/null", { throwIfNoEntry: false })?.rdev) return false;
    return process.getBuiltinModule("node:tty").isatty(fd);
  } catch {
    return false; // closed
  }
}

const nobodyReads = ["EPIPE", "EBADF"];

/**
 * One of the two. A reader that has seen enough closes the pipe: that ends the printing, not the work. Where a write would block
 * (the pipe is somebody's who doesn't want to wait), and where it was asked for, Node's stream does the rest.
 */
export class Output {
  readonly #fd: 1 | 2;
  #stream: NodeJS.WriteStream | undefined;
  #failure: unknown;
  #isUnread = false;

  constructor(fd: 1 | 2) {
    this.#fd = fd;
  }

  write(text: string): void {
    if (this.#isUnread) return; // each further try would cost an exception: a command that prints much would crawl
    if (this.#stream !== undefined || process.platform === "win32") return void this.stream.write(text);
    this.#writeNow(Buffer.from(text));
  }

  /** Bytes as they are; waits where the reader is slow. False where no more can be written. */
  async writeSlowly(bytes: Uint8Array): Promise<boolean> {
    if (this.#stream === undefined && fstatSync(this.#fd).isFile()) this.#writeNow(bytes);
    else if (!this.stream.destroyed) await new Promise<void>((done) => this.stream.write(bytes, () => done()));
    return this.#failure === undefined && !this.#isUnread;
  }

  #writeNow(bytes: Uint8Array): void {
    let at = 0;
    try {
      while (at < bytes.length) at += writeSync(this.#fd, bytes, at);
    } catch (error) {
      if (systemErrorCode(error) === "EAGAIN") this.stream.write(bytes.subarray(at));
      else this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    const code = systemErrorCode(error);
    if (code !== undefined && nobodyReads.includes(code)) this.#isUnread = true;
    else if (code !== undefined) this.#failure ??= error;
  }

  /** What kept something from being written that somebody wanted to read: there is no room, the disk is damaged. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Everything that is written from now on goes through it. */
  get stream(): NodeJS.WriteStream {
    this.#stream ??= (this.#fd === 1 ? process.stdout : process.stderr).on("error", (error) => this.#fail(error));
    return this.#stream;
  }

  /** True where all that was written is on its way. */
  get isFlushed(): boolean {
    return (this.#stream?.writableLength ?? 0) === 0;
  }
}
