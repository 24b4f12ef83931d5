/** A run of a workflow for people: how it ended. */
import type { RunDocument, StepDocument } from "../../app/workflow-run-document.ts";
import type { Console } from "../console.ts";
import { onOneLine } from "./columns.ts";
import { duration } from "./table.ts";

const shownFailures = 20;

export function showRunEnd(run: RunDocument, console: Console): string {
  // What went wrong is told however quiet it is to be.
  const say = (line: string) => (run.status === "succeeded" ? console.say(line) : console.error(line));
  const steps = run.jobs.flatMap((job) => job.steps.map((step) => ({ job: job.name, step })));
  const counts = new Map<string, number>();
  for (const { step } of steps) counts.set(step.status, (counts.get(step.status) ?? 0) + 1);
  const failed = steps.filter(({ step }) => step.status === "failed");
  const summary = [...counts].map(([status, count]) => `${count} ${status}`).join(", ");
  say(`${console.status(run.status)} ${console.bold(run.workflowName)} in ${duration(run.duration)}: ${summary}`);
  for (const { job, step } of failed.slice(0, shownFailures)) say(failureLine(job, step, console));
  if (failed.length > shownFailures) say(`  … and ${failed.length - shownFailures} more`);
  say(console.dim(`  fen workflow history get ${run.id}`));
  if (run.status !== "succeeded")
    say(console.dim(`  fen workflow resume ${run.id}${run.status === "failed" ? " --failed" : ""}`));
  return "";
}

function failureLine(job: string, step: StepDocument, console: Console): string {
  const allowed = step.allowedFailure === true ? console.dim(" (allowed)") : "";
  return `  ${console.red("failed")} ${job}/${step.name}${allowed}: ${onOneLine(step.error ?? "")}`;
}
