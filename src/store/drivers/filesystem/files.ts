/** Bytes of a datastore in a folder. What becomes visible does so by one rename; what says "durable" has been synced. */
import {
  closeSync,
  constants,
  createReadStream,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  realpathSync,
  renameSync,
  type Stats,
} from "node:fs";
import { dirname, join } from "node:path";
import { DiskThread } from "../../../kernel/disk-thread.ts";
import { FenError, storeError, systemErrorCode } from "../../../kernel/errors.ts";
import {
  isAbsence,
  listFolder,
  makeMissing,
  openInMadeFolder,
  openRegular,
  openToRead,
  asidePath,
  readBytes,
  removeFile,
  removeTree,
  syncFolder,
  writeAll,
  writeFileAtomic,
} from "../../../kernel/files.ts";
import { compareCodePoints } from "../../../kernel/order.ts";
import { behindFolder, inFolder, resolveInside } from "../../../kernel/paths.ts";
import { all } from "../../../kernel/several.ts";
import { WholeDisks } from "../../../kernel/whole-disks.ts";
import type { Appender, Entry, FileInfo, FileStep, LaterFiles, LocalFiles, Owned, StepsDone } from "../../contract.ts";
import { doInOrder } from "../../in-order.ts";
import { FileAppender } from "./appender.ts";
import { DurableNames } from "./durable-names.ts";
import { changeLastByte } from "./in-place.ts";
import type { KernelLocks } from "./kernel-locks.ts";
import { isSyncedAsWhole } from "./mounts.ts";
import { ownerOf, ownFile } from "./owned.ts";
import { ReadyFiles } from "./ready-files.ts";
import { StepsElsewhere, withFolders } from "./steps-elsewhere.ts";
import { Syncs } from "./syncs.ts";

const chunkBytes = 64 * 1024;

export class FilesystemFiles implements LocalFiles {
  readonly #root: string;
  readonly #kernel: () => KernelLocks;
  /** Folders in which we made folders whose names aren't durable yet. */
  readonly #unsettled = new Set<string>();
  readonly #names: DurableNames;
  /** Folders that were found to be inside of the datastore, links considered: asked once per command. */
  readonly #inRoot = new Set<string>();
  readonly #mostSyncs: () => number;
  #syncsMade: Syncs | undefined;
  /** Once there is much to write: from then on it does the syncs of commits, too. */
  #thread: DiskThread | undefined;
  #elsewhere: StepsElsewhere | undefined;
  /** Files that tell that we live. */
  readonly #owned = new Set<string>();
  readonly #ready = new ReadyFiles();
  /** Something was made ready, for later. */
  #isAtWork = false;
  #realRoot: string | undefined;

  /** `root` is absolute; it is made when something is first written. `mostSyncs`: so many files are open at most while they are made durable; asked when the first are. */
  constructor(root: string, options: { readonly kernel: () => KernelLocks; readonly mostSyncs: () => number }) {
    this.#root = root;
    this.#kernel = options.kernel;
    this.#mostSyncs = options.mostSyncs;
    this.#names = new DurableNames(root, (paths) => (this.#thread ?? this.#syncs).sync(paths));
  }

  get #syncs(): Syncs {
    return (this.#syncsMade ??= new Syncs(this.#mostSyncs()));
  }

