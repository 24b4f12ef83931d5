/** `command/shell`: runs `sh -c <run>` and keeps what it said. A failure keeps its output too. */
import { resolve } from "node:path";
import { isoNow } from "../../../kernel/iso-time.ts";
import { type ProcessResult, runProcess } from "../../../kernel/processes.ts";
import type { Schema } from "../../../expression/schema.ts";
import type { Appender } from "../../../store/contract.ts";
import type { MethodContext, MethodResult, ModelType, OutputSpec, Spool } from "../../type.ts";
import { Capture } from "./capture.ts";
import { LineSplitter } from "./lines.ts";

/** As much of each stream is kept in the result itself; the log has all of it. */
export const inlineBytes = 1024 * 1024;

const kept = { lifetime: "infinite", garbageCollection: 10 } as const;
const result: OutputSpec = {
  description: "Exit code, standard output and standard error of the command",
  contentType: "application/json",
  streaming: false,
  ...kept,
};
const log: OutputSpec = {
  description: "Everything that the command wrote",
  contentType: "text/plain",
  streaming: true,
  ...kept,
};

const schema: Schema = {
  type: "object",
  properties: {
    run: { type: "string", minLength: 1, description: "The command, for sh -c" },
    workingDir: { type: "string", description: "Folder to run in; default: where fen was called" },
    timeout: {
      type: "integer",
      exclusiveMinimum: 0,
      description: "Milliseconds until the command and all that it started are ended",
    },
    env: {
      type: "object",
      additionalProperties: { type: "string" },
      description: "Variables added to the environment",
    },
    ignoreExitCode: { type: "boolean", description: "Succeed whatever the exit code" },
  },
  required: ["run"],
  additionalProperties: false,
};

export const commandShell: ModelType = {
  name: "command/shell",
  version: "2026.02.09.1",
  description: "Runs a shell command",
  resources: { result },
  files: { log },
  methods: {
    execute: {
      description: "Run a shell command and keep its output",
      kind: "action",
      arguments: schema,
      rehearsal: { run: ":" },
      execute,
    },
  },
};

interface Arguments {
  readonly run: string;
  readonly workingDir: string | undefined;
  readonly timeout: number | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly ignoreExitCode: boolean;
}

/** The arguments have been checked against the schema; this only gives them their types. */
function read(args: Readonly<Record<string, unknown>>): Arguments {
  const { run, workingDir, timeout, env, ignoreExitCode } = args;
  const variables = typeof env === "object" && env !== null ? Object.entries(env) : [];
  return {
    run: String(run),
    workingDir: typeof workingDir === "string" ? workingDir : undefined,
    timeout: typeof timeout === "number" ? timeout : undefined,
    env: Object.fromEntries(variables.map(([name, value]) => [name, String(value)])),
    ignoreExitCode: ignoreExitCode === true,
  };
}

async function execute(given: Readonly<Record<string, unknown>>, context: MethodContext): Promise<MethodResult> {
  const args = read(given);
  const { host } = context.machine;
  const executedAt = isoNow(context.machine);
  const recorder = await Recorder.open(context);
  const ended = await runProcess(context.machine, {
    command: [shellOf(context.machine.host.platform), "-c", args.run],
    cwd: args.workingDir === undefined ? context.cwd : resolve(context.cwd, args.workingDir),
    shown: shownFolder(args, context.storable),
    env: { ...host.env, ...args.env, ...context.handDown.env },
    inherit: context.handDown.descriptors,
    timeoutMs: args.timeout,
    signal: context.signal,
    onOutput: (stream, chunk) => recorder.push(stream, chunk),
  });
  if (ended.reason !== undefined) recorder.say(ended.reason);
  await recorder.finish();
  const { run: storableRun } = context.storable;
  await context.writeResource("result", {
    exitCode: ended.exitCode,
    executedAt,
    command: typeof storableRun === "string" ? storableRun : args.run,
    durationMs: ended.durationMs,
    ...recorder.texts(),
  });
  return judge(ended, args.ignoreExitCode);
}

/** The working folder as the definition has it, where an expression gave it a value that may be secret. */
function shownFolder(args: Arguments, storable: Readonly<Record<string, unknown>>): string | undefined {
  const { workingDir } = storable;
  return typeof workingDir === "string" && workingDir !== args.workingDir ? workingDir : undefined;
}

function judge(ended: ProcessResult, ignoreExitCode: boolean): MethodResult {
  if (ended.endedBy !== "exit")
    return { status: "failed", message: `The command was not completed: ${ended.reason ?? ended.endedBy}.` };
  if (ended.exitCode === 0 || ignoreExitCode) return { status: "succeeded" };
  const why =
    ended.signal === undefined
      ? `exited with code ${ended.exitCode}`
      : `was ended by ${ended.signal} (exit code ${ended.exitCode})`;
  return { status: "failed", message: `The command ${why}.` };
}

/** Standard output goes to the log as it comes; standard error waits in a spool and follows it. */
class Recorder {
  readonly #file: Appender;
  readonly #spool: Spool;
  readonly #stdout: Capture;
  readonly #stderr: Capture;
  readonly #lines: { readonly stdout: LineSplitter; readonly stderr: LineSplitter };

  private constructor(context: MethodContext, file: Appender, spool: Spool) {
    this.#file = file;
    this.#spool = spool;
    this.#stdout = new Capture(inlineBytes, (bytes) => {
      if (file.size === 0) file.append("[stdout]\n");
      file.append(bytes);
    });
    this.#stderr = new Capture(inlineBytes, (bytes) => spool.append(bytes));
    this.#lines = {
      stdout: new LineSplitter((line) => context.output("stdout", line)),
      stderr: new LineSplitter((line) => context.output("stderr", line)),
    };
  }

  static async open(context: MethodContext): Promise<Recorder> {
    return new Recorder(context, await context.openFile("log"), await context.spool());
  }

  push(stream: "stdout" | "stderr", chunk: Uint8Array): void {
    (stream === "stdout" ? this.#stdout : this.#stderr).push(chunk);
    this.#lines[stream].push(chunk);
  }

  /** Adds a sentence of our own to standard error. */
  say(sentence: string): void {
    this.push("stderr", Buffer.from(`${this.#stderr.bytes > 0 ? "\n" : ""}${sentence}\n`));
  }

  async finish(): Promise<void> {
    this.#lines.stdout.end();
    this.#lines.stderr.end();
    if (this.#stderr.bytes > 0) {
      this.#file.append(this.#stdout.bytes > 0 ? "\n[stderr]\n" : "[stderr]\n");
      for await (const chunk of this.#spool.read()) this.#file.append(chunk);
    }
    await this.#file.close();
  }

  texts(): Record<string, unknown> {
    const { isCut: outCut, bytes: outBytes, text: stdout } = this.#stdout;
    const { isCut: errCut, bytes: errBytes, text: stderr } = this.#stderr;
    return {
      stdout,
      stderr,
      ...(outCut ? { stdoutTruncated: true, stdoutBytes: outBytes } : {}),
      ...(errCut ? { stderrTruncated: true, stderrBytes: errBytes } : {}),
    };
  }
}

/** By its path where that is the same everywhere: looking for it costs a failed start in each folder of PATH before the right one. */
function shellOf(platform: string): string {
  return platform === "win32" ? "sh" : "/bin/sh";
}
