/**
 * A thread that writes small files and makes things durable for a thread that has more to do: to open, write, rename, sync and close from there costs the
 * one that asks nothing but a message. It takes some 30 ms of a processor to start, so it is for those who have hundreds to write.
 */
import type * as fs from "node:fs";
import type * as path from "node:path";
import { dirname } from "node:path";
import { type MessagePort, Worker } from "node:worker_threads";
import { type DiskStep, type DiskStepDone, DiskSteps, type SyncAll, unsure } from "./disk-steps.ts";
import { systemErrorCode } from "./errors.ts";
import { unsyncableFolder } from "./files.ts";
import { QuickDisk, type SyncDisk } from "./quick-disk.ts";
import type { QuickDiskParts, WholeDisks } from "./whole-disks.ts";

export interface LaterFile {
  readonly path: string;
  /** In the same folder, which is there: written first, then renamed. */
  readonly aside: string;
  readonly text: string;
}

/** To wake the other thread is what costs: whatever is asked in one turn goes there together. */
interface Questions {
  readonly files: readonly LaterFile[];
  readonly asked: readonly Question[];
}

interface Question {
  readonly id: number;
  /** What is to be made durable; without it, the question is only whether everything was written. */
  readonly sync?: readonly string[];
  /** Beside the others: nobody waits for it. One that has been removed meanwhile needn't be durable. */
  readonly isBeside?: true;
  /** What is to be done, in its order, in a folder. */
  readonly root?: string;
  readonly steps?: readonly DiskStep[];
}

interface Answer {
  readonly id: number;
  readonly failure?: Failure | undefined;
  readonly done?: readonly DiskStepDone[];
}

/** What is left of a system error on its way from thread to thread. */
interface Failure {
  readonly message: string;
  readonly code?: string | undefined;
  /** What it is about. */
  readonly path?: string | undefined;
}

/** What came of the steps that were done, and of the next one, if that failed. */
export interface DiskStepsDone {
  readonly done: readonly DiskStepDone[];
  readonly failure?: Error | undefined;
}

/** Nobody waits for what is written: within so many milliseconds it goes there together. */
const gatherMs = 5;
/** Where each file is made durable by itself, it is begun when there are so many. */
const mostUnsynced = 64;

interface Helpers {
  readonly disks?: Pick<WholeDisks, "add" | "sync"> | undefined;
  readonly quick?: QuickDiskParts | undefined;
}

interface Asked {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

export class DiskThread {
  readonly #worker: Worker;
  readonly #asked = new Map<number, Asked>();
  #files: LaterFile[] = [];
  #questions: Question[] = [];
  #number = 0;
  #failed: Error | undefined;
  readonly #disks: Helpers["disks"];
  /** Written, and perhaps not durable yet. */
  #unsynced: string[] = [];
  #settling: Promise<void> = Promise.resolve();

  /**
   * `mostOpen`: so many files are open at a time while they are made durable. `disks`: what makes all that was written durable at once. `quick`: the disk that all
   * is on for which `sync` and `carryOut` are asked.
   */
  constructor(mostOpen: number, { disks, quick }: Helpers = {}) {
    this.#disks = disks;
    const given = `require("node:worker_threads").parentPort, { fs: require("node:fs"), path: require("node:path") }`;
    const parts = `{ Steps: ${DiskSteps.toString()}, Quick: ${QuickDisk.toString()} }`;
    const rules = `{ quick: ${JSON.stringify(quick)},  unsyncable: ${JSON.stringify(unsyncableFolder)}, mostOpen: ${mostOpen}, unsure: ${JSON.stringify(unsure)} }`;
    // What fails says what it is about; where it was asked says nothing to anybody, and takes longer to find out than the call itself.
    const code = `Error.stackTraceLimit = 0; new (${Disk.toString()})(${given}, ${parts}, ${rules}).serve()`;
    this.#worker = new Worker(code, {
      eval: true,
      env: {},
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    this.#worker.unref(); // whoever waits for an answer keeps the process
    this.#worker.on("message", (answer: Answer) => this.#told(answer));
    this.#worker.on("error", (error) => this.#ended(error));
    this.#worker.on("exit", () => this.#ended(new Error("the thread for the disk has ended")));
  }

  /** Undefined where the system gives us no more threads: one only saves time. */
  static start(mostOpen: number, helpers: Helpers = {}): DiskThread | undefined {
    try {
      return new DiskThread(mostOpen, helpers);
    } catch (error) {
      if (systemErrorCode(error) === "ERR_WORKER_INIT_FAILED") return undefined;
      throw error;
    }
  }

