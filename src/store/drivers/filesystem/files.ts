/** Bytes of a datastore in a folder. What becomes visible does so by one rename; what says "durable" has been synced. */
import {
  close,
  closeSync,
  createReadStream,
  existsSync,
  fsync,
  lstatSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
} from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { FenError, storeError, systemErrorCode } from "../../../kernel/errors.ts";
import {
  isAbsence,
  makeFolder,
  openInMadeFolder,
  readBytes,
  syncFolder,
  writeAll,
  writeFileAtomicSync,
} from "../../../kernel/files.ts";
import { compareCodePoints } from "../../../kernel/order.ts";
import { resolveInside } from "../../../kernel/paths.ts";
import type { Appender, Entry, FileInfo, Files } from "../../contract.ts";

const chunkBytes = 64 * 1024;

export class FilesystemFiles implements Files {
  readonly #root: string;
  #realRoot: string | undefined;

  /** `root` is absolute; it is made when something is first written. */
  constructor(root: string) {
    this.#root = root;
  }

  async read(path: string, options: { readonly maxBytes: number }): Promise<Uint8Array | undefined> {
    return readBytes(this.#inside(path), options.maxBytes);
  }

  async *stream(path: string, options: { readonly start?: number } = {}): AsyncIterable<Uint8Array> {
    const full = this.#inside(path);
    try {
      yield* createReadStream(full, { start: options.start ?? 0, highWaterMark: chunkBytes });
    } catch (error) {
      throw storeError(error, "the file", full);
    }
  }

  async list(path: string): Promise<readonly Entry[]> {
    const full = this.#inside(path);
    try {
      const entries = readdirSync(full, { withFileTypes: true });
      return entries
        .map((entry) => ({ name: entry.name, kind: kindOf(entry) }))
        .sort((a, b) => compareCodePoints(a.name, b.name));
    } catch (error) {
      if (isAbsence(error)) return [];
      throw storeError(error, "the folder", full);
    }
  }

  async stat(path: string): Promise<FileInfo | undefined> {
    const full = this.#inside(path);
    try {
      const info = lstatSync(full);
      const kind = kindOf(info);
      return { size: info.size, modifiedAt: info.mtimeMs, kind: kind === "link" ? "other" : kind };
    } catch (error) {
      if (isAbsence(error)) return undefined;
      throw storeError(error, "the file", full);
    }
  }

  async write(path: string, bytes: Uint8Array | string, options: { readonly durable?: boolean } = {}): Promise<void> {
    writeFileAtomicSync(this.#inside(path), bytes, options);
  }

  async create(path: string): Promise<Appender> {
    const full = this.#inside(path);
    try {
      return new FileAppender(openInMadeFolder(full, "wx"), full);
    } catch (error) {
      throw storeError(error, "the file", full);
    }
  }

  async adopt(from: string, to: string): Promise<boolean> {
    const source = this.#inside(from);
    const target = this.#inside(to);
    if (existsSync(target)) return false;
    try {
      makeFolder(dirname(target));
      syncFolder(source);
      renameSync(source, target);
      syncFolder(dirname(target));
      return true;
    } catch (error) {
      if (["ENOTEMPTY", "EEXIST"].includes(systemErrorCode(error) ?? "")) return false;
      throw storeError(error, "the folder", target);
    }
  }

  async remove(path: string): Promise<boolean> {
    const full = this.#inside(path);
    if (full === this.#root)
      throw new FenError("path_escapes", "A whole datastore is never removed.", {
        hint: "Name something inside of it.",
      });
    try {
      lstatSync(full);
      rmSync(full, { recursive: true });
      return true;
    } catch (error) {
      if (isAbsence(error)) return false;
      throw storeError(error, "the file", full);
    }
  }

  locate(path: string): string {
    return resolveInside(this.#root, path);
  }

  /** The absolute path; refuses one that leads out of the datastore, also through a link in a folder on the way. */
  #inside(path: string): string {
    const full = resolveInside(this.#root, path);
    if (full === this.#root) return full;
    const realRoot = this.#findRealRoot();
    const folder = realRoot === undefined ? undefined : nearestReal(dirname(full));
    if (realRoot !== undefined && folder !== undefined && !isWithin(realRoot, folder)) {
      throw new FenError("path_escapes", `A link leads out of the datastore: ${full}`, {
        hint: `Replace the link by a folder, or point the datastore at its target. The link leads to ${folder}.`,
        facts: { path: full },
      });
    }
    return full;
  }

  #findRealRoot(): string | undefined {
    this.#realRoot ??= realpathIfThere(this.#root);
    return this.#realRoot;
  }
}

class FileAppender implements Appender {
  readonly #path: string;
  readonly #fd: number;
  #size = 0;
  #closed = false;

  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
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

interface Kinds {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

function kindOf(entry: Kinds): Entry["kind"] {
  if (entry.isFile()) return "file";
  if (entry.isDirectory()) return "folder";
  return entry.isSymbolicLink() ? "link" : "other";
}

function realpathIfThere(path: string): string | undefined {
  try {
    return realpathSync.native(path);
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw storeError(error, "the folder", path);
  }
}

/** The real path of the nearest folder above that exists. */
function nearestReal(path: string): string | undefined {
  const real = realpathIfThere(path);
  if (real !== undefined || dirname(path) === path) return real;
  const above = nearestReal(dirname(path));
  return above === undefined ? undefined : join(above, path.slice(dirname(path).length));
}

function isWithin(root: string, path: string): boolean {
  const rest = relative(root, path);
  return rest !== ".." && !rest.startsWith(`..${sep}`);
}
