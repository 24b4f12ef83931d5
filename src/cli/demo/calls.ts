/** The calls of the demo: real processes of this program, followed through their event streams. */
import { spawn } from "node:child_process";

export interface Call {
  readonly label: string;
  readonly args: readonly string[];
  /** Milliseconds after the start of the demo. */
  readonly startAt: number;
  state: "planned" | "starting" | "waiting" | "running" | "done" | "failed";
  /** Whom it waits for. */
  why: string;
  begunAt: number;
  grantedAt: number | undefined;
  endedAt: number | undefined;
}

export function planned(label: string, args: readonly string[], startAt: number): Call {
  return { label, args, startAt, state: "planned", why: "", begunAt: 0, grantedAt: undefined, endedAt: undefined };
}

interface StreamEvent {
  readonly event?: string;
  readonly blockedBy?: string;
  readonly holder?: { readonly pid?: number; readonly command?: string };
  readonly place?: number;
}

/** Runs one call to its end. `now` gives milliseconds since the start; `onChange` is told of each step. */
export function runCall(
  call: Call,
  options: { folder: string; signal: AbortSignal; now: () => number; onChange: () => void },
): Promise<void> {
  const { folder, signal, now, onChange } = options;
  call.state = "starting";
  call.begunAt = now();
  const child = spawn(process.execPath, [process.argv[1] ?? "fen", ...call.args, "--stream"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const stop = () => child.kill("SIGTERM");
  signal.addEventListener("abort", stop, { once: true });
  let rest = "";
  child.stdout.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) apply(call, line, now());
    onChange();
  });
  return new Promise((resolve) => {
    child.on("error", () => undefined);
    child.on("close", (code) => {
      signal.removeEventListener("abort", stop);
      call.state = code === 0 ? "done" : "failed";
      call.endedAt = now();
      onChange();
      resolve();
    });
  });
}

function apply(call: Call, line: string, at: number): void {
  const event: StreamEvent = JSON.parse(line);
  if (event.event === "lock.waiting") {
    call.state = "waiting";
    call.why = `${event.blockedBy === "structural" ? "after" : "for"} ${shortCommand(event.holder?.command)}${event.holder?.pid === undefined ? "" : ` (pid ${event.holder.pid})`}${(event.place ?? 1) > 1 ? `, number ${event.place} in line` : ""}`;
  } else if (event.event === "lock.granted") {
    call.state = "running";
    call.grantedAt = at;
  }
}

function shortCommand(command: string | undefined): string {
  return (command ?? "another command")
    .replace(/^\S+ /, "")
    .replace("model method run ", "")
    .replace(/ execute.*/, "")
    .replace(/ --.*/, "");
}
