/** A run of a workflow for people: what it would do, and how it ended. */
import type { RunDocument, StepDocument } from "../../app/workflow-run-document.ts";
import type { RunPreview } from "../../app/workflow-run.ts";
import type { Console } from "../console.ts";
import { onOneLine } from "./columns.ts";
import { duration, table } from "./table.ts";

const shownFailures = 20;

export function showRunEnd(run: RunDocument, console: Console): string {
  const steps = run.jobs.flatMap((job) => job.steps.map((step) => ({ job: job.name, step })));
  const counts = new Map<string, number>();
  for (const { step } of steps) counts.set(step.status, (counts.get(step.status) ?? 0) + 1);
  const failed = steps.filter(({ step }) => step.status === "failed");
  const summary = [...counts].map(([status, count]) => `${count} ${status}`).join(", ");
  console.say(
    `${console.status(run.status)} ${console.bold(run.workflowName)} in ${duration(run.duration)}: ${summary}`,
  );
  for (const { job, step } of failed.slice(0, shownFailures)) console.say(failureLine(job, step, console));
  if (failed.length > shownFailures) console.say(`  … and ${failed.length - shownFailures} more`);
  console.say(console.dim(`  fen workflow history get ${run.id}`));
  if (run.status !== "succeeded")
    console.say(console.dim(`  fen workflow resume ${run.id}${run.status === "failed" ? " --failed" : ""}`));
  return "";
}

function failureLine(job: string, step: StepDocument, console: Console): string {
  const allowed = step.allowedFailure === true ? console.dim(" (allowed)") : "";
  return `  ${console.red("failed")} ${job}/${step.name}${allowed}: ${onOneLine(step.error ?? "")}`;
}

export function showPreview(preview: RunPreview, console: Console, options: { readonly locksOnly: boolean }): string {
  const lines: string[] = [];
  if (!options.locksOnly) {
    lines.push(
      `${console.bold(preview.workflowName)}: at most ${preview.concurrency} step${preview.concurrency === 1 ? "" : "s"} at work at once`,
    );
    for (const job of preview.jobs) {
      lines.push(
        `${console.bold(job.name)}${job.dependsOn.length > 0 ? console.dim(` after ${job.dependsOn.join(", ")}`) : ""}`,
      );
      for (const step of job.steps) {
        const after = step.dependsOn.length > 0 ? console.dim(` after ${step.dependsOn.join(", ")}`) : "";
        if (step.calls === "open") lines.push(`  ${step.name}${after}: known when it starts`);
        else
          for (const call of step.calls)
            lines.push(`  ${call.name}${after}: ${call.target}${call.method === undefined ? "" : ` ${call.method}`}`);
      }
    }
    lines.push("");
  }
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

function shorten(steps: readonly string[]): string {
  const [first = "", second] = steps;
  if (steps.length <= 2) return second === undefined ? first : `${first}, ${second}`;
  return `${first}, ${second ?? ""} and ${steps.length - 2} more`;
}
