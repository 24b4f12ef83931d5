/**
 * The record of a run as the format has it, made from the run's state, and `by`: who carries it out. Compact: what a step called and left is named, not copied.
 * Written step by step, so that a step whose text only the YAML library can write (an error with a colon in it) costs that step alone.
 */
import { isoTime } from "../kernel/iso-time.ts";
import { hasExpression } from "../expression/template.ts";
import { stringifyYaml } from "../repo/yaml.ts";
import { present } from "./present.ts";
import type { JobState, RunState, StepState } from "./run-state.ts";

export function stringifyRunRecord(state: RunState, { logFile }: { readonly logFile: string }): string {
  const { id, definition, status, tags, by } = state;
  const isOver = state.endedAt !== undefined;
  const paused = state.endedAt === undefined ? 0 : state.paused(state.endedAt);
  const named = { id, workflowId: definition.id, workflowName: definition.name, status };
  const head = { ...named, ...timesOf(state), ...(paused > 0 ? { pausedMs: paused } : {}) };
  const jobs = state.jobs.map((job) => {
    const steps = shownSteps(state, job).map((step) => item(stringifyYaml(recordOfStep(step, isOver)), "      "));
    const text = stringifyYaml({ jobName: job.name, ...recordOfJob(job, isOver) });
    return item(steps.length === 0 ? `${text}steps: []\n` : `${text}steps:\n`, "  ") + steps.join("");
  });
  return `${stringifyYaml(head)}jobs:\n${jobs.join("")}${stringifyYaml({ tags, by, logFile })}`;
}

/** A job's steps without fan-outs that have been expanded: their expansions stand for them. */
export function shownSteps(state: RunState, job: JobState): StepState[] {
  return job.steps.map((number) => state.step(number)).filter(({ expansions }) => expansions === undefined);
}

/** What is said of a step: in a run that is over, nothing waits any more. */
export function statusOfStep(
  { status, attempt, why }: StepState,
  isOver: boolean,
): { readonly status: StepState["status"]; readonly reason?: string } {
  const isLeft = isOver && (status === "pending" || status === "waiting");
  if (isLeft && attempt === 0) return { status: "skipped", reason: "the run was stopped before it began" };
  return { status: isLeft || (isOver && status === "running") ? "cancelled" : status, ...present({ reason: why }) };
}

/** The same for a job. */
export function statusOfJob(
  { status, why }: JobState,
  isOver: boolean,
): { readonly status: JobState["status"]; readonly reason?: string } {
  const isLeft = isOver && (status === "pending" || status === "running");
  return { status: isLeft ? "cancelled" : status, ...present({ reason: why }) };
}

function recordOfJob(job: JobState, isOver: boolean): Record<string, unknown> {
  return { ...statusOfJob(job, isOver), ...timesOf(job) };
}

function recordOfStep(step: StepState, isOver: boolean): Record<string, unknown> {
  const { status, reason } = statusOfStep(step, isOver);
  return {
    stepName: step.name,
    status: status === "waiting" ? "pending" : status,
    ...present({ reason }),
    ...timesOf(step),
    ...present({ error: step.error }),
    ...(step.allowed === undefined ? {} : { allowedFailure: true }),
    ...outputOf(step),
    ...(step.data === undefined
      ? {}
      : { dataArtifacts: step.data.map(([dataId, name, version]) => ({ dataId, name, version })) }),
  };
}

/** What it called: the ids lead to the rest. */
function outputOf({ definition: { task }, model, output, child, status }: StepState): Record<string, unknown> {
  const literal = (text: string) => (hasExpression(text) ? undefined : text);
  if (task.type === "workflow") {
    if (child === undefined) return {};
    return {
      output: { type: task.type, ...present({ workflow: literal(task.workflowIdOrName) }), runId: child, status },
    };
  }
  if (model === undefined) return {};
  return { output: { type: task.type, model, ...present({ method: literal(task.methodName), outputId: output }) } };
}

function timesOf(one: { readonly startedAt?: number; readonly endedAt?: number }): Record<string, string> {
  return {
    ...(one.startedAt === undefined ? {} : { startedAt: isoTime(one.startedAt) }),
    ...(one.endedAt === undefined ? {} : { completedAt: isoTime(one.endedAt) }),
  };
}

/** A map as an element of a list: its first line stands behind the dash. */
function item(text: string, indent: string): string {
  const lines = text.replace(/\n$/, "").split("\n");
  return lines.map((line, at) => `${line === "" ? "" : `${indent}${at === 0 ? "- " : "  "}${line}`}\n`).join("");
}
