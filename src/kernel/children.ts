/** Starting children (decision 0009). What becomes of a child is told by events, in this order: started, ended, closed; or only failed. */
import type { ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";
import { PosixSpawn } from "./posix-spawn.ts";

export interface ChildOptions {
  /** The program by its path, and its arguments. */
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Descriptors that the child inherits (as 3, 4, ...). */
  readonly inherit: readonly number[];
}

export type OutputStream = "stdout" | "stderr";

/** Both are null where how it ended can't be known. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildEvents {
  /** The program runs, in a process group of its own that has this number. */
  started(pid: number): void;
  /** It was not started. Nothing follows. */
  failed(error: unknown): void;
  /** Before `closed`; after `ended` too, where others have the pipes. */
  output(stream: OutputStream, chunk: Uint8Array): void;
  /** Both are null where how it ended can't be known. */
  ended(code: number | null, signal: NodeJS.Signals | null): void;
  /** It has ended, and its output has come to an end. */
  closed(): void;
}

export interface Child {
  /** Closes our ends of its pipes. `closed` follows. */
  letGo(): void;
}

export interface Children {
  /** Never throws: what goes wrong is an event. `started` and `failed` may come before it returns. */
  start(options: ChildOptions, events: ChildEvents): Child;
}

/** As the system can: by `posix_spawn` where its library is installed, else by Node. */
export function systemChildren(): Children {
  let children: Children | undefined;
  return { start: (options, events) => (children ??= posixChildren() ?? nodeChildren()).start(options, events) };
}

const nothing: Child = { letGo: () => undefined };

/** What starts children and says how they ended. */
export type ChildSystem = Pick<PosixSpawn, "spawn" | "ended">;

/** Undefined where the system has no library for it. */
export function posixChildren(system?: ChildSystem): Children | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return new PosixChildren(system ?? new PosixSpawn());
  } catch {
    return undefined; // another processor, another C library, or a package that was left out
  }
}

/** A signal may come late or be lost (another part of the process may wait for children): so often we look anyway, in milliseconds. */
const lookMs = 1000;

class PosixChildren implements Children {
  readonly #system: ChildSystem;
  readonly #living = new Map<number, (code: number | null, signal: NodeJS.Signals | null) => void>();
  #starting = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(system: ChildSystem) {
    this.#system = system;
    process.on("SIGCHLD", this.#look); // for good: to come and go with each child would cost more than the child's end
  }

  start(options: ChildOptions, events: ChildEvents): Child {
    this.#starting++;
    this.#beginLooking();
    let pipes: readonly Readable[] = [];
    void this.#system
      .spawn(options)
      .then(({ pid, stdout, stderr }) => {
        let open = 3;
        const close = () => {
          if (--open === 0) events.closed();
        };
        this.#living.set(pid, (code, signal) => {
          events.ended(code, signal);
          close();
        });
        pipes = [pipe(stdout, "stdout", events, close), pipe(stderr, "stderr", events, close)];
        events.started(pid);
      })
      .catch((error: unknown) => events.failed(error))
      .finally(() => {
        this.#starting--;
        this.#look(); // its signal may have come before we knew its number
      });
    return { letGo: () => pipes.forEach((one) => one.destroy()) };
  }

  readonly #look = () => {
    for (const [pid, ended] of this.#living) {
      const exit = this.#system.ended(pid);
      if (exit === undefined) continue;
      this.#living.delete(pid);
      ended(exit.code, exit.signal);
    }
    this.#endLooking();
  };

  #beginLooking(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(this.#look, lookMs); // keeps the process alive too, as a child does
  }

  #endLooking(): void {
    if (this.#living.size + this.#starting > 0 || this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function pipe(fd: number, stream: OutputStream, events: ChildEvents, closed: () => void): Readable {
  const { Socket } = process.getBuiltinModule("node:net"); // 3 ms to load: those who still wait for their turn don't
  const socket = new Socket({ fd, readable: true, writable: false });
  socket.on("data", (chunk: Uint8Array) => events.output(stream, chunk));
  socket.once("error", () => undefined); // `close` follows: what could be read has been
  socket.once("close", closed);
  return socket;
}

/** By Node, which forks. */
export function nodeChildren(): Children {
  return {
    start(options, events) {
      try {
        return follow(startChild(options), events);
      } catch (error) {
        events.failed(error); // some refusals are thrown, others come as an event
        return nothing;
      }
    },
  };
}

function startChild(options: ChildOptions): ChildProcess {
  const { spawn } = process.getBuiltinModule("node:child_process"); // as above
  const [file, ...args] = options.command;
  return spawn(file, args, {
    cwd: options.cwd,
    env: { ...options.env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe", ...options.inherit],
  });
}

function follow(child: ChildProcess, events: ChildEvents): Child {
  const { stdout, stderr } = child;
  const read = (stream: OutputStream, from: Readable | null) =>
    from?.on("data", (chunk: Uint8Array) => events.output(stream, chunk));
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
  return { letGo: () => [stdout, stderr].forEach((one) => one?.destroy()) };
}
