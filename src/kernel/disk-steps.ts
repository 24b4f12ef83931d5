/** Changes of files in a row, as a thread for the disk does them for another (`disk-thread.ts`). */
import type * as fs from "node:fs";
import type * as path from "node:path";

/**
 * A new file that says, between two texts, a number: one more than the highest that something in `folder` is called. `known`: if `file` still says that number, it is
 * the highest, and nobody needs to read the whole folder.
 */
export interface NumberStep {
  readonly do: "number";
  readonly path: string;
  readonly folder: string;
  readonly around: readonly [string, string];
  readonly known?: { readonly file: string; readonly number: number } | undefined;
}

/** One of several changes. All paths are absolute. */
export type DiskStep =
  /** A second name for a file. */
  | { readonly do: "link"; readonly from: string; readonly path: string }
  /** A new file; makes its folder. */
  | { readonly do: "create"; readonly path: string; readonly content: Uint8Array | string }
  | NumberStep
  /** Makes `paths` durable, and the names of folders above `path` that were made here. */
  | { readonly do: "sync"; readonly path: string; readonly paths: readonly string[] }
  /** Gives a folder another name, where nothing is called that; durably, or not. Makes missing folders. */
  | { readonly do: "adopt"; readonly from: string; readonly path: string; readonly durable: boolean }
  /** A small file in the place of an old one; `aside`: a name for it until it is whole. */
  | { readonly do: "write"; readonly path: string; readonly aside: string; readonly text: string }
  | { readonly do: "stat"; readonly path: string }
  /** A folder, with the files in it. */
  | { readonly do: "remove"; readonly path: string };

export interface DiskStepDone {
  readonly number?: number;
  readonly outcome?: "adopted" | "taken" | "absent";
  /** The first of the folders that were made for what was adopted. */
  readonly made?: string | undefined;
  readonly isThere?: boolean;
}

/** Makes files and folders durable; of some there is a descriptor already. Throws as the system does, for any of them. */
export type SyncAll = (paths: readonly string[], open?: ReadonlyMap<string, number>) => Promise<void>;

/** What a step fails with that had better be done by who asked. */
export const unsure = "FEN_UNSURE";

/** Its code is given to a thread as text: nothing outside of the class can be used. */
export class DiskSteps {
  readonly #fs: typeof fs;
  readonly #path: typeof path;
  readonly #sync: SyncAll;
  readonly #unsure: string;
  /** So many files stay open, from when they are made until they are synced: to open them again costs as much as to sync them. */
  readonly #mostOpen: number;
  #open = 0;
  /** Folders that are known to be in the datastore, and no links; of a large run most are seen once only. */
  readonly #mostInside = 10_000;
  readonly #inside = new Set<string>();
  /** Folders in which we made folders whose names aren't durable yet, with the number of the last that was made. */
  readonly #unsettled = new Map<string, number>();
  #made = 0;
  /** Folders whose names, and those above, are durable. */
  readonly #named = new Set<string>();

  constructor(
    node: { readonly fs: typeof fs; readonly path: typeof path },
    sync: SyncAll,
    rules: { readonly unsure: string; readonly mostOpen: number },
  ) {
    this.#fs = node.fs;
    this.#path = node.path;
    this.#sync = sync;
    this.#unsure = rules.unsure;
    this.#mostOpen = rules.mostOpen >> 1;
  }

  /** Up to the first that adopts nothing, or fails: that throws as the system does, after `told` has heard of all that were done. */
  async carryOut(root: string, steps: readonly DiskStep[], told: (done: DiskStepDone) => void): Promise<void> {
    const open = new Map<string, number>();
    try {
      for (const step of steps) {
        this.#check(root, this.#path.dirname(step.path));
        const done = await this.#step(root, step, open);
        told(done);
        if (done.outcome !== undefined && done.outcome !== "adopted") return;
      }
    } finally {
      this.#close(open);
    }
  }

