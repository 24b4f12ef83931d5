/** What a step does: a method of a model, or another workflow. */
import type { MapReader } from "../repo/map-reader.ts";
import type { Task } from "./definition.ts";
import { taskKeys } from "./keys.ts";
import { unkeepable } from "./unkeepable.ts";

const hint = "task: { type: model_method, modelIdOrName: web-01, methodName: execute }";

/** What isn't a task here, and what to write instead. */
const others: ReadonlyMap<unknown, string> = new Map([
  [
    "shell",
    "Make a model of the type command/shell (fen model create command/shell <name>) and call its method execute, with the command in its argument run.",
  ],
  ["manual_approval", "Cut the workflow in two at this place, and run the second when you have approved."],
  ["assert", "Call a method that fails where something isn't as it must be."],
]);

export function readTask(step: MapReader): Task {
  const task = step.inner("task", { required: true, hint });
  const none: Task = { type: "workflow", workflowIdOrName: "", inputs: {} };
  if (task === undefined) return none;
  const other = others.get(task.map["type"]);
  if (other !== undefined) {
    task.error("type", `a step can't have a task of type ${String(task.map["type"])}`, other);
    return none;
  }
  const type = task.choice("type", ["model_method", "workflow"], {
    required: true,
    ...(task.map["type"] === undefined ? { hint } : {}),
  });
  if (type === undefined) return none;
  refuseModelByType(task);
  task.findings.unknownKeys(task.map, taskKeys[type], { at: task.at, misspelt: "error" });
  const inputs = task.record("inputs", { hint: "inputs: { host: ${{ self.host }} }" }) ?? {};
  refuseUnkeepable(task, inputs);
  if (type === "workflow")
    return { type, workflowIdOrName: task.text("workflowIdOrName", { required: true, hint: nameHint }) ?? "", inputs };
  return {
    type,
    modelIdOrName: task.text("modelIdOrName", { required: true, hint: nameHint }) ?? "",
    methodName: task.text("methodName", { required: true, hint: "methodName: execute" }) ?? "",
    inputs,
  };
}

const nameHint = "A name or an id, as text: quote what YAML would read as a number.";

/** In the inputs of a step, or those that a workflow declares. */
export function refuseUnkeepable(reader: MapReader, inputs: unknown): void {
  const found = unkeepable(inputs);
  if (found !== undefined)
    reader.findings.error(
      [...reader.at, "inputs", ...found],
      "a number that is infinite or none can be kept by no record",
      "Give another number, or text.",
    );
}

/** Later programs make a model from its type on the way. */
function refuseModelByType(task: MapReader): void {
  for (const key of ["modelType", "modelName"])
    if (Object.hasOwn(task.map, key) && !Object.hasOwn(task.map, "modelIdOrName"))
      task.error(
        key,
        `${key} isn't known here`,
        "Make the model first (fen model create) and name it: modelIdOrName: <name>",
      );
}
