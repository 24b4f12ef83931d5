/** Times as records, logs and documents have them: ISO 8601, UTC, to the millisecond. */
import type { Machine } from "./machine.ts";

/** What a machine's clock says now. */
export function isoNow({ clock }: Pick<Machine, "clock">): string {
  return isoTime(clock.now());
}

/** Of milliseconds of the wall clock. */
export function isoTime(at: number): string {
  return new Date(at).toISOString();
}
