/** The entry: words to a command, signals to an abort, errors to text or JSON and an exit code. */
import { setMaxListeners } from "node:events";
import { basename } from "node:path";
import { errorCodes } from "../kernel/error-codes.ts";
import { parseDuration } from "../kernel/duration.ts";
import type { AppContext } from "../app/context.ts";
import { asError, asOne, FenError, systemErrorCode } from "../kernel/errors.ts";
import { systemMachine } from "../kernel/machine.ts";
import type { Flags, Outcome } from "./command.ts";
import { Console } from "./console.ts";
import { exitCodeOf } from "./exit-codes.ts";
import { isTerminal, Output } from "./output.ts";
import { type ParsedLine, parseLine } from "./parse.ts";
import { eventPrinter } from "./render/events.ts";

declare const FEN_VERSION: string;

/** The version of this build. */
export const version = typeof FEN_VERSION === "string" ? FEN_VERSION : "0.0.0-source";

/** A second signal, or a clean-up that takes longer than this, ends the process at once. */
const cleanupMs = 10_000;

/** Runs one command line. Sets the process's exit code; resolves when the work is done. */
export async function main(argv: readonly string[]): Promise<void> {
  const wantsJson = argv.includes("--json") || argv.includes("--stream");
  let debug = argv.includes("--debug");
  const outputs = { out: new Output(1), err: new Output(2) };
  let console = new Console({ color: false, errColor: false, quiet: false, pager: false }, outputs);
  try {
    const line = parseLine(argv);
    debug = line.flags.on("debug");
    console = new Console(
      {
        color: wantsColor(line.flags, 1),
        errColor: wantsColor(line.flags, 2),
        quiet: line.flags.on("quiet") || quietLevels.includes(logLevel(line.flags)),
        pager: !line.flags.on("no-pager"),
      },
      outputs,
    );
    process.exitCode = await dispatch(line, argv, console);
    if (process.exitCode === 0) refuseLost(outputs.out);
  } catch (thrown) {
    const error = asOne(thrown);
    printError(console, error, { json: wantsJson, debug });
    process.exitCode = exitCodeOf(error);
  }
  // Nothing is left to be done; what is still open (a watch, a timer) need not be waited for.
  if (outputs.out.isFlushed && outputs.err.isFlushed) process.exit();
}

/** Whoever asked for a document must not take an empty file for one. */
function refuseLost({ failure }: Output): void {
  if (failure === undefined) return;
  const code = systemErrorCode(failure) ?? "";
  const isFull = ["ENOSPC", "EDQUOT"].includes(code);
  throw new FenError(
    isFull ? "disk_full" : "store_unavailable",
    `Standard output can't be written (${code}): what the command had to say is lost.`,
    { hint: "The command itself is done. Look at what it did before you repeat it.", cause: failure },
  );
}

async function dispatch(line: ParsedLine, argv: readonly string[], console: Console): Promise<number> {
  const { command, words, flags } = line;
  if (command === undefined && flags.on("version")) {
    console.out(flags.on("json") ? JSON.stringify({ version }, undefined, 2) : version);
    return 0;
  }
  if (command === undefined || flags.on("help")) {
    const { helpOn } = await import("./commands/help.ts");
    const help = helpOn(words, console);
    await print(console, help, flags);
    return 0;
  }
  const { handler } = await command.load();
  const mode = flags.on("stream") ? "stream" : flags.on("json") ? "json" : "text";
  const tellError = (error: FenError) =>
    printError(console, error, { json: mode !== "text", debug: flags.on("debug") });
  const signals = watchSignals(tellError);
  const marked: { level?: string | undefined } = {};
  const context: AppContext = {
    machine: systemMachine(describe(argv)),
    repoDir: flags.text("repo-dir"),
    signal: signals.signal,
    lockTimeoutMs:
      command.locks === true ? lockTimeout(flags, process.env["SWAMP_LOCK_TIMEOUT_MS"], console.isInteractive) : 0,
    emit: eventPrinter(
      console,
      mode,
      () => flags.on("verbose") || verboseLevels.includes(logLevel(flags, marked.level)),
    ),
    opened: (marker) => {
      marked.level = marker.logLevel;
      if (quietLevels.includes(logLevel(flags, marked.level))) console.hush();
    },
  };
  try {
    const outcome = await handler({
      context,
      args: line.args,
      flags,
      console,
      json: flags.on("json") || flags.on("stream"),
    });
    await print(console, outcome, flags);
    const exitCode = outcome.exitCode ?? 0;
    signals.done(exitCode);
    return exitCode;
  } catch (error) {
    signals.done();
    throw error;
  }
}

async function print(console: Console, outcome: Outcome, flags: Flags): Promise<void> {
  if (outcome.silent === true) return;
  if (flags.on("stream")) return console.out(JSON.stringify({ event: "result", result: outcome.document }));
  if (flags.on("json")) return console.out(JSON.stringify(outcome.document, undefined, 2));
  const told = outcome.text();
  if (told === "") return;
  const text = outcome.verbatim === true ? told : console.shown(told);
  if (outcome.paged === true) await console.page(text);
  else console.out(text);
}

