/** A run as lines: a bar, counts, jobs, then steps at work, steps that wait and steps that failed, as many as there is room for. */
import { backoffAfter } from "../../../workflow/retry.ts";
import type { RunState } from "../../../workflow/run-state.ts";
import type { Console } from "../../console.ts";
import { columnsOf, fitted, type Part } from "../columns.ts";
import { waiting } from "../events.ts";
import { duration } from "../table.ts";
import type { KnownRun, ShownStep } from "./known.ts";

export interface Frame {
  /** Columns that a line may have. */
  readonly width: number;
  /** Lines that there may be. */
  readonly height: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Never more lines than `height`, never a line wider than `width`. */
export function picture(known: KnownRun, console: Console, frame: Frame): string[] {
  const { width, height } = frame;
  const { root, notice } = known;
  const isIdle = known.working.size === 0 && known.waiting.size === 0;
  if (notice !== undefined && isIdle) {
    const lines = waiting(console, notice).split("\n");
    return lines.slice(0, height).map((line) => fitted([[line]], width));
  }
  if (root === undefined) return [];
  const head = [
    bar(known, root, { console, ...frame }),
    fitted([[counts(known)]], width),
    ...(root.jobs.length > 1 && height > 6 ? [jobs(root, console, width)] : []),
  ];
  const room = Math.max(0, height - head.length);
  const sections = sectionsOf(known, console, frame).filter(({ wanted }) => wanted > 0);
  const shares = share(
    sections.map(({ wanted }) => wanted),
    room,
  );
  const rows = sections.flatMap((section, at) => sectionLines(section, shares[at] ?? 0, { console, width }));
  return [...head, ...rows].slice(0, height);
}

interface Section {
  readonly name: string;
  readonly steps: Iterable<ShownStep>;
  readonly count: number;
  /** Lines of all its steps. */
  readonly wanted: number;
  /** At most `room`. */
  lines(step: ShownStep, room: number): string[];
}

function sectionsOf(
  { working, waiting: queued, pausing, failed }: KnownRun,
  console: Console,
  frame: Frame,
): Section[] {
  return [
    {
      name: "at work",
      steps: working,
      count: working.size,
      wanted: working.size,
      lines: (step) => [workingLine(step, console, frame)],
    },
    {
      name: "waiting",
      steps: queued,
      count: queued.size,
      wanted: queued.size,
      lines: (step) => [waitingLine(step, console, frame)],
    },
    {
      name: "pausing",
      steps: pausing,
      count: pausing.size,
      wanted: pausing.size,
      lines: (step) => [pausingLine(step, console, frame)],
    },
    {
      name: "failed",
      steps: failed.toReversed(), // the newest are the first to get room
      count: failed.length,
      wanted: failed.reduce((sum, { lines }) => sum + 1 + lines.length, 0),
      lines: (step, room) => failedLines(step, console, { width: frame.width, room }),
    },
  ];
}

/** Lines of the first steps that fit into `room`; how many are left out is told in the last line. */
function sectionLines(
  { name, steps, count, wanted, lines }: Section,
  room: number,
  { console, width }: { readonly console: Console; readonly width: number },
): string[] {
  const shown: string[] = [];
  if (room <= 0) return shown;
  const isAll = wanted <= room;
  let taken = 0;
  for (const step of steps) {
    const isLast = taken === count - 1;
    const left = isAll ? room : room - shown.length - (isLast ? 0 : 1);
    if (left <= 0) break;
    shown.push(...lines(step, left));
    taken++;
  }
  if (taken < count && shown.length < room)
    shown.push(fitted([[`  … ${count - taken} more ${name}`, (text) => console.dim(text)]], width));
  return shown;
}

function bar(known: KnownRun, root: RunState, { console, width, now }: Frame & { readonly console: Console }): string {
  const all = known.counts;
  const ended = all.succeeded + all.failed + all.skipped + all.cancelled;
  const total = ended + all.pending + all.waiting + all.running;
  const share = total === 0 ? 1 : ended / total;
  const tail = ` ${ended}/${total}  ${Math.floor(share * 100)} %  ${duration(Math.max(0, (root.endedAt ?? now) - (known.since ?? now)))}`;
  const name = root.definition.name;
  const room = Math.min(40, width - columnsOf(tail) - Math.min(columnsOf(name), 30) - 2);
  if (room < 4) return fitted([[name, bold], [tail]], width);
  const part = (count: number) => (total === 0 ? 0 : Math.floor((count / total) * room));
  const bad = all.failed === 0 ? 0 : Math.max(1, part(all.failed));
  const good = Math.min(room - bad, part(all.succeeded));
  const other = Math.min(room - bad - good, part(all.skipped + all.cancelled));
  return fitted(
    [
      [fitted([[name]], Math.min(columnsOf(name), 30)), bold],
      ["  "],
      ["█".repeat(good), (text) => console.green(text)],
      ["█".repeat(bad), (text) => console.red(text)],
      ["▒".repeat(other), (text) => console.dim(text)],
      ["░".repeat(room - bad - good - other), (text) => console.dim(text)],
      [tail],
    ],
    width,
  );

  function bold(text: string): string {
    return console.bold(text);
  }
}

function counts(known: KnownRun): string {
  const all = known.counts;
  const words = [
    [all.running, "at work"],
    [all.waiting, "waiting for a lock"],
    [all.pending, "to come"],
    [all.succeeded, "succeeded"],
    [all.failed, "failed"],
    [all.skipped, "skipped"],
    [all.cancelled, "cancelled"],
  ] as const;
  return words
    .filter(([count]) => count > 0)
    .map(([count, word]) => `${count} ${word}`)
    .join(", ");
}

const marks: Readonly<Record<string, string>> = {
  pending: "·",
  running: "●",
  succeeded: "✔",
  failed: "✘",
  skipped: "-",
  cancelled: "-",
};

/** On one line: those that go on first, then those that are to come, then those that have ended. */
function jobs(root: RunState, console: Console, width: number): string {
  const rank = (status: string) => (status === "running" ? 0 : status === "failed" ? 1 : status === "pending" ? 2 : 3);
  const sorted = [...root.jobs].sort((a, b) => rank(a.status) - rank(b.status) || a.number - b.number);
  const isAll = sorted.reduce((sum, { name }) => sum + columnsOf(name) + 4, 0) <= width;
  const parts = (isAll ? root.jobs : sorted.slice(0, 20)).flatMap(({ name, status }): Part[] => [
    [
      `${marks[status] ?? " "} `,
      (text) => (status === "pending" || status === "skipped" ? text : console.status(text)),
    ],
    [`${name}  `],
  ]);
  return fitted(parts, width);
}

function workingLine({ label, state, run, lines }: ShownStep, console: Console, { width, now }: Frame): string {
  const took = duration(run.durationOf(state, now) ?? 0);
  const attempt = state.attempt > 1 ? `  attempt ${state.attempt}` : "";
  const said = lines.at(-1);
  return fitted(
    [
      ["● ", (text) => console.green(text)],
      [label],
      [`  ${took}${attempt}`, (text) => console.cyan(text)],
      ...(said === undefined ? [] : [[`  ${said}`, (text: string) => console.dim(text)] as const]),
    ],
    width,
  );
}

function waitingLine({ label, state }: ShownStep, console: Console, { width, now }: Frame): string {
  const { model = "?", by } = state.waitsFor ?? {};
  const time = duration(Math.max(0, now - (state.waitingSince ?? now)));
  return fitted(
    [
      ["◌ ", (text) => console.yellow(text)],
      [label],
      [
        `  waits for the lock on ${model}${by === undefined ? "" : `, held by ${by}`}  ${time}`,
        (text) => console.yellow(text),
      ],
    ],
    width,
  );
}

function pausingLine({ label, state }: ShownStep, console: Console, { width, now }: Frame): string {
  const { definition, attempt, failedAt = now, error = "" } = state;
  const { retry } = definition;
  const left = retry === undefined ? 0 : Math.max(0, failedAt + backoffAfter(retry, attempt) - now);
  const of = retry === undefined ? "" : ` of ${retry.attempts}`;
  const [first = ""] = error.split("\n");
  return fitted(
    [
      ["↻ ", (text) => console.yellow(text)],
      [label],
      [`  attempt ${attempt + 1}${of} in ${duration(left)}`, (text) => console.yellow(text)],
      [`  ${first}`, (text) => console.dim(text)],
    ],
    width,
  );
}

function failedLines(
  { label, state, lines }: ShownStep,
  console: Console,
  { width, room }: { readonly width: number; readonly room: number },
): string[] {
  const [error = ""] = (state.error ?? "").split("\n");
  return [
    fitted(
      [
        ["✘ ", (text) => console.red(text)],
        [label],
        [state.allowed === true ? " (allowed)" : ""],
        [`  ${error}`, (text) => console.red(text)],
      ],
      width,
    ),
    ...lines
      .slice(Math.max(0, lines.length - room + 1))
      .map((line) => fitted([[`    ${line}`, (text) => console.dim(text)]], width)),
  ];
}

/** Each gets what it wants where there is room; else its share at least, if it wants that. */
function share(wanted: readonly number[], room: number): number[] {
  const least = Math.floor(room / wanted.length);
  const given = wanted.map((lines) => Math.min(lines, least));
  let left = room - given.reduce((sum, lines) => sum + lines, 0);
  return given.map((lines, at) => {
    const more = Math.min(left, (wanted[at] ?? 0) - lines);
    left -= more;
    return lines + more;
  });
}