  #close(open: Map<string, number>): void {
    for (const [file, fd] of open) {
      open.delete(file); // first: a number that is closed may be another file's soon
      this.#open--;
      this.#fs.closeSync(fd);
    }
  }

  async #step(root: string, step: DiskStep, open: Map<string, number>): Promise<DiskStepDone> {
    switch (step.do) {
      case "link":
        return this.#link(step.from, step.path);
      case "create":
        this.#make(this.#path.dirname(step.path));
        return this.#create(step.path, step.content, open);
      case "number": {
        this.#check(root, step.folder);
        const number = this.#nextNumber(step);
        this.#create(step.path, `${step.around[0]}${number}${step.around[1]}`, open);
        return { number };
      }
      case "sync":
        return this.#settle(root, step, open);
      case "adopt": {
        this.#check(root, this.#path.dirname(step.from));
        const done = this.#adopt(step.from, step.path);
        if (step.durable && done.outcome === "adopted") await this.#keep(root, this.#path.dirname(step.path));
        return done;
      }
      case "write":
        return this.#write(step);
      case "stat":
        return { isThere: this.#isThere(step.path) };
      case "remove":
        return this.#remove(step.path);
    }
  }

  /** Everything from the datastore to this folder is a folder, or isn't there yet; else who asked finds out what to say. */
  #check(root: string, folder: string): void {
    const there: string[] = [];
    for (let at = folder; at !== root && !this.#inside.has(at); at = this.#path.dirname(at)) {
      const info = this.#fs.lstatSync(at, { throwIfNoEntry: false });
      if (info?.isDirectory() === false || at.length < root.length) throw this.#unsureOf(at);
      if (info !== undefined) there.push(at);
    }
    if (this.#inside.size > this.#mostInside) this.#inside.clear();
    for (const at of there) this.#inside.add(at);
  }

  #unsureOf(place: string): Error {
    return Object.assign(new Error(`not sure of ${place}`), { code: this.#unsure });
  }

  #codeOf(error: unknown): string | undefined {
    return (error as NodeJS.ErrnoException).code; // what `node:fs` throws
  }

  #isThere(file: string): boolean {
    return this.#fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  }

  /** Nothing there, or a folder. */
  #make(folder: string): void {
    if (this.#inside.has(folder)) return;
    const first = this.#fs.mkdirSync(folder, { recursive: true });
    if (first === undefined) return;
    for (let at = folder; at.length >= first.length; at = this.#path.dirname(at))
      this.#unsettled.set(this.#path.dirname(at), ++this.#made);
  }

  #link(from: string, to: string): DiskStepDone {
    this.#make(this.#path.dirname(to));
    try {
      this.#fs.linkSync(from, to);
    } catch {
      throw this.#unsureOf(to); // there are filesystems without that, and limits: a file of its own does as well
    }
    return {};
  }

  /** `open`: where it may stay open. */
  #create(file: string, content: Uint8Array | string, open?: Map<string, number>): DiskStepDone {
    const fd = this.#fs.openSync(file, "wx");
    let isKept = false;
    try {
      const bytes = Buffer.from(content);
      for (let at = 0; at < bytes.length;) at += this.#fs.writeSync(fd, bytes, at);
      isKept = open !== undefined && this.#open < this.#mostOpen;
    } catch (error) {
      this.#fs.unlinkSync(file);
      throw error;
    } finally {
      if (!isKept) this.#fs.closeSync(fd);
    }
    if (!isKept) return {};
    open?.set(file, fd);
    this.#open++;
    return {};
  }

  #nextNumber({ folder, known }: NumberStep): number {
    if (known !== undefined && this.#said(known.file) === String(known.number)) return known.number + 1;
    let names: readonly string[];
    try {
      names = this.#fs.readdirSync(folder);
    } catch (error) {
      if (this.#codeOf(error) !== "ENOENT") throw error;
      names = [];
    }
    return DiskSteps.highest(names) + 1;
  }

  /** The highest number among names; 0 where none is one. */
  static highest(names: readonly string[]): number {
    return Math.max(0, ...names.map((name) => (/^[1-9]\d*$/.test(name) ? Number(name) : 0)));
  }

  #said(file: string): string | undefined {
    try {
      return this.#fs.readFileSync(file, "latin1").trim();
    } catch {
      return undefined;
    }
  }

  async #settle(
    root: string,
    { path: folder, paths }: Extract<DiskStep, { do: "sync" }>,
    open: Map<string, number>,
  ): Promise<DiskStepDone> {
    const above = new Map<string, number>();
    for (let at = folder; at.length > root.length;) {
      at = this.#path.dirname(at);
      const made = this.#unsettled.get(at);
      if (made !== undefined) above.set(at, made);
    }
    await this.#sync([...new Set([...above.keys(), ...paths])], open);
    this.#close(open);
    // What was made meanwhile may have been missed.
    for (const [at, made] of above) if (this.#unsettled.get(at) === made) this.#unsettled.delete(at);
    return {};
  }

  #adopt(from: string, to: string): DiskStepDone {
    if (this.#isThere(to)) return { outcome: "taken" };
    let made: string | undefined;
    try {
      for (let isAgain = false; ; isAgain = true) {
        try {
          this.#fs.renameSync(from, to);
          break;
        } catch (error) {
          if (this.#codeOf(error) !== "ENOENT") throw error;
          if (!this.#isThere(from)) return { outcome: "absent" };
          if (isAgain) throw error;
          made = this.#fs.mkdirSync(this.#path.dirname(to), { recursive: true });
        }
      }
    } catch (error) {
      if (!["ENOTEMPTY", "EEXIST"].includes(this.#codeOf(error) ?? "")) throw error;
      return { outcome: "taken" };
    }
    if (made !== undefined) this.#forget(made, this.#path.dirname(to));
    return { outcome: "adopted", made };
  }

  /** What was known of their names is of folders that somebody has removed. */
  #forget(first: string, last: string): void {
    for (let at = last; at.length >= first.length; at = this.#path.dirname(at)) this.#named.delete(at);
  }

  /** The names in the folder, and its own, and those above, where that wasn't done yet. One that has been removed needn't be durable. */
  async #keep(root: string, folder: string): Promise<void> {
    const names = [folder];
    for (let at = folder; at !== root && !this.#named.has(at); at = this.#path.dirname(at))
      names.push(this.#path.dirname(at));
    await this.#sync(names).catch(async (error: unknown) => {
      if (this.#codeOf(error) !== "ENOENT") throw error;
      for (const at of names) await this.#syncUnlessGone(at);
    });
    for (let at = folder; at !== root; at = this.#path.dirname(at)) this.#named.add(at);
  }

  async #syncUnlessGone(folder: string): Promise<void> {
    await this.#sync([folder]).catch((error: unknown) => {
      if (this.#codeOf(error) !== "ENOENT") throw error;
    });
  }

  #write({ path: file, aside, text }: Extract<DiskStep, { do: "write" }>): DiskStepDone {
    if (DiskSteps.changeLastByte(this.#fs, file, Buffer.from(text))) return {};
    try {
      this.#create(aside, text);
      this.#fs.renameSync(aside, file);
    } catch (error) {
      this.#fs.rmSync(aside, { force: true });
      throw error;
    }
    return {};
  }

  /**
   * A small file whose new content differs from the old in the last byte only, as that of a counter mostly does. One byte is there or it isn't: readers see
   * the old content or the new. False where that isn't so, or not possible: nothing has changed then.
   */
  static changeLastByte(
    node: Pick<typeof fs, "closeSync" | "constants" | "lstatSync" | "openSync" | "readSync" | "writeSync">,
    file: string,
    wanted: Buffer,
  ): boolean {
    const { O_RDWR, O_NOFOLLOW } = node.constants;
    const last = wanted.length - 1;
    if (last < 0 || last >= 16 || O_NOFOLLOW === undefined) return false;
    let fd: number | undefined;
    try {
      const info = node.lstatSync(file, { throwIfNoEntry: false });
      if (info?.isFile() !== true || info.nlink > 1 || info.size !== wanted.length) return false;
      fd = node.openSync(file, O_RDWR | O_NOFOLLOW);
      const there = Buffer.alloc(wanted.length + 1);
      const length = node.readSync(fd, there, 0, there.length, 0);
      if (length !== wanted.length || there.compare(wanted, 0, last, 0, last) !== 0) return false;
      node.writeSync(fd, wanted, last, 1, last);
      return true;
    } catch {
      return false; // the way by a new file is open, and tells what is wrong
    } finally {
      if (fd !== undefined) node.closeSync(fd);
    }
  }

  #remove(folder: string): DiskStepDone {
    try {
      for (const name of this.#fs.readdirSync(folder)) this.#fs.unlinkSync(this.#path.join(folder, name));
      this.#fs.rmdirSync(folder);
      return {};
    } catch {
      throw this.#unsureOf(folder); // gone already, or with more in it than was thought
    }
  }
}