  /** The file gets there soon: whole or not at all. That it didn't is thrown by `settled`. */
  write(file: LaterFile): void {
    if (this.#files.push(file) === 1) setTimeout(() => this.#post(), gatherMs);
    const isForAll = this.#disks?.add(dirname(file.path)) === true;
    if (this.#unsynced.push(file.path) === mostUnsynced && !isForAll) this.settled().catch(() => undefined); // told to whoever asks next
  }

  /**
   * Resolves when the contents of everything written so far survive a power cut; their names do once their folders are synced.
   * Throws the first failure of all, as the system told it.
   */
  settled(): Promise<void> {
    const settled = this.#settling.then(
      () => this.#settle(),
      async (error: unknown) => {
        await this.#settle().catch(() => undefined); // the first failure is the one to tell; the others get there all the same
        throw error;
      },
    );
    return (this.#settling = settled);
  }

  async #settle(): Promise<void> {
    const files = this.#unsynced;
    this.#unsynced = [];
    await this.#ask({});
    if (files.length > 0 && (await this.#disks?.sync()) !== true) await this.#ask({ sync: files, isBeside: true });
  }

  /** Resolves when these files and folders survive a power cut. Throws as the system does. */
  async sync(paths: Iterable<string>): Promise<void> {
    await this.#ask({ sync: [...paths] });
  }

  /** As `sync`, wherever they are: each by itself. One that has been removed meanwhile needn't be durable. */
  async syncEach(paths: Iterable<string>): Promise<void> {
    await this.#ask({ sync: [...paths], isBeside: true });
  }

  /** True where it can't be asked any more. */
  get hasEnded(): boolean {
    return this.#failed !== undefined;
  }

  /** Does these one after the other, up to the first that fails or adopts nothing, in `root` alone: a link that leads out of it is a failure (`unsure`). */
  async carryOut(root: string, steps: readonly DiskStep[]): Promise<DiskStepsDone> {
    const { done = [], failure } = await this.#ask({ root, steps }, { isTold: true });
    return { done, ...(failure === undefined ? {} : { failure: errorOf(failure) }) };
  }

  /** `isTold`: a failure is part of the answer. */
  #ask(question: Omit<Question, "id">, { isTold = false } = {}): Promise<Answer> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    const id = this.#number++;
    return new Promise((resolve, reject) => {
      if (this.#asked.size === 0) this.#worker.ref();
      const answered = (answer: Answer) =>
        answer.failure === undefined || isTold ? resolve(answer) : reject(errorOf(answer.failure));
      this.#asked.set(id, { resolve: answered, reject });
      if (this.#questions.push({ ...question, id }) === 1) setImmediate(() => this.#post());
    });
  }

  #post(): void {
    const questions: Questions = { files: this.#files, asked: this.#questions };
    this.#files = [];
    this.#questions = [];
    if (questions.files.length + questions.asked.length > 0 && this.#failed === undefined)
      this.#worker.postMessage(questions);
  }

  #told(answer: Answer): void {
    const asked = this.#asked.get(answer.id);
    this.#asked.delete(answer.id);
    if (this.#asked.size === 0) this.#worker.unref();
    asked?.resolve(answer);
  }

  #ended(error: Error): void {
    this.#failed ??= error;
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
  }
}

function errorOf({ message, code, path }: Failure): Error {
  return Object.assign(new Error(message), { code, path });
}

interface DiskRules {
  readonly unsyncable: readonly string[];
  readonly mostOpen: number;
  readonly unsure: string;
  readonly quick?: QuickDiskParts | undefined;
}

interface Syncing {
  readonly isBeside: boolean;
  /** Files that are open already, by path. */
  readonly open?: ReadonlyMap<string, number> | undefined;
  over(failure?: Failure): void;
}

/** What the thread does. Its code is given to it as text: nothing outside of the class can be used. */
export class Disk {
  /** So many files are made durable at a time: the threads that do it are the whole process's, and others wait for less. */
  readonly #besideAtOnce = 2;
  /** So many files are open at a time: the others wait, as they would for one of those threads. */
  readonly #mostOpen: number;
  readonly #port: Pick<MessagePort, "on" | "postMessage">;
  readonly #fs: typeof fs;
  readonly #path: typeof path;
  readonly #unsyncable: readonly string[];
  readonly #steps: DiskSteps;
  #quick: QuickDisk | undefined;
  /** What is made durable beside the rest. */
  readonly #beside: (() => void)[] = [];
  readonly #waiting: (() => void)[] = [];
  #besideNow = 0;
  #openNow = 0;
  #failure: Failure | undefined;

  constructor(
    port: Pick<MessagePort, "on" | "postMessage">,
    node: { readonly fs: typeof fs; readonly path: typeof path },
    { Steps, Quick }: { readonly Steps: typeof DiskSteps; readonly Quick: typeof QuickDisk },
    rules: DiskRules,
  ) {
    this.#mostOpen = rules.mostOpen;
    this.#port = port;
    this.#fs = node.fs;
    this.#path = node.path;
    this.#unsyncable = rules.unsyncable;
    const sync: SyncAll = (paths, open) =>
      new Promise((resolve, reject) => {
        const over = (failure?: Failure) => (failure === undefined ? resolve() : reject(failure));
        this.#syncAll(paths, { isBeside: false, open, over });
      });
    this.#steps = new Steps(node, sync, rules);
    if (rules.quick !== undefined) this.#quick = this.#load(Quick, rules.quick);
  }

  #load(Quick: typeof QuickDisk, { folder, library, declaration }: QuickDiskParts): QuickDisk | undefined {
    try {
      const koffi: { exports: unknown } = { exports: {} };
      process.dlopen(koffi, library);
      const { load } = koffi.exports as { load(path: null): { func(text: string): { async: SyncDisk } } };
      const syncfs = load(null).func(declaration);
      return new Quick(this.#fs, (fd, done) => syncfs.async(fd, done), folder);
    } catch {
      return undefined; // each file is made durable by itself
    }
  }

  serve(): void {
    this.#port.on("message", ({ files, asked }: Questions) => {
      for (const file of files) this.#write(file);
      for (const { id, sync, isBeside = false, root, steps } of asked)
        if (root !== undefined && steps !== undefined) void this.#carryOut(id, root, steps);
        else if (sync === undefined) this.#answer({ id, failure: this.#failure });
        else this.#syncAll(sync, { isBeside, over: (failure) => this.#answer({ id, failure }) });
    });
  }

  async #carryOut(id: number, root: string, steps: readonly DiskStep[]): Promise<void> {
    const done: DiskStepDone[] = [];
    try {
      await this.#steps.carryOut(root, steps, (one) => done.push(one));
      this.#answer({ id, done });
    } catch (error) {
      this.#answer({ id, done, failure: this.#plain(error, (error as Failure).path ?? steps[done.length]?.path) });
    }
  }

  #write({ path: target, aside, text }: LaterFile): void {
    try {
      const fd = this.#open(aside);
      try {
        const bytes = Buffer.from(text);
        for (let at = 0; at < bytes.length;) at += this.#fs.writeSync(fd, bytes, at);
      } finally {
        this.#fs.closeSync(fd);
      }
      this.#fs.renameSync(aside, target);
    } catch (error) {
      this.#failure ??= this.#plain(error, target);
      this.#removeQuietly(aside);
    }
  }

