/** Starting children (decision 0009): here, or in a thread where many are started. What becomes of a child is told by events, in this order: started, ended, closed; or only failed. */
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import type { Worker } from "node:worker_threads";
import type { FromThread, ToThread } from "./child-thread.ts";

export interface ChildOptions {
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Descriptors that the child inherits (as 3, 4, ...). */
  readonly inherit: readonly number[];
}

export type OutputStream = "stdout" | "stderr";

export interface ChildEvents {
  /** The program runs, in a process group of its own that has this number. */
  started(pid: number): void;
  /** It was not started. Nothing follows. */
  failed(error: unknown): void;
  /** Before `closed`; after `ended` too, where others have the pipes. */
  output(stream: OutputStream, chunk: Uint8Array): void;
  ended(code: number | null, signal: NodeJS.Signals | null): void;
  /** Its output has come to an end. */
  closed(): void;
}

export interface Child {
  /** Closes our ends of its pipes. `closed` follows. */
  letGo(): void;
}

/** One that was started here. */
export interface DirectChild extends Child {
  /** Its output is read, or not for now. */
  setReading(isReading: boolean): void;
}

export interface Children {
  /** Never throws: what goes wrong is an event. */
  start(options: ChildOptions, events: ChildEvents): Child;
}

/** So many are started without a thread. */
const withoutThread = 16;

/** Starts children here, and in a thread once there are many. `thread`: the file that it runs; without it there is none. */
export function systemChildren(thread = join(dirname(import.meta.filename), "child-thread.cjs")): Children {
  const direct = directChildren();
  let started = 0;
  let inThread: ThreadChildren | undefined;
  return {
    start(options, events) {
      if (++started === withoutThread && existsSync(thread)) inThread = startThread(thread);
      return (inThread?.isUp === true ? inThread : direct).start(options, events);
    },
  };
}

/** Undefined where the system has no thread to give: children can still be started here. */
function startThread(file: string): ThreadChildren | undefined {
  try {
    return new ThreadChildren(file);
  } catch {
    return undefined; // too many processes, too little memory
  }
}

/** Starts children in the calling thread, which stands still until they run. */
export function directChildren(): { start(options: ChildOptions, events: ChildEvents): DirectChild } {
  return {
    start(options, events) {
      try {
        return follow(startChild(options), events);
      } catch (error) {
        events.failed(error); // some refusals are thrown, others come as an event
        return { letGo: () => undefined, setReading: () => undefined };
      }
    },
  };
}

function startChild(options: ChildOptions): ChildProcess {
  const { spawn } = process.getBuiltinModule("node:child_process"); // 2 ms to load: those who still wait for their turn don't
  const [file, ...args] = options.command;
  return spawn(file, args, {
    cwd: options.cwd,
    env: { ...options.env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe", ...options.inherit],
  });
}

function follow(child: ChildProcess, events: ChildEvents): DirectChild {
  const { stdout, stderr } = child;
  const pipes = [stdout, stderr].filter((pipe) => pipe !== null);
  const read = (stream: OutputStream, pipe: Readable | null) =>
    pipe?.on("data", (chunk: Uint8Array) => events.output(stream, chunk));
  child.once("spawn", () => {
    if (child.pid !== undefined) events.started(child.pid);
  });
  child.once("error", (error) => {
    if (child.pid === undefined) events.failed(error);
  });
  child.once("exit", (code, signal) => events.ended(code, signal));
  child.once("close", () => events.closed());
  read("stdout", stdout);
  read("stderr", stderr);
  return {
    letGo: () => {
      for (const pipe of pipes) pipe.destroy();
    },
    setReading: (isReading) => {
      for (const pipe of pipes) {
        if (isReading) pipe.resume();
        else pipe.pause();
      }
    },
  };
}

/** The main thread says what it has taken in portions of so many bytes. */
const takenBytes = 256 * 1024;

/** Starts children in a thread. */
export class ThreadChildren implements Children {
  readonly #thread: Worker;
  readonly #children = new Map<number, ChildEvents & { taken: number }>();
  #last = 0;
  #isUp = false;

  /** `file`: the built `child-thread.ts`. */
  constructor(file: string) {
    const { Worker } = process.getBuiltinModule("node:worker_threads");
    this.#thread = new Worker(file, { name: "children", resourceLimits: { maxYoungGenerationSizeMb: 4 } });
    this.#thread.on("error", (error) => {
      if (this.#isUp || this.#children.size > 0) throw error; // a defect of ours; who waits for a child would wait for ever
    });
    this.#thread.on("message", (messages: readonly FromThread[]) => {
      this.#isUp = true; // its first message says no more
      for (const message of messages) this.#receive(message);
    });
    this.#thread.unref();
  }

  /** Before, children can be started too, but wait for it. */
  get isUp(): boolean {
    return this.#isUp;
  }

  start(options: ChildOptions, events: ChildEvents): Child {
    const id = ++this.#last;
    if (this.#children.size === 0) this.#thread.ref();
    this.#children.set(id, { ...events, taken: 0 });
    const { command, cwd, env, inherit } = options;
    this.#send({ kind: "start", id, options: { command, cwd, env: { ...env }, inherit } });
    return { letGo: () => this.#send({ kind: "let-go", id }) };
  }

  #send(message: ToThread): void {
    this.#thread.postMessage(message);
  }

  #receive(message: FromThread): void {
    const { id } = message;
    const child = this.#children.get(id);
    if (child === undefined) return;
    if (message.kind === "started") child.started(message.pid);
    else if (message.kind === "ended") child.ended(message.code, message.signal);
    else if (message.kind === "output") {
      child.output(message.stream, message.chunk);
      child.taken += message.chunk.length;
      if (child.taken < takenBytes) return;
      this.#send({ kind: "taken", id, bytes: child.taken });
      child.taken = 0;
    } else {
      this.#children.delete(id);
      if (this.#children.size === 0) this.#thread.unref();
      if (message.kind === "closed") child.closed();
      else child.failed(Object.assign(new Error(message.message), { code: message.code }));
    }
  }
}
