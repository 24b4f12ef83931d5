/** What a run of a workflow would do and lock, for people. */
import type { PreviewedCall, PreviewedJob, PreviewedStep, RunPreview } from "../../app/workflow-preview.ts";
import type { Condition } from "../../workflow/definition.ts";
import type { Outlook } from "../../workflow/outlook.ts";
import type { Console } from "../console.ts";
import { onOneLine, printable } from "./columns.ts";
import { table } from "./table.ts";

const longestValue = 60;

export function showPreview(preview: RunPreview, console: Console, options: { readonly locksOnly: boolean }): string {
  const lines = options.locksOnly ? [] : [...planLines(preview, console), ""];
  const when = preview.lock === "run" ? "before the first step, in this order" : "each when its step starts";
  lines.push(`Locks, ${when}:`);
  lines.push(
    table(
      ["model", "mode", "for"],
      preview.locks.map(({ model, mode, steps }) => [model, mode, shorten(steps)]),
    ),
  );
  for (const { step, expression } of preview.open) lines.push(`${step}: known when it starts, from ${expression}`);
  return `${lines.join("\n")}\n`;
}

function planLines({ workflowName, concurrency, inputs, jobs }: RunPreview, console: Console): string[] {
  const atOnce = `at most ${concurrency} step${concurrency === 1 ? "" : "s"} at work at once`;
  const given = valuesOf(inputs, []);
  return [
    `${console.bold(printable(workflowName))}: ${atOnce}`,
    ...(given === "" ? [] : [`inputs: ${given}`]),
    ...jobs.flatMap((job) => jobLines(job, console)),
  ];
}

function jobLines({ name, outlook, dependsOn, steps }: PreviewedJob, console: Console): string[] {
  const before = dependsOn.map(({ job, condition }) => ({ name: job, condition }));
  const inside = outlook === "never" ? [] : steps.flatMap((step) => stepLines(step, console));
  return [
    `${console.bold(printable(name))}${console.dim(when(outlook, before))}`,
    ...inside.map((line) => `  ${line}`),
  ];
}

function stepLines({ name, outlook, dependsOn, calls, each }: PreviewedStep, console: Console): string[] {
  const before = dependsOn.map(({ step, condition }) => ({ name: step, condition }));
  const after = console.dim(when(outlook, before));
  const start = `${printable(name)}${after}`;
  if (outlook === "never") return [start];
  if (calls !== "open") {
    if (calls.length === 0) return [`${start}: a fan-out over nothing`];
    return calls.flatMap((call) => callLines(call, `${printable(call.name)}${after}`, console));
  }
  const later = `${start}: how many is known when it starts`;
  return each === undefined ? [later] : callLines(each, `${later}; each`, console);
}

function callLines(
  { target, method, inputs, open, jobs = [] }: PreviewedCall,
  start: string,
  console: Console,
): string[] {
  const given = valuesOf(inputs, open);
  const called = `${printable(target)}${method === undefined ? "" : ` ${printable(method)}`}${given === "" ? "" : `, ${given}`}`;
  return [`${start}: ${called}`, ...jobs.flatMap((job) => jobLines(job, console)).map((line) => `  ${line}`)];
}

/** `pkg = "curl", host known when it starts`. */
function valuesOf(inputs: Readonly<Record<string, unknown>>, open: readonly string[]): string {
  return Object.entries(inputs)
    .map(
      ([name, value]) =>
        `${printable(name)} ${open.includes(name) ? "known when it starts, from" : "="} ${shown(value)}`,
    )
    .join(", ");
}

function shown(value: unknown): string {
  const text = onOneLine(JSON.stringify(value) ?? "nothing");
  return text.length > longestValue ? `${text.slice(0, longestValue - 1)}…` : text;
}

function when(outlook: Outlook, before: readonly { readonly name: string; readonly condition: Condition }[]): string {
  if (before.length === 0) return "";
  if (outlook === "runs") return ` after ${before.map(({ name }) => printable(name)).join(", ")}`;
  const wanted = before.map(({ name, condition }) => `${printable(name)} ${conditionText(condition)}`).join(", ");
  return outlook === "never" ? ` never: it needs ${wanted}` : ` if ${wanted}`;
}

function conditionText(condition: Condition): string {
  switch (condition.type) {
    case "always":
      return "ended";
    case "and":
    case "or":
      return condition.conditions.map(partText).join(` ${condition.type} `);
    case "not":
      return `not ${partText(condition.condition)}`;
    default:
      return condition.type;
  }
}

function partText(condition: Condition): string {
  const text = conditionText(condition);
  return condition.type === "and" || condition.type === "or" ? `(${text})` : text;
}

function shorten(steps: readonly string[]): string {
  const [first = "", second] = steps;
  if (steps.length <= 2) return second === undefined ? first : `${first}, ${second}`;
  return `${first}, ${second ?? ""} and ${steps.length - 2} more`;
}
