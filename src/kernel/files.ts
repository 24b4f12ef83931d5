/** Whole files, written at once or not at all, and read with a limit. For the files that live in git and for drivers. */
import {
  close,
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  fsync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  statSync,
  unlink,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { FenError, storeError, systemErrorCode } from "./errors.ts";
import { inFolder } from "./paths.ts";
import { likelyUuid } from "./random.ts";
import { all } from "./several.ts";

export interface WriteOptions {
  /** Survives a power cut once resolved. Default true. */
  readonly durable?: boolean;
  /** Mode of the new file, lessened by the umask. Default 0o666. */
  readonly mode?: number;
}

/**
 * Readers see the old content or the new, never a part: a temporary file `.<uuid>.tmp` in the same folder is renamed.
 * Makes missing folders. Throws `disk_full`, `not_writable` or `store_unavailable`; then nothing has changed.
 */
export async function writeFileAtomic(
  path: string,
  bytes: Uint8Array | string,
  options: WriteOptions = {},
): Promise<void> {
  if (options.durable === false) return writeFileAtomicSync(path, bytes, options);
  const aside = asidePath(path);
  try {
    const fd = openInMadeFolder(aside, "wx", { durable: true, mode: options.mode ?? 0o666 });
    try {
      writeAll(fd, bytes);
      await syncDescriptor(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(aside, path);
    await syncAll([dirname(path)]);
  } catch (error) {
    removeQuietly(aside);
    throw storeError(error, "the file", path);
  }
}

/** A name for a temporary file in the same folder, never used before. It needn't be hard to guess: who makes the file demands that there is none. */
export function asidePath(path: string): string {
  return inFolder(dirname(path), `.${likelyUuid()}.tmp`);
}

/** As `writeFileAtomic`, without leaving the current turn of the event loop (small files: locks, records). */
export function writeFileAtomicSync(path: string, bytes: Uint8Array | string, options: WriteOptions = {}): void {
  const durable = options.durable ?? true;
  const aside = asidePath(path);
  try {
    writeNew(aside, bytes, { durable, mode: options.mode ?? 0o666 });
    renameSync(aside, path);
    if (durable) syncFolder(dirname(path));
  } catch (error) {
    removeQuietly(aside);
    throw storeError(error, "the file", path);
  }
}

/** Writes a new file in one go; fails where one exists. Makes missing folders. Throws system errors as they are. */
export function writeNew(path: string, bytes: Uint8Array | string, options: Required<WriteOptions>): void {
  const fd = openInMadeFolder(path, "wx", options);
  try {
    writeAll(fd, bytes);
    if (options.durable) fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Opens a file, making its folders where they are missing (durably if asked). Throws system errors as they are. */
export function openInMadeFolder(path: string, flags: string, options: WriteOptions = {}): number {
  for (let attempt = 1; ; attempt++) {
    try {
      return openSync(path, flags, options.mode ?? 0o666);
    } catch (error) {
      // A folder that is empty may be removed by others between our making it and our using it: try again.
      if (systemErrorCode(error) !== "ENOENT" || attempt > 20) throw error;
      makeFolder(dirname(path), { durable: options.durable ?? false });
    }
  }
}

/** Makes a folder and those above it; the new names are durable unless told otherwise. */
export function makeFolder(path: string, options: { readonly durable?: boolean } = {}): void {
  const first = makeMissing(path);
  if (first === undefined || options.durable === false) return;
  for (let folder = path; folder.length >= first.length; folder = dirname(folder)) syncFolder(dirname(folder));
}

/**
 * As `mkdirSync` with `recursive`: gives the first folder that it made. That one never ends where the system makes no folders (/proc), and says ENOENT where the true
 * answer is that the filesystem is read-only.
 */
export function makeMissing(path: string): string | undefined {
  if (madeNow(path, { mayMissAbove: true })) return path;
  if (isFolder(path)) return undefined;
  const above = makeMissing(dirname(path));
  return madeNow(path, { mayMissAbove: false }) ? (above ?? path) : above; // or somebody else has made it
}

/** False where it is there, or where the one above may be missing; throws what else keeps it from being made. */
function madeNow(path: string, { mayMissAbove }: { readonly mayMissAbove: boolean }): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    const isForAbove = mayMissAbove && systemErrorCode(error) === "ENOENT" && dirname(path) !== path;
    if (isForAbove || isFolder(path)) return false;
    throw error;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Writes all bytes at the current position, however many calls that takes. */
export function writeAll(fd: number, bytes: Uint8Array | string): void {
  const data = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
  for (let at = 0; at < data.length;) at += writeSync(fd, data, at, data.length - at);
}

/** Makes files and folders durable, all at the same time: together that costs little more than one of them. */
export async function syncAll(paths: Iterable<string>): Promise<void> {
  await all([...paths].map(syncOne));
}

async function syncOne(path: string): Promise<void> {
  const fd = openSync(path, "r");
  try {
    await syncDescriptor(fd);
  } catch (error) {
    if (!(isUnsyncable(error) && fstatSync(fd).isDirectory())) throw error;
  } finally {
    closeSync(fd);
  }
}

/** In another thread: the event loop goes on meanwhile. */
function syncDescriptor(fd: number): Promise<void> {
  return new Promise((resolve, reject) => fsync(fd, (error) => (error === null ? resolve() : reject(error))));
}

/** Some filesystems refuse to sync folders, with one of these; their names are then as durable as they can be. */
export const unsyncableFolder: readonly string[] = ["EINVAL", "EPERM", "EISDIR", "ENOTSUP", "EBADF"];

function isUnsyncable(error: unknown): boolean {
  return unsyncableFolder.includes(systemErrorCode(error) ?? "");
}

/** Makes the names in a folder durable. Does nothing where the system can't (Windows). */
export function syncFolder(path: string): void {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    // A folder that may be written but not read, or that is gone, can't be synced; the file itself is.
    if (["EACCES", "EPERM", "EISDIR", "ENOENT"].includes(systemErrorCode(error) ?? "")) return;
    throw error;
  }
  try {
    fsyncSync(fd);
  } catch (error) {
    if (!isUnsyncable(error)) throw error;
  } finally {
    closeSync(fd);
  }
}

/** Removes a file, or a folder with all that is in it; false where there was nothing. Links are not followed. Failures are thrown as they are. */
export function removeTree(path: string): boolean {
  const info = lstatSync(path, { throwIfNoEntry: false });
  if (info === undefined) return false;
  if (!info.isDirectory()) return removeFile(path);
  for (;;) {
    try {
      for (const entry of listFolder(path)) {
        const inside = inFolder(path, entry.name);
        if (entry.isDirectory()) removeTree(inside);
        else removeFile(inside);
      }
      rmdirSync(path);
      return true;
    } catch (error) {
      if (isAbsence(error)) return true;
      // Somebody has put something into it meanwhile: that goes too.
      if (!["ENOTEMPTY", "EEXIST"].includes(systemErrorCode(error) ?? "")) throw error;
    }
  }
}

/** What is in a folder. Where the filesystem doesn't say what an entry is, it is looked at; one that goes meanwhile must not look as if the folder had gone. */
export function listFolder(path: string): Dirent[] {
  for (;;) {
    try {
      return readdirSync(path, { withFileTypes: true });
    } catch (error) {
      if (!isAbsence(error) || lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
    }
  }
}

/** In other threads; names that aren't there are passed over. Resolves when all are gone; rejects with the first failure, as the system tells it. */
export async function closeThenRemove(fd: number, paths: readonly string[]): Promise<void> {
  await new Promise((resolve) => close(fd, resolve));
  await all(
    paths.map(
      (path) =>
        new Promise<void>((resolve, reject) =>
          unlink(path, (error) => (error === null || isAbsence(error) ? resolve() : reject(error))),
        ),
    ),
  );
}

/** Removes a file; true where there was one. Other failures are thrown as they are. */
export function removeFile(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    if (isAbsence(error)) return false;
    throw error;
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // The temporary file was never made, or the disk fails: the first error is the one to tell.
  }
}

/** True where nothing was written: no byte, or zeros alone. So a power cut leaves a file whose content hadn't reached the disk when its name had. */
export function isUnwritten(content: Uint8Array | string): boolean {
  return typeof content === "string" ? /^\0*$/.test(content) : content.every((byte) => byte === 0);
}

/** True for the two codes that mean "there is nothing of that name". */
export function isAbsence(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === "ENOENT" || code === "ENOTDIR";
}

export interface ReadOptions {
  /** The file is one that a person named: it may be a pipe, as of `<(command)`. */
  readonly orPipe?: boolean;
}

export interface OpenFile {
  readonly fd: number;
  readonly size: number;
}

/** For reading. */
export const openToRead = (path: string): OpenFile => openRegular(path, constants.O_RDONLY);

/** A file that is there. A pipe, a socket or a device, which may keep one waiting for ever, is refused; other failures are thrown as they are. */
export function openRegular(path: string, flags: number): OpenFile {
  let fd: number | undefined;
  try {
    // To open a pipe that nobody else has open takes for ever otherwise.
    fd = openSync(path, flags | (constants.O_NONBLOCK ?? 0));
    const info = fstatSync(fd);
    if (!info.isFile() && !info.isDirectory()) throw notRegular(path);
    return { fd, size: info.size };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw systemErrorCode(error) === "ENXIO" ? notRegular(path) : error; // so a socket answers, and to a writer a pipe that nobody reads
  }
}

function openPipeOrFile(path: string): OpenFile {
  const fd = openSync(path, "r");
  return { fd, size: fstatSync(fd).size };
}

/** The bytes of a file, or undefined where there is none. Larger than `maxBytes`: `file_too_large`. A pipe or a device, which may never end, is refused. */
export async function readBytes(
  path: string,
  maxBytes: number,
  options: ReadOptions = {},
): Promise<Uint8Array | undefined> {
  return readBytesNow(path, maxBytes, options);
}

/** As `readBytes`. At once: these files are small, and the way through other threads costs more than reading them. */
export function readBytesNow(path: string, maxBytes: number, options: ReadOptions = {}): Uint8Array | undefined {
  let fd: number | undefined;
  try {
    const opened = options.orPipe === true ? openPipeOrFile(path) : openToRead(path);
    fd = opened.fd;
    if (opened.size > maxBytes) throw tooLarge(path, `${opened.size} bytes`, maxBytes);
    return readAll(fd, path, { expected: opened.size, maxBytes });
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw storeError(error, "the file", path);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** As `readBytes`, decoded as UTF-8 without a byte order mark. Bytes that aren't UTF-8 become U+FFFD. */
export async function readTextFile(
  path: string,
  maxBytes: number,
  options: ReadOptions = {},
): Promise<string | undefined> {
  const bytes = await readBytes(path, maxBytes, options);
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

/** As much as the size says, or to the end: a pipe or a device says 0 and may never end. */
function readAll(
  fd: number,
  path: string,
  limits: { readonly expected: number; readonly maxBytes: number },
): Uint8Array {
  let bytes = Buffer.allocUnsafe(limits.expected > 0 ? limits.expected : 4096);
  let length = 0;
  for (;;) {
    const bytesRead = readSync(fd, bytes, length, bytes.length - length, null);
    if (bytesRead === 0) return bytes.subarray(0, length);
    length += bytesRead;
    if (length === limits.expected) return bytes.subarray(0, length);
    if (length > limits.maxBytes) throw tooLarge(path, `more than ${limits.maxBytes} bytes`, limits.maxBytes);
    if (length === bytes.length) bytes = Buffer.concat([bytes], Math.min(bytes.length * 2, limits.maxBytes + 1));
  }
}

function notRegular(path: string): FenError {
  return new FenError("store_unavailable", `Can't use the file: ${path} (it is a pipe, a socket or a device)`, {
    remedy: "Look at it with ls -l and move it away",
    facts: { path },
  });
}

/** `size` in words. */
export function tooLarge(path: string, size: string, maxBytes: number): FenError {
  return new FenError("file_too_large", `The file is too large: ${path} has ${size}, the limit is ${maxBytes}.`, {
    hint: "Is it the right file? Large content belongs into data, not here.",
    facts: { path, maxBytes },
  });
}
