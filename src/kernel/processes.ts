/**
 * Child processes: each in a process group of its own, ended as a group (TERM, a grace, KILL), their output handed on as it comes.
 * A group outlives us if we are killed; what it inherits (a lock) lives as long as it does.
 */
import type { ChildProcess } from "node:child_process";
import { constants } from "node:os";
import type { Readable } from "node:stream";
import type { Machine } from "./machine.ts";
import { systemErrorCode } from "./errors.ts";
import { groupLives } from "./process-group.ts";

export interface ProcessOptions {
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  /** How reasons name `cwd` and the command, where those may hold a secret. */
  readonly shown?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Descriptors that the child inherits (as 3, 4, ...). */
  readonly inherit: readonly number[];
  readonly timeoutMs?: number | undefined;
  /** From TERM to KILL; 5,000 ms if not given. */
  readonly graceMs?: number | undefined;
  /** Ends the group when it fires. */
  readonly signal: AbortSignal;
  /** Called synchronously, so a slow reader slows the child down. */
  onOutput(stream: "stdout" | "stderr", chunk: Uint8Array): void;
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
  let child: ChildProcess;
  try {
    child = startChild(options);
  } catch (error) {
    return notStarted(error); // some refusals are thrown, others come as an event
  }
  const run = new Running(machine, child, options);
  const failure = await run.started;
  if (failure !== undefined) return notStarted(failure);
  const { code, signal } = await run.finished;
  if (run.outputError !== undefined) throw run.outputError;
  const exitCode = run.endedBy === "timeout" ? -1 : (code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
  const reason =
    run.endedBy === "timeout"
      ? `timed out after ${options.timeoutMs} ms`
      : run.endedBy === "signal-sent"
        ? "cancelled"
        : undefined;
  return {
    exitCode,
    endedBy: run.endedBy,
    durationMs: elapsed(),
    ...(signal === null ? {} : { signal }),
    ...(reason === undefined ? {} : { reason }),
  };
}

function startChild(options: ProcessOptions): ChildProcess {
  const { spawn } = process.getBuiltinModule("node:child_process"); // 2 ms to load: those who still wait for their turn don't
  const [file, ...args] = options.command;
  return spawn(file, args, {
    cwd: options.cwd,
    env: { ...options.env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe", ...options.inherit],
  });
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
  readonly started: Promise<Error | undefined>;
  readonly finished: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  endedBy: ProcessResult["endedBy"] = "exit";
  outputError: unknown;
  readonly #machine: Machine;
  readonly #child: ChildProcess;
  readonly #options: ProcessOptions;
  #lastOutput = 0;
  #ending: Promise<void> | undefined;

  constructor(machine: Machine, child: ChildProcess, options: ProcessOptions) {
    this.#machine = machine;
    this.#child = child;
    this.#options = options;
    this.started = new Promise((resolve) => {
      child.once("spawn", () => resolve(undefined));
      child.once("error", resolve);
    });
    this.finished = this.#follow();
  }

  async #follow(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    const child = this.#child;
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
    const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
      child.once("exit", (code, signal) => resolve({ code, signal })),
    );
    this.#read("stdout", child.stdout);
    this.#read("stderr", child.stderr);
    if ((await this.started) !== undefined) return { code: null, signal: null };
    const onAbort = () => this.#end("signal-sent");
    this.#options.signal.addEventListener("abort", onAbort, { once: true });
    if (this.#options.signal.aborted) onAbort();
    const { timeoutMs } = this.#options;
    const timer =
      timeoutMs === undefined ? undefined : this.#machine.clock.every(timeoutMs, () => this.#end("timeout"));
    const result = await exited;
    timer?.[Symbol.dispose]();
    this.#options.signal.removeEventListener("abort", onAbort);
    await this.#ending;
    await this.#drain(closed);
    return result;
  }

  #read(stream: "stdout" | "stderr", pipe: Readable | null): void {
    pipe?.on("data", (chunk: Uint8Array) => {
      this.#lastOutput = this.#machine.clock.monotonic();
      if (this.outputError !== undefined) return;
      try {
        this.#options.onOutput(stream, chunk);
      } catch (error) {
        this.outputError = error;
        this.#end("signal-sent");
      }
    });
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
    const { pid } = this.#child;
    return pid !== undefined && groupLives(pid);
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // no such group any more
    }
  }

  /** What is in the pipes is read to the end; what a process in the background may write later isn't waited for. */
  async #drain(closed: Promise<void>): Promise<void> {
    const { clock } = this.#machine;
    const since = clock.monotonic();
    let looks = 0;
    const timer = clock.every(groupPollMs, () => {
      const isSilent = clock.monotonic() - Math.max(this.#lastOutput, since) >= silenceMs;
      if (!isSilent && ++looks < mostDrainLooks) return;
      this.#child.stdout?.destroy();
      this.#child.stderr?.destroy();
    });
    await closed;
    timer[Symbol.dispose]();
  }
}
