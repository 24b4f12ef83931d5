/** A run of a workflow for people who look back. */
import type { RunDetails } from "../../app/workflow-history.ts";
import type { Console } from "../console.ts";
import { onOneLine, printable } from "./columns.ts";
import { duration, fields } from "./table.ts";

export function showRun(run: RunDetails, console: Console): string {
  const { id, workflowName, status, startedAt, by, parent, waited, tags, path, problems = [] } = run;
  const id8 = id.slice(0, 8);
  return [
    `${console.bold(printable(workflowName))}  ${console.status(status)}`,
    fields([
      ["id", id],
      ["started", startedAt],
      [status === "running" ? "runs for" : status === "interrupted" ? "ran at least" : "took", duration(run.duration)],
      ["by", by === undefined ? undefined : `${by.holder}, pid ${by.pid}: ${printable(by.command)}`],
      ["waited", waited === undefined || waited < 1 ? undefined : `${duration(waited)} for its locks`],
      ["called by", parent === undefined ? undefined : `run ${parent.runId}`],
      ["tags", Object.keys(tags).length === 0 ? undefined : tags],
      ["record", path],
    ]),
    ...problems.map((problem) => `${console.yellow("warning:")} ${problem}`),
    ...run.jobs.flatMap((job) => ["", ...jobLines(job, console)]),
    "",
    console.dim(
      [
        `Log: fen workflow history logs ${id8}`,
        `When what ran: fen workflow history timeline ${id8}`,
        ...(status === "running" ? [`Follow it: fen workflow history watch ${id8}`] : []),
        ...(status === "succeeded" || status === "running" ? [] : [`Go on with it: ${resumeOf(run)}`]),
      ].join("   "),
    ),
  ].join("\n");
}

/** A nested run goes on with the one that called it. */
function resumeOf({ id, status, parent }: RunDetails): string {
  if (parent !== undefined) return `fen workflow history get ${parent.runId.slice(0, 8)}`;
  return `fen workflow resume ${id.slice(0, 8)}${status === "failed" ? " --failed" : ""}`;
}

function jobLines(
  { name, status, reason, duration: took, steps }: RunDetails["jobs"][number],
  console: Console,
): string[] {
  const width = steps.reduce((widest, step) => Math.max(widest, step.name.length), 0);
  return [
    `${console.bold(printable(name))}  ${console.status(status)}${took === undefined ? "" : `  ${duration(took)}`}${reason === undefined ? "" : console.dim(`  ${printable(reason)}`)}`,
    ...steps.map((step) => {
      const notes = [
        step.duration === undefined ? "" : duration(step.duration),
        step.attempts === undefined ? "" : `${step.attempts} attempts`,
        step.allowedFailure === true ? "(allowed)" : "",
        step.runId === undefined ? "" : `run ${step.runId}`,
        onOneLine(step.error ?? step.reason ?? ""),
      ];
      const word = console.status(step.status) + " ".repeat(Math.max(0, 11 - step.status.length));
      return `  ${word}  ${printable(step.name).padEnd(Math.min(width, 40))}  ${notes.filter((one) => one !== "").join("  ")}`.trimEnd();
    }),
  ];
}
