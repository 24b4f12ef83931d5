/** Bars on a time axis: `·` starting, `░` waiting for the lock, `█` working. No line is longer than the width that it is given. */
import type { Console } from "../console.ts";
import { duration, lengthOf } from "../render/table.ts";
import type { Call } from "./calls.ts";

const marks = { planned: " ", starting: "·", waiting: "◌", running: "●", done: "✔", failed: "✘" } as const;
const labelWidth = 10;
/** Mark, label and the blanks after them. */
export const indent = labelWidth + 3;

export interface Axis {
  readonly now: number;
  /** Milliseconds that the bars' width stands for. */
  readonly scale: number;
  /** Columns for bars; 0 = none. */
  readonly bars: number;
  /** Columns for the whole line. */
  readonly width: number;
}

/** One call: mark, label, bar and a note behind the bar, as much of it as there is room for. */
export function row(console: Console, call: Call, options: { readonly axis: Axis; readonly note: string }): string {
  const { axis, note } = options;
  const segments = axis.bars > 0 ? cut(call, axis) : [];
  const bar = segments.map(({ kind, length }) => paint(console, kind, length)).join("");
  const used = segments.reduce((sum, segment) => sum + segment.length, 0);
  const label = clip(call.label.padEnd(labelWidth), axis.width - 3);
  const room = axis.width - indent - used - 1;
  const shown = note === "" || room < 4 ? "" : `${used > 0 ? " " : ""}${console.dim(clip(note, room))}`;
  return `${mark(console, call)} ${label} ${bar}${shown}`.trimEnd();
}

function mark(console: Console, { state }: Call): string {
  const text = marks[state];
  if (state === "failed") return console.red(text);
  if (state === "waiting") return console.yellow(text);
  return state === "done" || state === "running" ? console.green(text) : console.dim(text);
}

type Kind = "before" | "starting" | "waiting" | "working" | "failed";

/** Whole columns, so that what begins together stands together; work that was done is never invisible. */
function cut(call: Call, { now, scale, bars }: Axis): { kind: Kind; length: number }[] {
  if (call.state === "planned") return [];
  const column = (ms: number) => Math.min(bars, Math.floor((ms / scale) * bars));
  const end = column(call.endedAt ?? now);
  const granted = call.grantedAt === undefined ? end : Math.min(column(call.grantedAt), Math.max(0, bars - 1));
  const waiting = Math.min(granted, call.waitingSince === undefined ? granted : column(call.waitingSince));
  const begun = Math.min(waiting, column(call.begunAt));
  const worked = call.grantedAt === undefined ? 0 : Math.max(1, end - granted);
  return [
    { kind: "before", length: begun },
    { kind: "starting", length: waiting - begun },
    { kind: "waiting", length: granted - waiting },
    { kind: call.state === "failed" ? "failed" : "working", length: worked },
  ];
}

function paint(console: Console, kind: Kind, length: number): string {
  if (length <= 0) return "";
  switch (kind) {
    case "before":
      return " ".repeat(length);
    case "starting":
      return console.dim("·".repeat(length));
    case "waiting":
      return console.yellow("░".repeat(length));
    case "working":
      return console.green("█".repeat(length));
    case "failed":
      return console.red("█".repeat(length));
  }
}

/** The time axis below the rows, and what the bars mean. */
export function legend(console: Console, { scale, bars, width }: Axis): string[] {
  const end = duration(scale);
  const words = `${paint(console, "starting", 1)} starts   ${paint(console, "waiting", 1)} waits for its lock   ${paint(console, "working", 1)} works`;
  const pad = " ".repeat(indent);
  return [
    ...(bars > end.length + 1 ? [pad + console.dim(`0${end.padStart(bars - 1)}`)] : []),
    ...(width >= indent + 42 ? [pad + words] : []),
  ];
}

/** The two times as bars, one above the other. */
export function comparison(
  console: Console,
  options: { readonly tookMs: number; readonly globalMs: number; readonly width: number },
): string[] {
  const { tookMs, globalMs, width } = options;
  const names = ["one lock per model", "one global lock"] as const;
  const room = width - names[0].length - 12;
  const longest = Math.max(tookMs, globalMs);
  const line = (name: string, ms: number, color: (text: string) => string) => {
    const bar = room < 8 ? "" : `${color("█".repeat(Math.max(1, Math.round((ms / longest) * room))))} `;
    return `${name.padEnd(names[0].length)}  ${bar}${console.bold(duration(ms))}`;
  };
  return [
    line(names[0], tookMs, (text) => console.green(text)),
    line(names[1], globalMs, (text) => console.yellow(text)),
  ];
}

/** At most `width` columns. */
export function clip(text: string, width: number): string {
  if (text.length <= width) return text;
  return width <= 1 ? text.slice(0, Math.max(0, width)) : `${text.slice(0, width - 1)}…`;
}

/** Words broken into lines of at most `width` columns; a longer word gets a line of its own. */
export function wrap(text: string, width: number): string {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line !== undefined && lengthOf(line) + 1 + lengthOf(word) <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines.join("\n");
}
