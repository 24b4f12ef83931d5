/**
 * Content by its hash, in a folder of this machine that any number of processes share. What is read from it is checked: a power cut, a full disk or a hand may have
 * left something else under a name. Whatever isn't as it should be counts as absent; all of it may be removed at any time.
 */
import { accessSync, constants, renameSync, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { storeError } from "../../kernel/errors.ts";
import { makeFolder, readBytes, writeFileAtomicSync } from "../../kernel/files.ts";
import { ContentHash } from "../../kernel/hash.ts";
import { hashOf } from "../brought.ts";

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

  /** Whether there is something of that size (where it is known) under that name. */
  has(sha256: string, size?: number): boolean {
    const found = statSync(this.path(sha256), { throwIfNoEntry: false });
    return found?.isFile() === true && (size === undefined || found.size === size);
  }

  async read(sha256: string, maxBytes: number): Promise<Uint8Array | undefined> {
    const bytes = await readBytes(this.path(sha256), maxBytes).catch(() => undefined); // the store has it
    if (bytes === undefined) return undefined;
    const hash = new ContentHash();
    hash.update(bytes);
    return hash.digest() === sha256 ? bytes : undefined;
  }

  /** Undefined where it isn't there, whole. What was opened can be read to its end, whatever becomes of the cache. */
  async open(sha256: string): Promise<AsyncIterable<Uint8Array> | undefined> {
    let file: FileHandle | undefined;
    try {
      file = await open(this.path(sha256), constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a pipe keeps nobody waiting
      if ((await hashOf(file.createReadStream({ start: 0, autoClose: false }))) === sha256) {
        const whole = bytesOf(file, this.path(sha256));
        file = undefined; // closed by whoever reads it
        return whole;
      }
    } catch {
      // The store has it.
    } finally {
      await file?.close();
    }
    return undefined;
  }

  /** Where content that is fetched may be put; undefined where nothing can be written. */
  room(sha256: string): string | undefined {
    try {
      makeFolder(dirname(this.path(sha256)), { durable: false });
      accessSync(dirname(this.path(sha256)), constants.W_OK);
      const there = statSync(this.path(sha256), { throwIfNoEntry: false });
      return there === undefined || there.isFile() ? this.path(sha256) : undefined;
    } catch {
      return undefined;
    }
  }

  /** Keeps what was read. Where that can't be, nothing is kept, and nothing is lost. */
  keep(bytes: Uint8Array, sha256: string): void {
    try {
      writeFileAtomicSync(this.path(sha256), bytes, { durable: false, mode: 0o600 });
    } catch {
      // It is fetched when it is needed.
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

async function* bytesOf(file: FileHandle, path: string): AsyncIterable<Uint8Array> {
  try {
    yield* file.createReadStream({ start: 0, autoClose: false });
  } catch (error) {
    throw storeError(error, "the cached content", path);
  } finally {
    await file.close();
  }
}
