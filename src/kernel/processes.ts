/**
 * Child processes: each in a process group of its own, ended as a group (TERM, a grace, KILL), their output handed on as it comes.
 * A group outlives us if we are killed; what it inherits (a lock) lives as long as it does.
 */
import { constants } from "node:os";
import type { Child, ChildOptions, Exit, OutputStream } from "./children.ts";
import { FenError, systemErrorCode } from "./errors.ts";
import { longestTimerMs, type Machine } from "./machine.ts";
import { groupLives } from "./process-group.ts";

export interface ProcessOptions extends ChildOptions {
  /** How reasons name `cwd` and the command, where those may hold a secret. */
  readonly shown?: string | undefined;
  readonly timeoutMs?: number | undefined;
  /** From TERM to KILL; 5,000 ms if not given. */
  readonly graceMs?: number | undefined;
  /** Ends the group when it fires. */
  readonly signal: AbortSignal;
  /** Called synchronously, so a slow reader slows the child down. */
  onOutput(stream: OutputStream, chunk: Uint8Array): void;
}

export interface ProcessResult {
  /** 128+n after signal n; -1 where the process could not be started or was timed out. */
  readonly exitCode: number;
  readonly endedBy: "exit" | "timeout" | "signal-sent" | "spawn-failed";
  readonly signal?: NodeJS.Signals;
  readonly durationMs: number;
  /** Why it was not started or was ended. */
  readonly reason?: string;
}

const defaultGraceMs = 5000;
/** After the leader's end, how long its pipes may be silent before we let go of what others in the background keep open. */
const silenceMs = 250;
const groupPollMs = 20;
/** Looks at pipes that are never silent: each look reads all that they hold, so that nothing of the leader's is missed. */
const mostDrainLooks = 100;

