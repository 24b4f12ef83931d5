/**
 * JSON Schemas of workflow files, for editors and other programs. What `checkWorkflow` has no finding for, they admit, and what they admit, it has no error for
 * (but for infinite numbers, which JSON has not).
 */
import { durationPattern } from "../kernel/duration.ts";
import {
  conditionTypes,
  forEachKeys,
  jobDependencyKeys,
  jobKeys,
  keepPattern,
  lifetimeWords,
  lockTimes,
  maxAttempts,
  maxTimeMs,
  overrideKeys,
  retryCauses,
  retryKeys,
  simpleConditions,
  stepDependencyKeys,
  stepKeys,
  taskKeys,
  workflowKeys,
} from "./keys.ts";

type Schema = Readonly<Record<string, unknown>>;

const draft = "https://json-schema.org/draft/2020-12/schema";

const text = (description: string): Schema => ({ description, type: "string", minLength: 1 });
const prose: Schema = { description: "For people", type: "string" };
const map = (description: string): Schema => ({ description, type: "object" });
const tags: Schema = {
  description: "Go to the run and to all data that it makes",
  type: "object",
  additionalProperties: { type: "string" },
};
const weight: Schema = { description: "Lower ones start first", type: "number", default: 0 };
const concurrency = (what: string): Schema => ({ description: what, type: "integer", minimum: 0 });
const driver: Schema = { ...text("Where methods run; only raw, which is here, can be used"), examples: ["raw"] };
const driverConfig = map("For the driver");
const keep = { type: "string", pattern: keepPattern.source };
const count = { type: "integer", minimum: 1 };
const duration = (description: string, minimum: number): Schema => ({
  description,
  anyOf: [
    { type: "string", pattern: durationPattern.source },
    { description: "Milliseconds", type: "number", minimum, maximum: maxTimeMs },
  ],
});
const listOf = (items: Schema, description: string, minItems = 0): Schema => ({
  description,
  type: "array",
  items,
  ...(minItems === 0 ? {} : { minItems }),
});
const ref = (name: string): Schema => ({ $ref: `#/$defs/${name}` });

/** An object of exactly these keys. */
function closed<const Key extends string>(
  keys: readonly Key[],
  properties: Readonly<Record<Key, Schema>>,
  required: readonly Key[],
): Schema {
  return {
    type: "object",
    properties: Object.fromEntries(keys.map((key) => [key, properties[key]])),
    required,
    additionalProperties: false,
  };
}

function conditionSchema(): Schema {
  const nested = listOf(ref("triggerCondition"), "At least two", 2);
  const only = (type: unknown, more: Readonly<Record<string, Schema>>) => ({
    properties: { type, ...more },
    required: ["type", ...Object.keys(more)],
    additionalProperties: false,
  });
  return {
    description: "What must be true of the end of the job or step",
    type: "object",
    properties: { type: { enum: conditionTypes } },
    oneOf: [
      only({ enum: simpleConditions }, {}),
      only({ enum: ["and", "or"] }, { conditions: nested }),
      only({ const: "not" }, { condition: ref("triggerCondition") }),
    ],
  };
}

function taskSchema(): Schema {
  const inputs = map("May hold ${{ }}");
  const method = closed(
    taskKeys.model_method,
    {
      type: { const: "model_method" },
      modelIdOrName: text("Name or id of a model"),
      methodName: text("One of its methods"),
      inputs,
    },
    ["type", "modelIdOrName", "methodName"],
  );
  const workflow = closed(
    taskKeys.workflow,
    { type: { const: "workflow" }, workflowIdOrName: text("Name or id of a workflow"), inputs },
    ["type", "workflowIdOrName"],
  );
  return { description: "What the step does", oneOf: [method, workflow] };
}

