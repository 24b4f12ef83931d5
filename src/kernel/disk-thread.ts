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
    const code = `(${work.toString()})(require("node:worker_threads").parentPort, require("node:fs"), require("node:path"), ${JSON.stringify(unsyncableFolder)})`;
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

/** What the thread does. It is given to it as text: nothing outside of it can be used. */
export function work(
  port: Pick<MessagePort, "on" | "postMessage">,
  { closeSync, fstatSync, fsync, mkdirSync, openSync, renameSync, unlinkSync, writeSync }: typeof fs,
  { dirname }: typeof path,
  unsyncable: readonly string[],
): void {
  /** So many files are made durable at a time: the threads that do it are the whole process's, and others wait for less. */
  const syncsAtOnce = 2;
  /** Paths of what isn't durable yet. */
  const written: string[] = [];
  let syncing = 0;
  let failure: Failure | undefined;
  const settling: number[] = [];

  const plain = (error: unknown): Failure => {
    const { message, code } = error as NodeJS.ErrnoException; // what `node:fs` throws
    return { message, code };
  };

  const open = (file: string): number => {
    try {
      return openSync(file, "wx");
    } catch (error) {
      if (plain(error).code !== "ENOENT") throw error;
      mkdirSync(dirname(file), { recursive: true }); // it was empty, and was removed
      return openSync(file, "wx");
    }
  };

  const write = ({ path: target, aside, text }: LaterFile): void => {
    let fd: number | undefined;
    try {
      fd = open(aside);
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
      closeSync(fd);
      renameSync(aside, target);
      written.push(target);
    } catch (error) {
      failure ??= plain(error);
      try {
        if (fd !== undefined) unlinkSync(aside);
      } catch {
        // The first failure is the one to tell.
      }
    }
  };

  const sync = (file: string, done: (failed: Failure | undefined) => void): void => {
    let fd: number;
    try {
      fd = openSync(file, "r");
    } catch (error) {
      return done(plain(error));
    }
    fsync(fd, (error) => {
      const isRefused = error !== null && unsyncable.includes(error.code ?? "") && fstatSync(fd).isDirectory();
      closeSync(fd);
      done(error === null || isRefused ? undefined : plain(error));
    });
  };

  const syncAll = (id: number, paths: readonly string[]): void => {
    let left = paths.length;
    let first: Failure | undefined;
    if (left === 0) port.postMessage({ id } satisfies Answer);
    for (const one of paths)
      sync(one, (failed) => {
        first ??= failed;
        if (--left === 0) port.postMessage({ id, failure: first } satisfies Answer);
      });
  };

  const next = (): void => {
    while (syncing < syncsAtOnce) {
      const one = written.pop();
      if (one === undefined) break;
      syncing++;
      sync(one, (failed) => {
        syncing--;
        if (failed?.code !== "ENOENT") failure ??= failed; // one that was removed meanwhile needn't be durable
        if (syncing < syncsAtOnce) next();
      });
    }
    if (syncing > 0) return;
    for (const id of settling.splice(0)) port.postMessage({ id, failure } satisfies Answer);
  };

  port.on("message", ({ id = -1, files = [], sync: paths, settle }: Question) => {
    for (const file of files) write(file);
    if (paths !== undefined) syncAll(id, paths);
    if (settle === true) settling.push(id);
    next();
  });
}
