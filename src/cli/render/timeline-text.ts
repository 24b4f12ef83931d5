/** The timeline of a run on a terminal: a bar for each step, `░` waiting for its lock, `█` working, `·` between two attempts. */
import type { RunTimeline, TimelineStep } from "../../app/workflow-history.ts";
import type { Console } from "../console.ts";
import { columnsOf, fitted, type Part } from "./columns.ts";
import { duration } from "./table.ts";

type Segment = TimelineStep["segments"][number];

const marks: Readonly<Record<string, string>> = {
  succeeded: "✔",
  failed: "✘",
  running: "●",
  interrupted: "✘",
  waiting: "◌",
  cancelled: "-",
  skipped: "-",
};

export function showTimeline(timeline: RunTimeline, console: Console): string {
  const { steps, status, workflowName, waited, duration: took } = timeline;
  const width = Math.max(40, console.width - 1);
  const names = steps.reduce((widest, step) => Math.max(widest, columnsOf(labelOf(step, timeline))), 8);
  const label = Math.min(names, Math.floor(width / 3));
  const bars = width - label - 14;
  const first = steps.reduce((from, step) => Math.min(from, step.segments[0]?.from ?? 0), 0);
  const scale = Math.max(1, took - first);
  const column = (ms: number) => Math.max(0, Math.min(bars, Math.floor(((ms - first) / scale) * bars)));
  const end = duration(took);
  return [
    `${console.bold(workflowName)}  ${console.status(status)}  ${end}${waited < 1 ? "" : console.dim(`  after ${duration(waited)} of waiting for its locks`)}`,
    ...steps.map((step) => stepLine(step, timeline, { console, column, label, bars, width })),
    " ".repeat(label + 3) + console.dim(`0${end.padStart(Math.max(0, bars - 1))}`),
    fitted(
      [
        [" ".repeat(label + 3)],
        ["░", (text) => console.yellow(text)],
        [" waits for its lock   "],
        ["█", (text) => console.green(text)],
        [" works   "],
        ["█", (text) => console.red(text)],
        [" fails   · pauses"],
      ],
      width,
    ),
  ].join("\n");
}

function labelOf({ job, name }: TimelineStep, { jobs }: RunTimeline): string {
  return jobs.length > 1 ? `${job}/${name}` : name;
}

function stepLine(
  step: TimelineStep,
  timeline: RunTimeline,
  layout: {
    readonly console: Console;
    column(ms: number): number;
    readonly label: number;
    readonly bars: number;
    readonly width: number;
  },
): string {
  const { console, column, label, bars, width } = layout;
  const name = fitted([[labelOf(step, timeline)]], label);
  const parts: Part[] = [
    [`${marks[step.status] ?? "·"} `, (text) => console.status(step.status).replace(step.status, text)],
    [name],
    [" ".repeat(label - columnsOf(name) + 1)],
  ];
  let at = 0;
  for (const [index, segment] of step.segments.entries()) {
    const from = Math.max(at, Math.min(column(segment.from), bars - 1));
    const to = Math.max(from + 1, column(segment.to ?? timeline.duration)); // what was is never invisible
    parts.push([" ".repeat(from - at)]);
    parts.push(paint(segment, step, { console, length: to - from, isLast: index === step.segments.length - 1 }));
    at = to;
  }
  const worked = step.segments.reduce(
    (sum, { kind, from, to = timeline.duration }) => (kind === "run" ? sum + to - from : sum),
    0,
  );
  if (worked > 0) parts.push([` ${duration(worked)}`, (text) => console.dim(text)]);
  else if (step.reason !== undefined) parts.push([` ${step.reason}`, (text) => console.dim(text)]);
  return fitted(parts, width).trimEnd();
}

function paint(
  { kind }: Segment,
  { status }: TimelineStep,
  { console, length, isLast }: { readonly console: Console; readonly length: number; readonly isLast: boolean },
): Part {
  if (kind === "wait") return ["░".repeat(length), (text) => console.yellow(text)];
  if (kind === "skip") return ["-", (text) => console.dim(text)];
  if (kind === "pause") return ["·".repeat(length), (text) => console.dim(text)];
  const isBad = kind === "lost" || !isLast || (status !== "succeeded" && status !== "running");
  return ["█".repeat(length), (text) => (isBad ? console.red(text) : console.green(text))];
}