function stepSchema(): Schema {
  const forEach = closed(
    forEachKeys,
    {
      item: { ...text("Each element is self.<item>"), examples: ["host"] },
      in: { description: "A list or a map", type: "string", pattern: "\\$\\{\\{", examples: ["${{ inputs.hosts }}"] },
    },
    forEachKeys,
  );
  const override = closed(
    overrideKeys,
    {
      specName: { ...text("Which output"), examples: ["result"] },
      lifetime: { description: "How long it is kept", anyOf: [{ enum: lifetimeWords }, keep] },
      garbageCollection: { description: "Versions to keep, or how long", anyOf: [count, keep] },
      tags,
      vary: listOf(text("Name of an input"), "Inputs whose values become part of the data's name"),
    },
    ["specName"],
  );
  const retry = closed(
    retryKeys,
    {
      attempts: { description: "The first included", type: "integer", minimum: 1, maximum: maxAttempts },
      backoff: duration("Before the second attempt; doubles with each further one. Default: 1s", 0),
      on: listOf({ enum: retryCauses }, "After what. Default: all", 1),
    },
    ["attempts"],
  );
  return closed(
    stepKeys,
    {
      name: text("Unique in its job; may hold ${{ }} in a fan-out"),
      description: prose,
      task: ref("stepTask"),
      forEach: { description: "One step for each element of a list or entry of a map", ...forEach },
      dependsOn: listOf(ref("stepDependency"), "Steps of the same job that must have ended"),
      weight,
      allowFailure: { description: "The job can succeed although it fails", type: "boolean", default: false },
      dataOutputOverrides: listOf(override, "How its data is kept and called"),
      concurrency: concurrency("Steps of a fan-out at work at once"),
      timeout: duration("Ends an attempt that takes longer", 1),
      retry: { description: "Tries again", ...retry },
      driver,
      driverConfig,
    },
    ["name", "task"],
  );
}

function jobSchema(): Schema {
  return closed(
    jobKeys,
    {
      name: text("Unique in the workflow"),
      description: prose,
      steps: listOf(ref("step"), "At least one", 1),
      dependsOn: listOf(ref("jobDependency"), "Jobs that must have ended"),
      weight,
      concurrency: concurrency("Steps of the job at work at once"),
      driver,
      driverConfig,
    },
    ["name", "steps"],
  );
}

function workflowSchema(): Schema {
  return closed(
    workflowKeys,
    {
      id: {
        description: "A UUID",
        type: "string",
        pattern:
          "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}|0{8}-0{4}-0{4}-0{4}-0{12}|[fF]{8}-[fF]{4}-[fF]{4}-[fF]{4}-[fF]{12})$",
      },
      name: {
        description: "Unique in the repository",
        type: "string",
        pattern: "^(?!\\.$)(?![\\s\\S]*\\.\\.)[^/\\\\\\u0000]+$",
      },
      description: prose,
      version: { ...count, default: 1 },
      tags,
      inputs: map("What a run may be given: a small JSON Schema"),
      jobs: listOf(ref("job"), "At least one", 1),
      concurrency: concurrency("Steps at work at once. Default: twice the cores"),
      lock: {
        description: "run: all models before the first step. step: each step its own",
        enum: lockTimes,
        default: "run",
      },
      driver,
      driverConfig,
    },
    ["id", "name", "jobs"],
  );
}

export type SchemaName = (typeof schemaNames)[number];

const schemaNames = [
  "workflow",
  "job",
  "jobDependency",
  "step",
  "stepDependency",
  "stepTask",
  "triggerCondition",
] as const;

/** Each part of the format as a JSON Schema that stands by itself. */
export function workflowSchemas(): Readonly<Record<SchemaName, Schema>> {
  const parts: Readonly<Record<SchemaName, Schema>> = {
    workflow: workflowSchema(),
    job: jobSchema(),
    jobDependency: closed(
      jobDependencyKeys,
      { job: text("Another job of the workflow"), condition: ref("triggerCondition") },
      jobDependencyKeys,
    ),
    step: stepSchema(),
    stepDependency: closed(
      stepDependencyKeys,
      { step: text("Another step of the job"), condition: ref("triggerCondition") },
      stepDependencyKeys,
    ),
    stepTask: taskSchema(),
    triggerCondition: conditionSchema(),
  };
  const alone = (name: SchemaName): Schema => {
    const needed = [...refsIn(parts[name], parts, new Set())].map((part) => [part, parts[part]]);
    return {
      $schema: draft,
      title: name,
      ...parts[name],
      ...(needed.length === 0 ? {} : { $defs: Object.fromEntries(needed) }),
    };
  };
  return {
    workflow: alone("workflow"),
    job: alone("job"),
    jobDependency: alone("jobDependency"),
    step: alone("step"),
    stepDependency: alone("stepDependency"),
    stepTask: alone("stepTask"),
    triggerCondition: alone("triggerCondition"),
  };
}

/** The parts that a schema refers to, those that they refer to included. */
function refsIn(schema: unknown, parts: Readonly<Record<SchemaName, Schema>>, found: Set<SchemaName>): Set<SchemaName> {
  if (typeof schema !== "object" || schema === null) return found;
  for (const [key, value] of Object.entries(schema)) {
    const name = key === "$ref" ? schemaNames.find((one) => value === `#/$defs/${one}`) : undefined;
    if (name === undefined) refsIn(value, parts, found);
    else if (!found.has(name)) refsIn(parts[name], parts, found.add(name));
  }
  return found;
}
