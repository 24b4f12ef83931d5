/**
 * A thread that writes small files and makes things durable for a thread that has more to do: to open, write, rename, sync and close from there costs the
 * one that asks nothing but a message. It takes some 30 ms of a processor to start, so it is for those who have hundreds to write.
 */
import type * as fs from "node:fs";
import type * as path from "node:path";
import { type MessagePort, Worker } from "node:worker_threads";
import { unsyncableFolder } from "./files.ts";

export interface LaterFile {
  readonly path: string;
  /** In the same folder, which is there: written first, then renamed. */
  readonly aside: string;
  readonly text: string;
}

interface Question {
  readonly files?: readonly LaterFile[];
  /** What is to be made durable now. */
  readonly sync?: readonly string[];
  /** Everything that was written is to be made durable. */
  readonly settle?: true;
  /** Of an answer; without one there is none. */
  readonly id?: number;
}

interface Answer {
  readonly id: number;
  readonly failure?: Failure | undefined;
}

/** What is left of a system error on its way from thread to thread. */
interface Failure {
  readonly message: string;
  readonly code?: string | undefined;
}

/** What is written within so many milliseconds goes there together. */
const gatherMs = 5;

interface Asked {
  resolve(): void;
  reject(error: Error): void;
}

export class DiskThread {
  readonly #worker: Worker;
  readonly #asked = new Map<number, Asked>();
  #files: LaterFile[] = [];
  #questions = 0;
  #failed: Error | undefined;

  constructor() {
    const given = `require("node:worker_threads").parentPort, { fs: require("node:fs"), path: require("node:path") }`;
    const code = `new (${Disk.toString()})(${given}, ${JSON.stringify(unsyncableFolder)}).serve()`;
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

  /** The file gets there soon: whole or not at all. That it didn't is thrown by `settled`. */
  write(file: LaterFile): void {
    if (this.#files.push(file) === 1) setTimeout(() => this.#post(), gatherMs); // to wake the other thread is what it costs
  }

  /**
   * Resolves when the contents of everything written so far survive a power cut; their names do once their folders are synced.
   * Throws the first failure of all, as the system told it.
   */
  settled(): Promise<void> {
    this.#post();
    return this.#ask({ settle: true });
  }

  /** Resolves when these files and folders survive a power cut. Throws as the system does. */
  sync(paths: Iterable<string>): Promise<void> {
    return this.#ask({ sync: [...paths] });
  }

  #post(): void {
    if (this.#files.length > 0 && this.#failed === undefined)
      this.#worker.postMessage({ files: this.#files } satisfies Question);
    this.#files = [];
  }

  #ask(question: Question): Promise<void> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    const id = this.#questions++;
    return new Promise((resolve, reject) => {
      if (this.#asked.size === 0) this.#worker.ref();
      this.#asked.set(id, { resolve, reject });
      this.#worker.postMessage({ ...question, id } satisfies Question);
    });
  }

  #told({ id, failure }: Answer): void {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (this.#asked.size === 0) this.#worker.unref();
    if (failure === undefined) asked?.resolve();
    else asked?.reject(Object.assign(new Error(failure.message), { code: failure.code }));
  }

  #ended(error: Error): void {
    this.#failed ??= error;
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
  }
}

/** What the thread does. Its code is given to it as text: nothing outside of the class can be used. */
export class Disk {
  /** So many files are made durable at a time: the threads that do it are the whole process's, and others wait for less. */
  readonly #syncsAtOnce = 2;
  readonly #port: Pick<MessagePort, "on" | "postMessage">;
  readonly #fs: typeof fs;
  readonly #path: typeof path;
  readonly #unsyncable: readonly string[];
  /** Paths of what isn't durable yet. */
  readonly #written: string[] = [];
  readonly #settling: number[] = [];
  #syncing = 0;
  #failure: Failure | undefined;

  constructor(
    port: Pick<MessagePort, "on" | "postMessage">,
    node: { readonly fs: typeof fs; readonly path: typeof path },
    unsyncable: readonly string[],
  ) {
    this.#port = port;
    this.#fs = node.fs;
    this.#path = node.path;
    this.#unsyncable = unsyncable;
  }

  serve(): void {
    this.#port.on("message", (question: Question) => this.#asked(question));
  }

  #asked({ id = -1, files = [], sync: paths, settle }: Question): void {
    for (const file of files) this.#write(file);
    if (paths !== undefined) this.#syncAll(id, paths);
    if (settle === true) this.#settling.push(id);
    this.#next();
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
      this.#written.push(target);
    } catch (error) {
      this.#failure ??= this.#plain(error);
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

  #next(): void {
    while (this.#syncing < this.#syncsAtOnce) {
      const one = this.#written.pop();
      if (one === undefined) break;
      this.#syncing++;
      this.#sync(one, (failed) => {
        this.#syncing--;
        if (failed?.code !== "ENOENT") this.#failure ??= failed; // one that was removed meanwhile needn't be durable
        if (this.#syncing < this.#syncsAtOnce) this.#next();
      });
    }
    if (this.#syncing > 0) return;
    for (const id of this.#settling.splice(0)) this.#answer({ id, failure: this.#failure });
  }

  #syncAll(id: number, paths: readonly string[]): void {
    let left = paths.length;
    let failure: Failure | undefined;
    if (left === 0) this.#answer({ id });
    for (const one of paths)
      this.#sync(one, (failed) => {
        failure ??= failed;
        if (--left === 0) this.#answer({ id, failure });
      });
  }

  #sync(file: string, done: (failed: Failure | undefined) => void): void {
    let fd: number;
    try {
      fd = this.#fs.openSync(file, "r");
    } catch (error) {
      return done(this.#plain(error));
    }
    this.#fs.fsync(fd, (error) => {
      const isRefused = this.#unsyncable.includes(error?.code ?? "") && this.#fs.fstatSync(fd).isDirectory();
      this.#fs.closeSync(fd);
      done(error === null || isRefused ? undefined : this.#plain(error));
    });
  }

  #answer(answer: Answer): void {
    this.#port.postMessage(answer);
  }

  #plain(error: unknown): Failure {
    const { message, code } = error as NodeJS.ErrnoException; // what `node:fs` throws
    return { message, code };
  }
}