function printError(
  console: Console,
  error: unknown,
  options: { readonly json: boolean; readonly debug: boolean },
): void {
  const known = error instanceof FenError ? error : undefined;
  const message = known?.message ?? `A defect of fen: ${asError(error).message}`;
  const hint = known === undefined ? "Please report it with the output of the same command and --debug." : known.hint;
  const stack = options.debug ? asError(error).stack : undefined;
  if (options.json) {
    const code = known?.code ?? "internal";
    const fields = {
      ...known?.facts,
      code,
      message,
      ...(hint === undefined ? {} : { hint }),
      retryable: errorCodes[code].retryable,
      ...(stack === undefined ? {} : { stack }),
    };
    console.errorDocument({ error: fields });
    return;
  }
  console.error(
    `${console.red("error:")} ${message}${hint === undefined ? "" : `\n${hint}`}${stack === undefined ? "" : `\n${stack}`}`,
  );
}

/** INT, TERM and HUP end the work first. `tell`: that not everything could be done. */
function watchSignals(tell: (error: FenError) => void): {
  readonly signal: AbortSignal;
  done(exitCode?: number): void;
} {
  const stop = new AbortController();
  setMaxListeners(0, stop.signal); // one for each thing that the command waits for
  const numbers = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 };
  const onSignal = (signal: NodeJS.Signals) => {
    const code = 128 + (signal === "SIGTERM" ? numbers.SIGTERM : signal === "SIGHUP" ? numbers.SIGHUP : numbers.SIGINT);
    if (stop.signal.aborted) process.exit(code);
    stop.abort(
      new FenError("interrupted", `Interrupted by ${signal}.`, {
        hint: "Run the command again when you want to.",
        facts: { signal },
      }),
    );
    const breakOff = () => {
      tell(brokenOff(signal));
      process.exit(code);
    };
    setTimeout(breakOff, cleanupMs).unref();
  };
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of names) process.on(name, onSignal);
  return {
    signal: stop.signal,
    // What is done and told can't be interrupted any more: a signal that comes now only makes the end come at once.
    done: (exitCode) => {
      for (const name of names) process.removeListener(name, onSignal);
      if (exitCode !== undefined) for (const name of names) process.on(name, () => process.exit(exitCode));
    },
  };
}

function brokenOff(signal: string): FenError {
  return new FenError(
    "interrupted",
    `Interrupted by ${signal}, and ended before everything was written: that took longer than ${cleanupMs / 1000} s.`,
    {
      hint: "Look what it left: fen datastore lock status. The run of a workflow goes on with: fen workflow resume RUN",
      facts: { signal },
    },
  );
}

function wantsColor(flags: Flags, fd: 1 | 2): boolean {
  const { env } = process;
  if (flags.on("no-color") || (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb") return false;
  return isTerminal(fd) || (env["FORCE_COLOR"] ?? "") !== "";
}

const verboseLevels = ["trace", "debug"];
const quietLevels = ["error", "fatal"];
const logLevels = [...verboseLevels, "info", "warning", ...quietLevels];

/** `--log-level`, else SWAMP_LOG_LEVEL, else what the repository's marker says: of that, nobody is told that it is wrong. */
function logLevel(flags: Flags, marked = "info"): string {
  const given = flags.text("log-level") ?? process.env["SWAMP_LOG_LEVEL"] ?? "";
  if (given !== "" && !logLevels.includes(given))
    throw new FenError("usage", `There is no log level ${given}.`, { hint: `Levels: ${logLevels.join(", ")}` });
  return given === "" ? marked : given;
}

/** Milliseconds; undefined = for ever. */
function lockTimeout(flags: Flags, fromEnv: string | undefined, interactive: boolean): number | undefined {
  const given = flags.text("lock-timeout");
  if (given === "forever") return undefined;
  if (given !== undefined) {
    const timeoutMs = parseDuration(/^\d+(\.\d+)?$/.test(given) ? `${given}s` : given);
    if (timeoutMs === undefined)
      throw new FenError("usage", `--lock-timeout can't be ${given}.`, {
        hint: "For example: 0, 500ms, 30s, 5m or forever",
      });
    return timeoutMs;
  }
  if (fromEnv !== undefined && fromEnv !== "") {
    if (fromEnv === "forever") return undefined;
    if (!/^\d+$/.test(fromEnv))
      throw new FenError("usage", `SWAMP_LOCK_TIMEOUT_MS must be a number of milliseconds, not: ${fromEnv}`, {
        hint: "For example: SWAMP_LOCK_TIMEOUT_MS=30000",
      });
    return Number(fromEnv);
  }
  return interactive ? undefined : 10 * 60_000;
}

/** The command line as others see it in lock records: values of inputs may be secrets and are left out. */
function describe(argv: readonly string[]): string {
  const name = basename(process.argv[1] ?? "fen").replace(/\.c?js$/, "");
  const shown: string[] = [];
  let hide = false;
  for (const word of argv) {
    if (hide) {
      shown.push(hidden(word));
      hide = false;
    } else if (/^--(input|global-arg)$/.test(word)) {
      shown.push(word);
      hide = true;
    } else {
      const match = /^(--(?:input|global-arg)=)(.*)$/s.exec(word);
      shown.push(match === null ? word : `${match[1] ?? ""}${hidden(match[2] ?? "")}`);
    }
  }
  return [name, ...shown].join(" ").slice(0, 500);
}

function hidden(pair: string): string {
  return /^[\w.-]+=/.test(pair) ? `${pair.slice(0, pair.indexOf("="))}=…` : "…";
}
