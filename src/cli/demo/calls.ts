/** The calls of the demo: real processes of this program, followed through their event streams. */
import { spawn } from "node:child_process";

export interface Call {
  readonly label: string;
  readonly args: readonly string[];
  /** Milliseconds after the start of the demo. */
  readonly startAt: number;
  /** Wants what another call has: always shown. */
  readonly contends: boolean;
  state: "planned" | "starting" | "waiting" | "running" | "done" | "failed";
  pid: number | undefined;
  /** In whose way it was last told to be. */
  blockedBy: { readonly pid: number | undefined; readonly place: number } | undefined;
  /** All in milliseconds since the start of the demo. */
  begunAt: number;
  waitingSince: number | undefined;
  grantedAt: number | undefined;
  endedAt: number | undefined;
  /** How long the work itself took, as the call reports it. */
  workMs: number | undefined;
  /** What a failed call said. */
  problem: string;
}

export function planned(call: Pick<Call, "label" | "args" | "startAt" | "contends">): Call {
  return {
    ...call,
    state: "planned",
    pid: undefined,
    blockedBy: undefined,
    begunAt: 0,
    waitingSince: undefined,
    grantedAt: undefined,
    endedAt: undefined,
    workMs: undefined,
    problem: "",
  };
}

export interface RunCallOptions {
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  /** Milliseconds since the start of the demo. */
  now(): number;
  /** Told of each step. */
  onChange(call: Call): void;
}

/** Runs one call to its end; never rejects. When the signal fires, the call is told to end, and ends its own children. */
export function runCall(call: Call, { folder, env, signal, now, onChange }: RunCallOptions): Promise<void> {
  const become = (state: Call["state"]) => {
    call.state = state;
    onChange(call);
  };
  call.begunAt = now();
  become("starting");
  const child = spawn(process.execPath, [process.argv[1] ?? "fen", ...call.args, "--repo-dir", folder, "--stream"], {
    cwd: folder,
    env: { ...env },
    // Ctrl-C reaches the whole group of a terminal. Ours get the one signal that we send: a second one would cut their clean-up short.
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  call.pid = child.pid;
  const stop = () => child.kill("SIGTERM");
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  let rest = "";
  child.stdout.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const state = apply(call, line, now());
      if (state !== undefined) become(state);
    }
  });
  child.stderr.on("data", (chunk: Buffer) => (call.problem += chunk.toString()));
  return new Promise((resolve) => {
    const end = (state: "done" | "failed") => {
      signal.removeEventListener("abort", stop);
      call.endedAt ??= now();
      if (call.state !== state) become(state);
      resolve();
    };
    child.once("error", (error) => {
      call.problem = error.message;
      if (child.pid === undefined) end("failed");
    });
    child.once("close", (code) => end(code === 0 ? "done" : "failed"));
  });
}

interface StreamEvent {
  readonly event?: string;
  readonly holder?: { readonly pid?: number };
  readonly place?: number;
  readonly waitedMs?: number;
  readonly durationMs?: number;
  readonly status?: string;
}

/** What an event says about a call; gives its new state, if it has one. */
function apply(call: Call, line: string, at: number): Call["state"] | undefined {
  const event: StreamEvent = JSON.parse(line);
  switch (event.event) {
    case "lock.waiting":
      call.blockedBy = { pid: event.holder?.pid, place: event.place ?? 1 };
      call.waitingSince ??= at - (event.waitedMs ?? 0);
      return "waiting";
    case "lock.granted":
      call.grantedAt = at;
      // Taking a free lock is no waiting: only who was told to wait has waited.
      if (call.blockedBy !== undefined) call.waitingSince = at - (event.waitedMs ?? 0);
      return "running";
    case "run.finished":
      call.workMs = event.durationMs;
      call.endedAt = at;
      return event.status === "succeeded" ? "done" : undefined;
    case "result":
      call.endedAt ??= at; // a call that isn't a run: its locks are given back
      return undefined;
    default:
      return undefined;
  }
}
