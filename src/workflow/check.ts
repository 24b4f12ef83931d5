/** From the value of a workflow's file to a workflow, or to what is wrong with it. Looks at one file only; graphs and references are checked in `graph.ts`. */
import { checkInputsSchema } from "../expression/inputs-schema.ts";
import { hasExpression } from "../expression/template.ts";
import { parseDuration } from "../kernel/duration.ts";
import { isSafeName } from "../kernel/paths.ts";
import { type Finding, Findings } from "../repo/findings.ts";
import { MapReader } from "../repo/map-reader.ts";
import { isUuid } from "../repo/named-files.ts";
import { isRecord, suggestKey } from "../repo/yaml.ts";
import { readDependencies } from "./check-conditions.ts";
import { readTask, refuseUnkeepable } from "./check-task.ts";
import type {
  DataOutputOverride,
  JobDefinition,
  RetryCause,
  RetryPolicy,
  StepDefinition,
  WorkflowDefinition,
} from "./definition.ts";
import {
  forEachKeys,
  jobKeys,
  keepPattern,
  laterKeys,
  lifetimeWords,
  lockTimes,
  maxAttempts,
  maxTimeMs,
  overrideKeys,
  retryCauses,
  retryKeys,
  stepKeys,
  workflowKeys,
} from "./keys.ts";
import { present } from "./present.ts";

export interface CheckedWorkflow {
  /** Undefined where there are errors. */
  readonly workflow: WorkflowDefinition | undefined;
  readonly findings: readonly Finding[];
}

/** What `concurrency: 0` means. A number, so that it survives being written as JSON. */
export const unbounded = Number.MAX_SAFE_INTEGER;

/**
 * Checks the shape of a workflow. A key that is nearly one of ours is an error; other unknown ones are warned of, because the older program left them alone.
 * A workflow that is given has all defaults filled in, except for those that depend on the machine.
 */
export function checkWorkflow(value: unknown): CheckedWorkflow {
  const findings = new Findings();
  if (!isRecord(value)) {
    findings.error([], "a workflow must be a map of keys", "Begin with: fen workflow create <name>");
    return { workflow: undefined, findings: findings.all };
  }
  const workflow = readWorkflow(new MapReader(value, [], findings));
  return { workflow: findings.hasErrors ? undefined : workflow, findings: findings.all };
}

function readWorkflow(file: MapReader): WorkflowDefinition {
  checkKeys(file, workflowKeys);
  const id = file.read(
    "id",
    { required: true, hint: "Write a new one, for example from: uuidgen" },
    "a UUID",
    (value) => (typeof value === "string" && isUuid(value) ? value.toLowerCase() : undefined),
  );
  const name = file.read("name", { required: true }, 'text without "..", "/", "\\" or NUL', (value) =>
    typeof value === "string" && isSafeName(value) ? value : undefined,
  );
  const inputs = file.record("inputs", {
    hint: "inputs: { properties: { hosts: { type: array } }, required: [hosts] }",
  });
  for (const { path, message, hint } of checkInputsSchema(inputs ?? {}))
    file.findings.warn(["inputs", ...path], message, hint);
  refuseUnkeepable(file, inputs);
  return {
    id: id ?? "",
    name: name ?? "",
    ...present({ description: file.prose("description") }),
    version: file.whole("version", 1) ?? 1,
    tags: readTags(file),
    ...present({ inputs }),
    jobs: file
      .maps("jobs", "job", { required: true, least: 1, hint: "jobs: [{ name: ..., steps: [...] }]" })
      .map(readJob),
    ...readConcurrency(file),
    lock: file.choice("lock", lockTimes) ?? "run",
    ...readDriver(file),
  };
}

function readJob(job: MapReader): JobDefinition {
  checkKeys(job, jobKeys);
  const hint = "steps: [{ name: ..., task: { type: model_method, modelIdOrName: ..., methodName: ... } }]";
  return {
    name: job.text("name", { required: true }) ?? "",
    ...present({ description: job.prose("description") }),
    steps: job.maps("steps", "step", { required: true, least: 1, hint }).map(readStep),
    dependsOn: readDependencies(job, "job").map(({ name, condition }) => ({ job: name, condition })),
    weight: job.number("weight") ?? 0,
    ...readConcurrency(job),
    ...readDriver(job),
  };
}

function readStep(step: MapReader): StepDefinition {
  checkKeys(step, stepKeys);
  if (Object.hasOwn(step.map, "guard"))
    step.error("guard", "guard isn't known here", "Say when a step is to run in dependsOn, or in the method itself.");
  return {
    name: step.text("name", { required: true }) ?? "",
    ...present({ description: step.prose("description") }),
    task: readTask(step),
    ...present({ forEach: readForEach(step) }),
    dependsOn: readDependencies(step, "step").map(({ name, condition }) => ({ step: name, condition })),
    weight: step.number("weight") ?? 0,
    allowFailure: step.flag("allowFailure") ?? false,
    dataOutputOverrides: step.maps("dataOutputOverrides", "override", { hint: overrideHint }).map(readOverride),
    ...readConcurrency(step),
    ...present({ timeoutMs: readTime(step, "timeout", 1), retry: readRetry(step) }),
    ...readDriver(step),
  };
}

