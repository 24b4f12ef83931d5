/** What a command is: its place in the tree and its words (in `catalog.ts`), and its handler (a file in `commands/`, loaded when it runs). */
import { FenError } from "../kernel/errors.ts";
import type { AppContext } from "../app/context.ts";
import type { Console } from "./console.ts";

export interface FlagSpec {
  readonly type: "text" | "switch";
  readonly summary: string;
  readonly short?: string;
  /** How its value is shown: `K=V`. */
  readonly value?: string;
  readonly repeat?: boolean;
  /** What completions offer as its value. */
  readonly complete?: Completion;
  /** Accepted, but not shown. */
  readonly hidden?: boolean;
}

/** `file` and `folder` are left to the shell. */
export type Completion = "model" | "workflow" | "type" | "method" | "data" | "file" | "folder" | "run";

export interface ArgumentSpec {
  readonly name: string;
  readonly summary: string;
  readonly optional?: boolean;
  /** A flag that stands in for it: with that, it isn't given. */
  readonly unless?: string;
  /** What completions offer. */
  readonly complete?: Completion;
}

export interface CommandSpec {
  /** `["model", "method", "run"]` */
  readonly path: readonly string[];
  readonly summary: string;
  /** Further sentences for help. */
  readonly details?: string;
  readonly arguments?: readonly ArgumentSpec[];
  readonly flags?: Readonly<Record<string, FlagSpec>>;
  readonly examples?: readonly string[];
  /** Waits for locks: has the flags for that. */
  readonly locks?: boolean;
  readonly hidden?: boolean;
  load(): Promise<{ readonly handler: Handler }>;
}

export type Handler = (invocation: Invocation) => Promise<Outcome>;

export interface Invocation {
  readonly context: AppContext;
  readonly args: readonly string[];
  readonly flags: Flags;
  readonly console: Console;
  /** `--json`: one document on stdout, no questions. */
  readonly json: boolean;
}

export interface Outcome {
  /** What `--json` prints. */
  readonly document: unknown;
  /** The same for people, made from the document. */
  text(): string;
  readonly exitCode?: number;
  /** The text is somebody's own: content of data, what a command has printed, a script. It is written as it is. */
  readonly verbatim?: boolean;
  /** Long text may go through a pager. */
  readonly paged?: boolean;
  /** Nothing more is printed: the command has streamed what it had to say. */
  readonly silent?: boolean;
}

/** The flags of one call. */
export class Flags {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === "string" ? value : undefined;
  }

  list(name: string): readonly string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.map(String) : [];
  }

  on(name: string): boolean {
    return this.#values[name] === true;
  }

  /** A whole number from `least`. Throws `usage`. */
  number(name: string, least = 1): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least)
      throw new FenError("usage", `--${name} needs a whole number from ${least}, not: ${text}`, {
        hint: `For example: --${name} ${Math.max(least, 10)}`,
      });
    return value;
  }
}

export const lockFlags: Readonly<Record<string, FlagSpec>> = {
  "lock-timeout": {
    type: "text",
    value: "TIME",
    summary:
      "How long to wait for a lock: 0, 500ms, 30s, 5m, forever (also SWAMP_LOCK_TIMEOUT_MS). Default: forever on a terminal, else 10m",
  },
};

export const globalFlags: Readonly<Record<string, FlagSpec>> = {
  json: { type: "switch", summary: "One JSON document on stdout; errors as JSON on stderr; no questions" },
  "repo-dir": {
    type: "text",
    value: "DIR",
    complete: "folder",
    summary: "The repository (default: SWAMP_REPO_DIR, else here or above)",
  },
  quiet: { type: "switch", short: "q", summary: "Errors only on stderr" },
  verbose: { type: "switch", short: "v", summary: "More detail" },
  "log-level": { type: "text", value: "LEVEL", summary: "trace, debug, info, warning, error, fatal" },
  "no-color": { type: "switch", summary: "No colours (also NO_COLOR)" },
  "no-pager": { type: "switch", summary: "Don't page long output (also PAGER=cat)" },
  debug: { type: "switch", summary: "Stack traces with errors" },
  "no-telemetry": { type: "switch", hidden: true, summary: "Accepted for older scripts; fen sends nothing" },
  "show-properties": { type: "switch", hidden: true, summary: "Accepted for older scripts" },
  help: { type: "switch", short: "h", summary: "Help for a command" },
  version: { type: "switch", short: "V", summary: "The version" },
};
