/**
 * The only door to time, chance and the process. Everything above the kernel gets a `Machine` passed in,
 * so that a test can turn the clock and a simulation can replay a run.
 */
import { readFileSync } from "node:fs";
import { availableParallelism, hostname, uptime, userInfo } from "node:os";
import { basename } from "node:path";
import { type Children, systemChildren } from "./children.ts";
import { optimizeLater } from "./optimizer.ts";
import { systemRandom } from "./random.ts";

export interface Clock {
  /** Wall clock, milliseconds since the epoch. For people and records; never compared between hosts. */
  now(): number;
  /** Monotonic milliseconds with a fraction; only differences mean something. */
  monotonic(): number;
  /** Milliseconds since this machine was started, to about 10 ms. */
  sinceBoot(): number;
  /** Resolves after `ms`; rejects with `signal.reason` at once when the signal fires. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `task` once after `ms`, unless disposed before. */
  after(ms: number, task: () => void): Disposable;
  /** Calls `task` every `ms`, without keeping the process alive, until disposed. */
  every(ms: number, task: () => void): Disposable;
}

export interface Random {
  /** A random UUID (version 4). */
  uuid(): string;
  bytes(length: number): Uint8Array;
}

/** Who we are, as records and errors show it. */
export interface Host {
  readonly hostname: string;
  readonly user: string;
  readonly pid: number;
  readonly platform: NodeJS.Platform;
  /** Processors that this process may use. */
  readonly cores: number;
  /** So many files and pipes this process may have open at a time; undefined where the system doesn't say. */
  readonly mostOpenFiles?: number | undefined;
  /** `x64`, `arm64`, ... */
  readonly architecture: string;
  /** The Node.js program itself. */
  readonly execPath: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** The command line without the interpreter, for people: `fen model method run web-01 execute`. */
  readonly command: string;
}

export interface Machine {
  readonly clock: Clock;
  readonly random: Random;
  readonly host: Host;
  readonly children: Children;
  /** For who starts many commands: what runs often is made faster later than usual, for that takes the processors that the commands need. For good. */
  optimizeLater(): void;
}

/** A timer that is set for longer than this goes off at once. */
export const longestTimerMs = 2 ** 31 - 1;

/** Not `performance.now()`: the library behind it takes 2 ms to load. */
function monotonic(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}

export function systemClock(): Clock {
  return {
    now: () => Date.now(),
    monotonic,
    sinceBoot: () => uptime() * 1000,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const onAbort = () => {
          clearTimeout(timer);
          reject(signal?.reason);
        };
        const timer = setTimeout(() => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        }, ms);
        signal?.addEventListener("abort", onAbort, { once: true });
      }),
    after: (ms, task) => {
      const timer = setTimeout(task, ms);
      return { [Symbol.dispose]: () => clearTimeout(timer) };
    },
    every: (ms, task) => {
      const timer = setInterval(task, ms);
      timer.unref();
      return { [Symbol.dispose]: () => clearInterval(timer) };
    },
  };
}

/** `command` is what people see as "what command holds the lock" (the script's name if not given); it must not hold secrets. */
export function systemMachine(command: string = basename(process.argv[1] ?? "node")): Machine {
  return {
    clock: systemClock(),
    random: systemRandom(),
    children: systemChildren(),
    optimizeLater,
    host: {
      hostname: hostname(),
      user: process.env["USER"] ?? process.env["USERNAME"] ?? userName(),
      pid: process.pid,
      platform: process.platform,
      get cores() {
        return availableParallelism();
      },
      get mostOpenFiles() {
        return mostOpenFiles();
      },
      architecture: process.arch,
      execPath: process.execPath,
      env: process.env,
      cwd: process.cwd(),
      command,
    },
  };
}

/** Only Linux says. */
function mostOpenFiles(): number | undefined {
  try {
    const [, limit] = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1")) ?? [];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    return undefined;
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A uid without an entry in the user database (common in containers): the name is for people only.
    return "unknown";
  }
}
