/** Times as records, logs and documents have them: ISO 8601, UTC, to the millisecond. */
import type { Machine } from "./machine.ts";

/** What a machine's clock says now. */
export function isoNow({ clock }: Pick<Machine, "clock">): string {
  return isoTime(clock.now());
}

/** Of milliseconds of the wall clock. `toISOString` says the same, but looks for the local time zone before, which takes each command 0.4 ms. */
export function isoTime(at: number): string {
  const time = new Date(at);
  const year = time.getUTCFullYear();
  if (!(year >= 1000 && year <= 9999)) return time.toISOString(); // it knows how to write those, and throws for what is none
  const date = `${year}-${two(time.getUTCMonth() + 1)}-${two(time.getUTCDate())}`;
  const hours = `${two(time.getUTCHours())}:${two(time.getUTCMinutes())}:${two(time.getUTCSeconds())}`;
  return `${date}T${hours}.${String(time.getUTCMilliseconds()).padStart(3, "0")}Z`;
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}
