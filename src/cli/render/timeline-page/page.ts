/** The timeline of a run as one page that needs nothing else: its data as compact JSON, its script and style inside. */
import { readFileSync } from "node:fs";
import type { RunTimeline, TimelineStep } from "../../../app/workflow-history.ts";
import { printable } from "../columns.ts";

/** The page without data; the build puts it in. */
declare const FEN_TIMELINE_PAGE: string;

/** Order of the numbers that segments have in the data: as the script has them. */
const kinds = [
  "wait",
  "run",
  "pause",
  "lost",
  "skip",
] as const satisfies readonly TimelineStep["segments"][number]["kind"][];

export function timelinePage(timeline: RunTimeline): string {
  const title = `${timeline.workflowName} ${timeline.status}`;
  // A function: the text may hold what replaceAll would take for a pattern.
  return template()
    .replace("__TITLE__", () => escapeHtml(title))
    .replace("__DATA__", () => scriptSafe(JSON.stringify(compact(timeline))));
}

function template(): string {
  if (typeof FEN_TIMELINE_PAGE === "string") return FEN_TIMELINE_PAGE;
  const read = (name: string) => readFileSync(new URL(name, import.meta.url), "utf8");
  return read("page.html").replace("__SCRIPT__", () => read("page.js"));
}

/** Texts that come again and again are numbered; a segment is five numbers. */
function compact(timeline: RunTimeline): unknown {
  const { id, workflowName, status, startedAt, duration, waited, jobs } = timeline;
  const texts = new Numbered();
  const statuses = new Numbered();
  const jobNumbers = new Map(jobs.map((name, at) => [name, at]));
  const steps = timeline.steps.map((step) => [
    jobNumbers.get(step.job) ?? 0,
    printable(step.name),
    statuses.of(step.status),
    texts.of(step.model),
    step.attempts ?? 1,
    texts.of(step.error ?? step.reason),
    step.segments.flatMap(({ kind, from, to, lock, by }) => [
      kinds.indexOf(kind),
      from,
      to ?? -1,
      texts.of(lock),
      texts.of(by),
    ]),
  ]);
  return {
    name: workflowName,
    id,
    status,
    startedAt,
    duration,
    waited,
    jobs,
    statuses: statuses.all,
    texts: texts.all,
    steps,
  };
}

class Numbered {
  readonly all: string[] = [];
  readonly #numbers = new Map<string, number>();

  /** -1 for none. */
  of(text: string | undefined): number {
    if (text === undefined) return -1;
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    this.#numbers.set(text, this.all.length);
    return this.all.push(text) - 1;
  }
}

/** JSON that can't end the element that it stands in. */
function scriptSafe(json: string): string {
  return json.replaceAll("<", "\\u003c");
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
