import { getWorkflow } from "../../../app/workflows.ts";
import type { Condition, JobDefinition, StepDefinition } from "../../../workflow/definition.ts";
import type { Handler } from "../../command.ts";
import type { Console } from "../../console.ts";
import { duration, fields } from "../../render/table.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const document = await getWorkflow(context, { workflow: args[0] ?? "" });
  const { name, id, description, version, tags, inputs, concurrency, lock, path, isExtension } = document;
  const text = () =>
    [
      console.bold(name),
      fields([
        ["id", id],
        ["description", description],
        ["version", version],
        ["tags", tags],
        ["inputs", inputs],
        ["concurrency", concurrency],
        ["lock", lock],
        ["file", isExtension ? `${path} (of an extension)` : path],
      ]),
      "jobs",
      ...document.jobs.flatMap((job) => [jobText(console, job), ...job.steps.map((step) => stepText(console, step))]),
    ].join("\n");
  return { document, text, paged: true };
};

function jobText(console: Console, { name, description, dependsOn }: JobDefinition): string {
  const after = dependsOn.map(({ job, condition }) => `${job} ${conditionText(condition)}`);
  return `  ${console.cyan(name)}${description === undefined ? "" : `  ${description}`}${afterText(console, after)}`;
}

function stepText(console: Console, step: StepDefinition): string {
  const { name, task, forEach, dependsOn, allowFailure, timeoutMs, retry } = step;
  const call =
    task.type === "workflow" ? `workflow ${task.workflowIdOrName}` : `${task.modelIdOrName} ${task.methodName}`;
  const notes = [
    ...(forEach === undefined ? [] : [`for each ${forEach.item} in ${forEach.in}`]),
    ...(allowFailure ? ["may fail"] : []),
    ...(timeoutMs === undefined ? [] : [`at most ${duration(timeoutMs)}`]),
    ...(retry === undefined ? [] : [`${retry.attempts} attempts`]),
  ];
  const after = dependsOn.map(({ step: other, condition }) => `${other} ${conditionText(condition)}`);
  return `    ${name}: ${call}${notes.length === 0 ? "" : console.dim(`  (${notes.join(", ")})`)}${afterText(console, after)}`;
}

function afterText(console: Console, after: readonly string[]): string {
  return after.length === 0 ? "" : console.dim(`  after ${after.join(", ")}`);
}

/** `(succeeded or failed)` */
function conditionText(condition: Condition): string {
  switch (condition.type) {
    case "and":
    case "or":
      return `(${condition.conditions.map(conditionText).join(` ${condition.type} `)})`;
    case "not":
      return `not ${conditionText(condition.condition)}`;
    case "always":
      return "whatever its end";
    default:
      return condition.type;
  }
}
