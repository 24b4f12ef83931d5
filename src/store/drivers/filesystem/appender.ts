/** A file that is written front to back. */
import { close, closeSync, fdatasync, fsync } from "node:fs";
import { storeError } from "../../../kernel/errors.ts";
import { syncAll, writeAll } from "../../../kernel/files.ts";
import type { Appender } from "../../contract.ts";

export class FileAppender implements Appender {
  readonly #path: string;
  readonly #fd: number;
  /** Those that make its name durable. */
  readonly #folders: readonly string[];
  #size: number;
  #isNamed = false;
  #closed = false;

  constructor(fd: number, path: string, options: { readonly folders: readonly string[]; readonly size?: number }) {
    this.#fd = fd;
    this.#path = path;
    this.#folders = options.folders;
    this.#size = options.size ?? 0;
  }

  get size(): number {
    return this.#size;
  }

  append(bytes: Uint8Array | string): void {
    const data = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
    try {
      writeAll(this.#fd, data);
    } catch (error) {
      throw storeError(error, "the file", this.#path);
    }
    this.#size += data.length;
  }

  async sync(): Promise<void> {
    // The name once, then only the content.
    const failed = await new Promise<Error | null>((resolve) => fdatasync(this.#fd, resolve));
    if (failed !== null) throw storeError(failed, "the file", this.#path);
    if (this.#isNamed) return;
    await syncAll(this.#folders);
    this.#isNamed = true;
  }

  async close(options: { readonly durable?: boolean } = {}): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (options.durable === false) return closeSync(this.#fd);
    // Gigabytes may be waiting to be synced: that must not stop the event loop.
    const failed = await new Promise<Error | null>((resolve) => fsync(this.#fd, resolve));
    await new Promise((resolve) => close(this.#fd, resolve));
    if (failed !== null) throw storeError(failed, "the file", this.#path);
  }
}
