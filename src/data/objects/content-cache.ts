/** Content by its hash, in a folder of this machine that any number of processes share. Nothing in it is ever wrong, only absent; it may be removed at any time. */
import { createReadStream, existsSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { storeError } from "../../kernel/errors.ts";
import { makeFolder, readBytes } from "../../kernel/files.ts";

export class ContentCache {
  readonly #root: string;

  /** `root`: absolute; made when something is first kept. */
  constructor(root: string) {
    this.#root = root;
  }

  /** Where content of that hash is, or would be. */
  path(sha256: string): string {
    return join(this.#root, sha256.slice(0, 2), sha256);
  }

  has(sha256: string): boolean {
    return existsSync(this.path(sha256));
  }

  async read(sha256: string, maxBytes: number): Promise<Uint8Array | undefined> {
    return readBytes(this.path(sha256), maxBytes);
  }

  /** Throws where it isn't there. */
  async *stream(sha256: string): AsyncIterable<Uint8Array> {
    try {
      yield* createReadStream(this.path(sha256));
    } catch (error) {
      throw storeError(error, "the cached content", this.path(sha256));
    }
  }

  /** Takes a file that is complete. Where that can't be (another filesystem, a full disk) nothing is kept, and nothing is lost. */
  take(file: string, sha256: string): void {
    try {
      makeFolder(dirname(this.path(sha256)), { durable: false });
      renameSync(file, this.path(sha256));
    } catch {
      // It is fetched when it is needed.
    }
  }
}