/** Runs a command to its end. Resolves also where it could not be started; rejects only when `onOutput` throws (the group is ended first). */
export async function runProcess(machine: Machine, options: ProcessOptions): Promise<ProcessResult> {
  const { clock } = machine;
  const start = clock.monotonic();
  const elapsed = () => Math.round(clock.monotonic() - start);
  if (options.signal.aborted)
    return { exitCode: -1, endedBy: "signal-sent", durationMs: 0, reason: "cancelled before it started" };
  const notStarted = (why: unknown): ProcessResult => ({
    exitCode: -1,
    endedBy: "spawn-failed",
    durationMs: elapsed(),
    reason: spawnReason(why, options),
  });
  const run = new Running(machine, options);
  const failure = await run.started;
  if (failure !== undefined) return notStarted(failure);
  const { code, signal } = await run.finished;
  if (run.outputError !== undefined) throw run.outputError;
  const exitCode = run.endedBy === "timeout" ? -1 : (code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
  const reason =
    run.endedBy === "timeout"
      ? `timed out after ${options.timeoutMs} ms`
      : run.endedBy === "signal-sent"
        ? whyEnded(options.signal)
        : undefined;
  return {
    exitCode,
    endedBy: run.endedBy,
    durationMs: elapsed(),
    ...(signal === null ? {} : { signal }),
    ...(reason === undefined ? {} : { reason }),
  };
}

function whyEnded({ reason }: AbortSignal): string {
  return reason instanceof FenError && reason.code === "step_timeout" ? "timed out" : "cancelled";
}

/** Node's own message would repeat the argument that it doesn't like. */
function spawnReason(error: unknown, options: ProcessOptions): string {
  const code = systemErrorCode(error) ?? "unknown";
  const why = spawnReasons[code] ?? code;
  return `can't start ${options.command[0]} in ${options.shown ?? options.cwd}: ${why}`;
}

const spawnReasons: Readonly<Record<string, string>> = {
  ENOENT: "no such program or folder",
  ENOTDIR: "that isn't a folder",
  EACCES: "permission denied",
  E2BIG: "the command or its environment is longer than the system allows; put the command into a file and run that",
  EMFILE: "too many files are open (ulimit -n)",
  EAGAIN: "too many processes (ulimit -u)",
  ERR_INVALID_ARG_VALUE: "the command, the folder or a variable holds a NUL",
  ERR_INVALID_ARG_TYPE: "a variable isn't text",
};

/** One child from its start until its group and its output have come to an end. */
class Running {
  /** Why it was not started. */
  readonly started: Promise<unknown>;
  readonly finished: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  endedBy: ProcessResult["endedBy"] = "exit";
  outputError: unknown;
  readonly #machine: Machine;
  readonly #child: Child;
  readonly #options: ProcessOptions;
  #pid: number | undefined;
  #lastOutput = 0;
  #ending: Promise<void> | undefined;

  constructor(machine: Machine, options: ProcessOptions) {
    this.#machine = machine;
    this.#options = options;
    const [started, exited, closed] = [new Later<unknown>(), new Later<Exit>(), new Later<void>()];
    this.started = started.promise;
    this.#child = machine.children.start(options, {
      started: (pid) => {
        this.#pid = pid;
        started.resolve(undefined);
      },
      failed: (error) => {
        started.resolve(error);
        exited.resolve({ code: null, signal: null });
        closed.resolve();
      },
      output: (stream, chunk) => this.#read(stream, chunk),
      ended: (code, signal) => exited.resolve({ code, signal }),
      closed: () => closed.resolve(),
    });
    this.finished = this.#follow(exited.promise, closed.promise);
  }

  async #follow(exited: Promise<Exit>, closed: Promise<void>): Promise<Exit> {
    if ((await this.started) !== undefined) return exited;
    const onAbort = () => this.#end("signal-sent");
    this.#options.signal.addEventListener("abort", onAbort, { once: true });
    if (this.#options.signal.aborted) onAbort();
    const timer = this.#limit();
    const result = await exited;
    timer?.[Symbol.dispose]();
    this.#options.signal.removeEventListener("abort", onAbort);
    await this.#ending;
    await this.#drain(closed);
    return result;
  }

  /** Of a time that is longer than a timer can be: so many of the longest. */
  #limit(): Disposable | undefined {
    const { timeoutMs } = this.#options;
    if (timeoutMs === undefined) return undefined;
    let left = timeoutMs;
    return this.#machine.clock.every(Math.min(timeoutMs, longestTimerMs), () => {
      left -= longestTimerMs;
      if (left <= 0) this.#end("timeout");
    });
  }

  #read(stream: OutputStream, chunk: Uint8Array): void {
    this.#lastOutput = this.#machine.clock.monotonic();
    if (this.outputError !== undefined) return;
    try {
      this.#options.onOutput(stream, chunk);
    } catch (error) {
      this.outputError = error;
      this.#end("signal-sent");
    }
  }

  #end(why: "timeout" | "signal-sent"): void {
    if (this.#ending !== undefined) return;
    this.endedBy = why;
    this.#ending = this.#endGroup();
  }

  /** TERM to the whole group; KILL to what is left of it after the grace. */
  async #endGroup(): Promise<void> {
    const { clock } = this.#machine;
    const until = clock.monotonic() + (this.#options.graceMs ?? defaultGraceMs);
    this.#signal("SIGTERM");
    // A stopped process gets TERM only when it goes on.
    this.#signal("SIGCONT");
    while (this.#groupLives()) {
      if (clock.monotonic() >= until) {
        this.#signal("SIGKILL");
        return;
      }
      await clock.sleep(groupPollMs);
    }
  }

  #groupLives(): boolean {
    return this.#pid !== undefined && groupLives(this.#pid);
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#pid === undefined) return;
    try {
      process.kill(-this.#pid, signal);
    } catch {
      // no such group any more
    }
  }

  /** What is in the pipes is read to the end; what a process in the background may write later isn't waited for. */
  async #drain(closed: Promise<void>): Promise<void> {
    const { clock } = this.#machine;
    const since = clock.monotonic();
    let looks = 0;
    const look = () => {
      const isSilent = clock.monotonic() - Math.max(this.#lastOutput, since) >= silenceMs;
      if (!isSilent && ++looks < mostDrainLooks) return;
      this.#child.letGo();
    };
    // After what is there has been read: where the event loop stood still for long, that comes behind the timers.
    const timer = clock.every(groupPollMs, () => setImmediate(look));
    await closed;
    timer[Symbol.dispose]();
  }
}

/** A promise that somebody else resolves. */
class Later<T> {
  readonly promise: Promise<T>;
  resolve: (value: T) => void = () => undefined;

  constructor() {
    this.promise = new Promise((resolve) => (this.resolve = resolve));
  }
}
