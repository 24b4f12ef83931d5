/** Lengths of time as people write them: 500ms, 30s, 5m, 1h. */
const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

export const durationPattern = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/;

/** Milliseconds; undefined where the text isn't a number with one of the units. */
export function parseDuration(text: string): number | undefined {
  const [, number, unit = ""] = durationPattern.exec(text) ?? [];
  return number === undefined ? undefined : Number(number) * (units[unit] ?? 0);
}

/** For whoever waited in vain, or not at all. */
export function notFree(waitedMs: number): string {
  const seconds = (waitedMs / 1000).toFixed(1);
  return seconds === "0.0" ? "is not free" : `was not free within ${seconds} s`;
}
