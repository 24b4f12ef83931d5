/**
 * Errors that a person or a program can act upon. Everything that fen expects to go wrong is a
 * `FenError`; anything else that reaches the top is a defect and is shown as `internal`.
 * First cause wins and is kept in `cause`.
 */
import { type ErrorCode, type ErrorKind, errorCodes } from "./error-codes.ts";

export interface FenErrorOptions {
  /** What to do next, as a sentence or a command. */
  readonly hint?: string | undefined;
  /** Facts for programs: they appear as fields of the JSON error. Never secrets. */
  readonly facts?: Readonly<Record<string, unknown>> | undefined;
  readonly cause?: unknown;
}

export class FenError extends Error {
  override readonly name = "FenError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: FenErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.facts = options.facts ?? {};
  }

  get kind(): ErrorKind {
    return errorCodes[this.code].kind;
  }

  get retryable(): boolean {
    return errorCodes[this.code].retryable;
  }
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
        hint: "Free some space (fen data gc --dry-run shows what old versions hold), then run the command again.",
        facts,
        cause: error,
      });
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new FenError("not_writable", `Permission denied for ${what}: ${path}`, {
        hint: "Check the owner and the mode of that path.",
        facts,
        cause: error,
      });
    default:
      return new FenError("store_unavailable", `Can't use ${what}: ${path} (${code ?? asError(error).message})`, {
        hint: hints[code ?? ""] ?? "Look at that path with ls -ld, then run the command again.",
        facts,
        cause: error,
      });
  }
}

const hints: Readonly<Record<string, string>> = {
  EMFILE: "Too many files are open: raise the limit with ulimit -n, then run the command again.",
  ENFILE: "Too many files are open on this machine: end what isn't needed, then run the command again.",
  ENOTDIR: "A file stands where a folder is needed: move it away, then run the command again.",
  EEXIST: "A file stands where a folder is needed: move it away, then run the command again.",
  EISDIR: "A folder stands where a file is needed: move it away, then run the command again.",
  ENAMETOOLONG: "The name is too long for this filesystem: use a shorter one.",
  ELOOP: "A link leads back to itself: remove it, then run the command again.",
  EIO: "The disk or the network behind it fails: look into the system's log.",
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
  return new FenError(first.code, [first, ...others].map((error) => asError(error).message).join("\n"), {
    hint: first.hint,
    facts: first.facts,
    cause: thrown,
  });
}

/** In the order in which they happened; undefined for one that came alone. */
function together(thrown: unknown): readonly unknown[] | undefined {
  if (thrown instanceof AggregateError) return thrown.errors;
  // Of `await using`: the work failed, and so did giving back. Not every Node.js knows the class.
  const isSuppressed = thrown instanceof Error && thrown.name === "SuppressedError";
  return isSuppressed && "suppressed" in thrown && "error" in thrown ? [thrown.suppressed, thrown.error] : undefined;
}