  #removeQuietly(file: string): void {
    try {
      this.#fs.unlinkSync(file);
    } catch {
      // It was never made, or the disk fails: the first failure is the one to tell.
    }
  }

  #open(file: string): number {
    try {
      return this.#fs.openSync(file, "wx");
    } catch (error) {
      if (this.#plain(error).code !== "ENOENT") throw error;
      this.#fs.mkdirSync(this.#path.dirname(file), { recursive: true }); // it was empty, and was removed
      return this.#fs.openSync(file, "wx");
    }
  }

  #syncAll(paths: readonly string[], how: Syncing): void {
    // For one alone its own sync is as quick; and what is beside has been made durable as a whole before, if that is possible.
    if (this.#quick === undefined || how.isBeside || paths.length < 2) return this.#syncEach(paths, how);
    const each = () => this.#syncEach(paths, how);
    void this.#quick.sync().then((isDone) => (isDone ? how.over() : each()), each);
  }

  #syncEach(paths: readonly string[], { isBeside, over, open }: Syncing): void {
    let left = paths.length;
    let failure: Failure | undefined;
    if (left === 0) over();
    for (const one of paths) {
      const done = (failed: Failure | undefined) => {
        if (isBeside) this.#besideNow--;
        if (!isBeside || failed?.code !== "ENOENT") failure ??= failed;
        if (--left === 0) over(failure);
      };
      (isBeside ? this.#beside : this.#waiting).push(() => this.#syncNow(one, open?.get(one), done));
    }
    this.#begin();
  }

  #begin(): void {
    while (this.#openNow < this.#mostOpen) {
      const next = this.#waiting.shift() ?? this.#nextBeside();
      if (next === undefined) return;
      next();
    }
  }

  #nextBeside(): (() => void) | undefined {
    const next = this.#besideNow < this.#besideAtOnce ? this.#beside.shift() : undefined;
    if (next !== undefined) this.#besideNow++;
    return next;
  }

  #syncNow(file: string, open: number | undefined, done: (failed: Failure | undefined) => void): void {
    let fd: number;
    try {
      fd = open ?? this.#fs.openSync(file, "r");
    } catch (error) {
      return done(this.#plain(error, file));
    }
    this.#openNow++;
    this.#fs.fsync(fd, (error) => {
      const isRefused = this.#unsyncable.includes(error?.code ?? "") && this.#fs.fstatSync(fd).isDirectory();
      if (open === undefined) this.#fs.closeSync(fd);
      this.#openNow--;
      done(error === null || isRefused ? undefined : this.#plain(error, file));
      this.#begin();
    });
  }

  #answer(answer: Answer): void {
    this.#port.postMessage(answer);
  }

  #plain(error: unknown, path?: string): Failure {
    const { message, code } = error as NodeJS.ErrnoException; // what `node:fs` throws
    return { message, code, path };
  }
}
