/** How long to wait before a step is tried again. */
import type { RetryPolicy } from "./definition.ts";

/** Doubling stops here, where the policy doesn't begin with more. */
const longestMs = 3_600_000;

/** Before the attempt after this one (the first is 1). */
export function backoffAfter({ backoffMs }: RetryPolicy, attempt: number): number {
  return Math.min(backoffMs * 2 ** (attempt - 1), Math.max(backoffMs, longestMs));
}