  async read(path: string, options: { readonly maxBytes: number }): Promise<Uint8Array | undefined> {
    return readBytes(this.#inside(path), options.maxBytes);
  }

  async *stream(path: string, options: { readonly start?: number } = {}): AsyncIterable<Uint8Array> {
    const full = this.#inside(path);
    try {
      const { fd } = openToRead(full);
      yield* createReadStream(full, { fd, start: options.start ?? 0, highWaterMark: chunkBytes });
    } catch (error) {
      throw storeError(error, "the file", full);
    }
  }

  async list(path: string): Promise<readonly Entry[]> {
    const full = this.#inside(path);
    try {
      return listFolder(full)
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
    const full = this.#inside(path);
    if (options.durable === false && changeLastByte(full, bytes)) return;
    await writeFileAtomic(full, bytes, options);
  }

  async replace(path: string, bytes: Uint8Array | string): Promise<boolean> {
    const full = this.#inside(path);
    const aside = asidePath(full);
    try {
      writeHere(aside, bytes);
      renameSync(aside, full);
      syncFolder(dirname(full));
      return true;
    } catch (error) {
      if (isAbsence(error)) return false;
      throw storeError(error, "the file", full);
    }
  }

  async create(path: string, { from }: { readonly from?: string | undefined } = {}): Promise<Appender> {
    const full = this.#inside(path);
    try {
      const ready = this.#ready.take(full);
      if (ready === "gone") this.#names.forgetAll(); // folders too may have been removed, and made anew by others
      const fd = typeof ready === "number" ? ready : this.#openNew(full, from);
      return new FileAppender(fd, full, { folders: this.#upToRoot(dirname(full)) });
    } catch (error) {
      throw storeError(error, "the file", full);
    }
  }

  async prepare(path: string, { from }: { readonly from?: string | undefined } = {}): Promise<void> {
    const full = this.#inside(path);
    if (this.#elsewhere !== undefined) return; // the thread makes its files itself
    try {
      if (isThere(full)) return;
      this.#isAtWork = true;
      this.#ready.add(full, this.#openNew(full, from));
    } catch (error) {
      throw storeError(error, "the file", full);
    }
  }

  #openNew(path: string, from: string | undefined): number {
    const owned = from === undefined ? undefined : this.#inside(from);
    // Not what only has the life of another: that would be written into.
    const isOwn = owned !== undefined && this.#owned.has(owned);
    return (isOwn ? this.#openSame(owned, path) : undefined) ?? this.#open(path);
  }

  async reopen(path: string): Promise<Appender> {
    const full = this.#inside(path);
    try {
      const { fd, size } = openRegular(full, constants.O_WRONLY | constants.O_APPEND);
      return new FileAppender(fd, full, { folders: [dirname(full)], size });
    } catch (error) {
      throw storeError(error, "the file", full);
    }
  }

  async sync(paths: readonly string[]): Promise<void> {
    const files = paths.map((path) => this.#inside(path));
    try {
      await this.#syncs.sync(files.filter((file) => isThere(file)));
      await this.#syncs.sync([...this.#above(files.map(dirname))].filter((folder) => isThere(folder)));
    } catch (error) {
      throw storeError(error, "the files", this.#root);
    }
  }

  later(): LaterFiles | undefined {
    const thread = (this.#thread ??= this.#startThread());
    if (thread === undefined) return undefined;
    this.#elsewhere ??= new StepsElsewhere(thread, this.#root);
    const folders = new Set<string>();
    return {
      write: (path, text) => {
        const full = this.#inside(path);
        folders.add(dirname(full));
        thread.write({ path: full, aside: asidePath(full), text });
      },
      settled: async () => {
        try {
          await thread.settled();
          await thread.syncEach(this.#above(folders)); // outputs may be on another disk than the rest
        } catch (error) {
          throw storeError(error, "the file", pathOf(error) ?? this.#root);
        }
      },
    };
  }

  #startThread(): DiskThread | undefined {
    const disks = WholeDisks.load(isSyncedAsWhole);
    return DiskThread.start(this.#mostSyncs(), { disks, quick: disks?.quickParts(this.#root) });
  }

  async settle(path: string, files?: readonly string[]): Promise<void> {
    const full = this.#inside(path);
    try {
      const above = this.#unsettledAbove(full);
      const below = files === undefined ? treeOf(full) : withFolders(full, files);
      const all = new Set([...above, ...below]);
      await (this.#elsewhere?.settle(full, all) ?? this.#syncs.sync(all));
      for (const folder of above) this.#unsettled.delete(folder);
    } catch (error) {
      throw storeError(error, "the folder", full);
    }
  }

  async adopt(
    from: string,
    to: string,
    { durable = true }: { readonly durable?: boolean } = {},
  ): Promise<"adopted" | "taken" | "absent"> {
    const source = this.#inside(from);
    const target = this.#inside(to);
    try {
      if (isThere(target)) return "taken";
      this.#ready.forget(source); // nobody will ask for them there
      const made = moveFolder(source, target);
      if (made !== undefined) this.#names.forget(dirname(target), made);
      if (durable) await this.#names.keep(target);
      return "adopted";
    } catch (error) {
      const code = systemErrorCode(error) ?? "";
      if (["ENOTEMPTY", "EEXIST"].includes(code)) return "taken";
      if (isAbsence(error) && !isThere(source)) return "absent";
      throw storeError(error, "the folder", target);
    }
  }

  async keep(paths: readonly string[]): Promise<void> {
    const targets = paths.map((path) => this.#inside(path));
    try {
      await all(targets.map((target) => this.#names.keep(target)));
    } catch (error) {
      throw storeError(error, "the folders", this.#root);
    }
  }

  async own(path: string): Promise<Owned> {
    const full = this.#inside(path);
    try {
      this.#makeFolders(dirname(full));
      const owned = ownFile(full, this.#kernel());
      this.#owned.add(full);
      return {
        letGo: (options) => {
          this.#owned.delete(full);
          owned.letGo(options);
        },
      };
    } catch (error) {
      throw storeError(error, "the file", full);
    }
  }

  async inOrder(steps: readonly FileStep[]): Promise<StepsDone> {
    if (this.#isAtWork) this.#inRoot.clear(); // since then a command has run, which may have put links anywhere
    this.#isAtWork = false;
    const [living] = this.#owned;
    const unsettledAbove = (path: string) => this.#unsettledAbove(path);
    const there = await this.#elsewhere?.carryOut(steps, { living, unsettledAbove });
    if (there === undefined) return doInOrder(this, steps);
    for (const { last, first } of there.made) this.#names.forget(last, first);
    if (!there.isUnsure) return there;
    const { done, failure } = await doInOrder(this, steps.slice(there.done.length));
    return { done: [...there.done, ...done], ...(failure === undefined ? {} : { failure }) };
  }

  async owner(path: string): Promise<"alive" | "dead" | "absent"> {
    const full = this.#inside(path);
    try {
      return ownerOf(full, this.#kernel());
    } catch (error) {
      throw storeError(error, "the file", full);
    }
  }

  async remove(path: string): Promise<boolean> {
    const full = this.#inside(path);
    if (full === this.#root)
      throw new FenError("path_escapes", "A whole datastore is never removed.", {
        hint: "Name something inside of it.",
      });
    try {
      this.#ready.forget(full);
      return removeTree(full);
    } catch (error) {
      throw storeError(error, "the file", full);
    }
  }

  #above(folders: Iterable<string>): Set<string> {
    return new Set([...folders].flatMap((folder) => this.#upToRoot(folder)));
  }

  /** In which of the folders above a folder, not counting its own, there are folders of ours whose names aren't durable yet. */
  #unsettledAbove(path: string): string[] {
    return this.#upToRoot(dirname(dirname(path))).filter((folder) => this.#unsettled.has(folder));
  }

  #upToRoot(folder: string): string[] {
    return folder === this.#root ? [folder] : [folder, ...this.#upToRoot(dirname(folder))];
  }

  /** A new file; most often its folder is there. */
  #open(path: string): number {
    try {
      if (this.#inRoot.has(dirname(path))) return openSync(path, "wx");
    } catch (error) {
      if (!isAbsence(error)) throw error;
    }
    this.#makeFolders(dirname(path));
    return openInMadeFolder(path, "wx");
  }

  /** Undefined where that can't be: then a file is made, and says why if that can't be either. On Windows nobody may write into what is locked. */
  #openSame(from: string, path: string): number | undefined {
    if (constants.O_NOFOLLOW === undefined) return undefined;
    try {
      this.#makeFolders(dirname(path));
      linkSync(from, path);
    } catch {
      return undefined;
    }
    let fd: number | undefined;
    try {
      const same = openRegular(path, constants.O_WRONLY | constants.O_NOFOLLOW);
      fd = same.fd;
      if (same.size === 0) return fd;
    } catch {
      // Not ours, or not to be opened again: a new one says why, if that can't be either.
    }
    if (fd !== undefined) closeSync(fd);
    removeFile(path);
    return undefined;
  }

  #makeFolders(path: string): void {
    const first = makeMissing(path);
    if (first === undefined) return;
    for (let folder = path; folder.length >= first.length; folder = dirname(folder))
      this.#unsettled.add(dirname(folder));
  }

  locate(path: string): string {
    return resolveInside(this.#root, path);
  }

  /** The absolute path; refuses one that leads out of the datastore, also through a link in a folder on the way. */
  #inside(path: string): string {
    const full = resolveInside(this.#root, path);
    if (full === this.#root) return full;
    if (this.#inRoot.has(dirname(full))) return full;
    if (this.#isBelowReal(dirname(full))) return full;
    const realRoot = this.#findRealRoot();
    const folder = realRoot === undefined ? undefined : nearestReal(dirname(full));
    if (realRoot !== undefined && folder !== undefined && !isWithin(realRoot, folder)) {
      throw new FenError("path_escapes", `A link leads out of the datastore: ${full}`, {
        hint: `Replace the link by a folder, or point the datastore at its target. The link leads to ${folder}.`,
        facts: { path: full },
      });
    }
    if (folder !== undefined && infoOf(folder)?.isDirectory() === true) this.#inRoot.add(dirname(full)); // what isn't there yet may become a link
    return full;
  }

  /** True where a folder above is known to be inside, and everything from there to this one is a folder, or isn't there yet. */
  #isBelowReal(folder: string): boolean {
    if (folder === this.#root) return true;
    if (folder.length <= this.#root.length) return false;
    const above = dirname(folder);
    if (!this.#inRoot.has(above) && !this.#isBelowReal(above)) return false;
    const info = infoOf(folder);
    if (info?.isDirectory() === false) return false;
    if (info !== undefined) this.#inRoot.add(folder);
    return true;
  }

  #findRealRoot(): string | undefined {
    this.#realRoot ??= realpathIfThere(this.#root);
    return this.#realRoot;
  }
}

function isThere(path: string): boolean {
  return infoOf(path) !== undefined;
}

function infoOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw storeError(error, "the folder", path);
  }
}

/** A new file, durable, in a folder that is there; a failed one leaves nothing. */
function writeHere(path: string, bytes: Uint8Array | string): void {
  const fd = openSync(path, "wx");
  try {
    writeAll(fd, bytes);
    fsyncSync(fd);
  } catch (error) {
    removeFile(path);
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** Gives the first of the folders above that was made for it. Nothing is at `to`; throws ENOENT where nothing is at `from`. */
function moveFolder(from: string, to: string): string | undefined {
  try {
    renameSync(from, to);
    return undefined;
  } catch (error) {
    if (!isAbsence(error)) throw error;
  }
  const made = isThere(from) ? makeMissing(dirname(to)) : undefined;
  renameSync(from, to);
  return made;
}

/** A folder and all files and folders in it, without those whose names begin with a dot. */
function treeOf(folder: string): string[] {
  const entries = listFolder(folder).filter(({ name }) => !name.startsWith("."));
  return [
    folder,
    ...entries.flatMap((entry) => {
      const path = inFolder(folder, entry.name);
      return entry.isDirectory() ? treeOf(path) : entry.isFile() ? [path] : [];
    }),
  ];
}

interface Kinds {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

/** Which file a failure of the thread is about. */
function pathOf(error: unknown): string | undefined {
  return error instanceof Error && "path" in error && typeof error.path === "string" ? error.path : undefined;
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
  return path === root || behindFolder(root, path) !== undefined;
}
