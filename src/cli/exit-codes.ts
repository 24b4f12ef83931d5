/** The one table of exit codes. Also in docs/reference/exit-codes.md and in `fen help --json`. */
import type { ErrorKind } from "../kernel/error-codes.ts";
import { FenError } from "../kernel/errors.ts";

export const exitCodes = {
  done: { code: 0, meaning: "done" },
  work_failed: {
    code: 1,
    meaning: "the work failed: a method or run failed, validation found errors, what was named isn't there",
  },
  usage: { code: 2, meaning: "the command line is wrong" },
  bad_data: { code: 65, meaning: "a file or an input is wrong" },
  unavailable: { code: 69, meaning: "a store can't be reached or written" },
  internal: { code: 70, meaning: "a defect of fen" },
  contention: { code: 75, meaning: "somebody else holds the lock; the same command may succeed later" },
  configuration: { code: 78, meaning: "the repository or its settings are wrong" },
  interrupted: { code: 128, meaning: "ended by signal n: 128 + n (130 for Ctrl-C)" },
} as const satisfies Record<ErrorKind | "done", { readonly code: number; readonly meaning: string }>;

const signals: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

export function exitCodeOf(error: unknown): number {
  if (!(error instanceof FenError)) return exitCodes.internal.code;
  if (error.kind !== "interrupted") return exitCodes[error.kind].code;
  return exitCodes.interrupted.code + (signals[String(error.facts["signal"])] ?? 0);
}