/** Unknown keys; those of later programs aren't guessed at. */
function checkKeys(reader: MapReader, known: readonly string[]): void {
  const later: readonly string[] = [...laterKeys, "guard"];
  const rest = Object.entries(reader.map).filter(([key]) => !later.includes(key));
  reader.findings.unknownKeys(Object.fromEntries(rest), known, { at: reader.at, misspelt: "error" });
  for (const key of laterKeys)
    if (Object.hasOwn(reader.map, key)) reader.findings.warn([...reader.at, key], `${key} has no effect here`);
}

function readTags(reader: MapReader): Record<string, string> {
  const tags = reader.record("tags");
  return tags === undefined ? {} : reader.findings.tagsAt(reader.map, reader.at);
}

function readConcurrency(reader: MapReader): { readonly concurrency?: number } {
  const concurrency = reader.whole("concurrency", 0, { hint: "How many steps may be at work at once, for example 8" });
  return present({ concurrency: concurrency === 0 ? unbounded : concurrency });
}

function readDriver(reader: MapReader): { readonly driver?: string } {
  reader.record("driverConfig");
  return present({ driver: reader.text("driver") });
}

function readForEach(step: MapReader): StepDefinition["forEach"] {
  const hint = "forEach: { item: host, in: ${{ inputs.hosts }} }";
  const forEach = step.inner("forEach", { hint });
  if (forEach === undefined) return undefined;
  checkKeys(forEach, forEachKeys);
  const item = forEach.text("item", { required: true, hint }) ?? "";
  const list = forEach.read("in", { required: true, hint }, "text with a ${{ expression }}", (value) =>
    typeof value === "string" && hasExpression(value) ? value : undefined,
  );
  return { item, in: list ?? "" };
}

function readRetry(step: MapReader): RetryPolicy | undefined {
  const hint = "retry: { attempts: 3, backoff: 5s }";
  const retry = step.inner("retry", { hint });
  if (retry === undefined) return undefined;
  checkKeys(retry, retryKeys);
  const on = retry.read("on", causeHint(retry.map["on"]), `a list of some of ${retryCauses.join(", ")}`, asCauses);
  return {
    attempts: retry.whole("attempts", 1, { required: true, to: maxAttempts, hint }) ?? 1,
    backoffMs: readTime(retry, "backoff", 0) ?? 1000,
    on: on ?? retryCauses,
  };
}

/** For the first word that is none. */
function causeHint(value: unknown): { readonly hint?: string } {
  const words: readonly unknown[] = Array.isArray(value) ? value : [value];
  const wrong = words.find((one) => typeof one === "string" && !retryCauses.some((cause) => cause === one));
  return wrong === undefined ? {} : { hint: suggestKey(String(wrong), retryCauses).replace("Known keys:", "Known:") };
}

function asCauses(value: unknown): readonly RetryCause[] | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const causes = retryCauses.filter((cause) => value.includes(cause));
  return value.every((one) => retryCauses.some((cause) => cause === one)) ? causes : undefined;
}

/** A duration, or milliseconds. */
function readTime(reader: MapReader, key: string, least: number): number | undefined {
  const hint = `${key}: 30s, 5m or 1h; a number is milliseconds`;
  return reader.read(key, { hint }, "a duration of at most 596h", (value) => {
    const ms = typeof value === "string" ? parseDuration(value) : value;
    return typeof ms === "number" && ms >= least && ms <= maxTimeMs ? ms : undefined;
  });
}

const overrideHint = "dataOutputOverrides: [{ specName: result, lifetime: 30d }]";

function readOverride(override: MapReader): DataOutputOverride {
  checkKeys(override, overrideKeys);
  const keepHint = "For example: 12h, 30d, 4w, 6mo, 1y";
  return {
    specName: override.text("specName", { required: true, hint: overrideHint }) ?? "",
    ...present({
      lifetime: override.read("lifetime", { hint: keepHint }, `a duration or ${lifetimeWords.join(", ")}`, asLifetime),
      garbageCollection: override.read(
        "garbageCollection",
        { hint: keepHint },
        "a number of versions or a duration",
        asKeep,
      ),
      tags: Object.hasOwn(override.map, "tags") ? readTags(override) : undefined,
      vary: override.read("vary", { hint: "vary: [host]" }, "a list of names of inputs", asNames),
    }),
  };
}

function asLifetime(value: unknown): string | undefined {
  return (
    lifetimeWords.find((word) => word === value) ?? (typeof value === "string" ? asKeep(value)?.toString() : undefined)
  );
}

function asKeep(value: unknown): number | string | undefined {
  if (typeof value === "number") return Number.isInteger(value) && value >= 1 ? value : undefined;
  return typeof value === "string" && keepPattern.test(value) ? value : undefined;
}

function asNames(value: unknown): readonly string[] | undefined {
  const names: readonly unknown[] = Array.isArray(value) ? value : [undefined];
  return names.every((name) => typeof name === "string" && name !== "") ? names.map(String) : undefined;
}
