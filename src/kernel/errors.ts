/**
 * Errors that a person or a program can act upon. Everything that fen expects to go wrong is a
 * `FenError`; anything else that reaches the top is a defect and is shown as `internal`.
 * First cause wins and is kept in `cause`.
 */
import { type ErrorCode, type ErrorKind, errorCodes } from "./error-codes.ts";

export interface FenErrorOptions {
  /** What to do next, or what was kept: sentences, or a command. */
  readonly hint?: string | undefined;
  /** What must be mended before one can go on: words that begin a sentence, without its end. */
  readonly remedy?: string | undefined;
  /** How to go on, as the end of a sentence. Only whoever knows what was interrupted can say more than to run the command again. */
  readonly next?: string | undefined;
  /** Facts for programs: they appear as fields of the JSON error. Never secrets. */
  readonly facts?: Readonly<Record<string, unknown>> | undefined;
  readonly cause?: unknown;
}

export class FenError extends Error {
  override readonly name = "FenError";
  readonly code: ErrorCode;
  /** All of the advice: `hint`, `remedy` and `next` of the options. */
  readonly hint: string | undefined;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly #advice: Pick<FenErrorOptions, "hint" | "remedy" | "next">;

  constructor(code: ErrorCode, message: string, options: FenErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.#advice = options;
    this.hint = shownAdvice(options);
    this.facts = options.facts ?? {};
  }

  /** The same error, told by who knows more: another message, what is said before its hint, another way to go on, facts beside its own. */
  retold(by: Omit<FenErrorOptions, "remedy"> & { readonly message?: string }): FenError {
    const { hint, remedy, next } = this.#advice;
    const said = [by.hint, hint].filter((one) => one !== undefined).join(" ");
    return new FenError(this.code, by.message ?? this.message, {
      hint: said === "" ? undefined : said,
      remedy,
      next: by.next ?? next,
      facts: { ...this.facts, ...by.facts },
      cause: by.cause ?? this,
    });
  }

  get kind(): ErrorKind {
    return errorCodes[this.code].kind;
  }

  get retryable(): boolean {
    return errorCodes[this.code].retryable;
  }
}

function shownAdvice({ hint, remedy, next }: FenErrorOptions): string | undefined {
  const goOn = next ?? (remedy === undefined ? undefined : "run the command again.");
  const last = remedy === undefined ? goOn?.replace(/^./, (first) => first.toUpperCase()) : `${remedy}, then ${goOn}`;
  return hint === undefined || last === undefined ? (hint ?? last) : `${hint} ${last}`;
}

/** The `code` of a Node.js system error (`ENOENT`, ...), or undefined for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return undefined;
}

/** Turns what was thrown into an Error without losing it. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown });
}

/**
 * Says what the operating system refused, in words for people: a full disk, a missing permission,
 * too many open files. `what` names the thing, such as "the output record".
 */
export function storeError(error: unknown, what: string, path: string): FenError {
  if (error instanceof FenError) return error;
  const code = systemErrorCode(error);
  const facts = { path, systemCode: code };
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return new FenError("disk_full", `No room left to write ${what}: ${path}`, {
        remedy: "Free some space (fen data gc --dry-run shows what old versions hold)",
        facts,
        cause: error,
      });
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new FenError("not_writable", `Permission denied for ${what}: ${path}`, {
        remedy: "Check the owner and the mode of that path",
        facts,
        cause: error,
      });
    default:
      return new FenError("store_unavailable", `Can't use ${what}: ${path} (${code ?? asError(error).message})`, {
        remedy: remedies[code ?? ""] ?? "Look at that path with ls -ld",
        facts,
        cause: error,
      });
  }
}

const remedies: Readonly<Record<string, string>> = {
  EMFILE: "Too many files are open: raise the limit with ulimit -n",
  ENFILE: "Too many files are open on this machine: end what isn't needed",
  ENOTDIR: "A file stands where a folder is needed: move it away",
  EEXIST: "A file stands where a folder is needed: move it away",
  EISDIR: "A folder stands where a file is needed: move it away",
  ENAMETOOLONG: "The name is too long for this filesystem: use a shorter one",
  ELOOP: "A link leads back to itself: remove it",
  EIO: "The disk or the network behind it fails: look into the system's log",
};

/** Says what the operating system refused where nobody named the thing; undefined for anything but a system error. */
export function fromSystemError(error: unknown): FenError | undefined {
  if (!(error instanceof Error) || systemErrorCode(error) === undefined || !("syscall" in error)) return undefined;
  const path = "path" in error && typeof error.path === "string" ? error.path : String(error.syscall);
  return storeError(error, "a file", path);
}

/** The first error of several that came together, with the words of all; what the operating system refused, in words. */
export function asOne(thrown: unknown): unknown {
  const all = together(thrown);
  if (all === undefined) return fromSystemError(thrown) ?? thrown;
  const [first, ...others] = all.map(asOne);
  if (!(first instanceof FenError)) return first;
  return first.retold({ message: [first, ...others].map((error) => asError(error).message).join("\n"), cause: thrown });
}

/** In the order in which they happened; undefined for one that came alone. */
function together(thrown: unknown): readonly unknown[] | undefined {
  if (thrown instanceof AggregateError) return thrown.errors;
  // Of `await using`: the work failed, and so did giving back. Not every Node.js knows the class.
  const isSuppressed = thrown instanceof Error && thrown.name === "SuppressedError";
  return isSuppressed && "suppressed" in thrown && "error" in thrown ? [thrown.suppressed, thrown.error] : undefined;
}
