/** Text tables. Columns are as wide as their widest cell; colours don't count. */
import { columnsOf, printableLine } from "./columns.ts";

export const colorCodes = new RegExp(`${String.fromCodePoint(27)}\\[\\d+m`, "g");

export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  dim: (text: string) => string = (text) => text,
): string {
  if (rows.length === 0) return "";
  const cells = rows.map((row) => row.map(printableLine)); // a name may hold a newline, or worse
  const all = [head, ...cells];
  const widths = head.map((_, column) => Math.max(...all.map((row) => lengthOf(row[column] ?? ""))));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        column === row.length - 1 ? cell : cell + " ".repeat((widths[column] ?? 0) - lengthOf(cell)),
      )
      .join("  ")
      .trimEnd();
  return [dim(line(head)), ...cells.map(line)].join("\n");
}

/** Columns that a text takes. */
export function lengthOf(text: string): number {
  return columnsOf(text.replaceAll(colorCodes, ""));
}

/** `2026-01-31 12:00:00`, of a time in ISO 8601. */
export function dateTime(iso: string): string {
  return iso.slice(0, 19).replace("T", " ");
}

const dayMs = 86_400_000;

/** `12:00:00`, of a time in ISO 8601; with the date where that was a day ago or longer. */
export function timeSince(iso: string, now = Date.now()): string {
  return now - Date.parse(iso) < dayMs ? iso.slice(11, 19) : dateTime(iso);
}

/** `1.5 KiB` */
export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit] ?? ""}`;
}

/** `340 ms`, `2.5 s`, `3 m 5 s`, `2 h 10 m` */
export function duration(ms: number): string {
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`;
  if (Math.round(ms / 100) < 600) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} m ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} m`;
}

/** `key  value` lines, keys aligned. */
export function fields(pairs: readonly (readonly [string, unknown])[]): string {
  const shown = pairs.filter(([, value]) => value !== undefined);
  const width = Math.max(...shown.map(([key]) => key.length));
  return shown
    .map(([key, value]) => {
      const text = typeof value === "object" ? JSON.stringify(value) : String(value);
      return `${key.padEnd(width)}  ${printableLine(text)}`;
    })
    .join("\n");
}
