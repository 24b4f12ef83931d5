/** The keys of workflow files, level by level, and the words and limits of their values: what the check and the JSON Schemas have in common. */
import { longestTimerMs } from "../kernel/machine.ts";

export const workflowKeys = [
  "id",
  "name",
  "description",
  "version",
  "tags",
  "inputs",
  "jobs",
  "concurrency",
  "lock",
  "driver",
  "driverConfig",
] as const;

export const jobKeys = [
  "name",
  "description",
  "steps",
  "dependsOn",
  "weight",
  "concurrency",
  "driver",
  "driverConfig",
] as const;

export const stepKeys = [
  "name",
  "description",
  "task",
  "forEach",
  "dependsOn",
  "weight",
  "allowFailure",
  "dataOutputOverrides",
  "concurrency",
  "timeout",
  "retry",
  "driver",
  "driverConfig",
] as const;

export const taskKeys = {
  model_method: ["type", "modelIdOrName", "methodName", "inputs"],
  workflow: ["type", "workflowIdOrName", "inputs"],
} as const;

export const forEachKeys = ["item", "in"] as const;
export const retryKeys = ["attempts", "backoff", "on"] as const;
export const overrideKeys = ["specName", "lifetime", "garbageCollection", "tags", "vary"] as const;
export const jobDependencyKeys = ["job", "condition"] as const;
export const stepDependencyKeys = ["step", "condition"] as const;

export const simpleConditions = ["always", "succeeded", "failed", "completed", "skipped"] as const;
export const conditionTypes = [...simpleConditions, "and", "or", "not"] as const;
export const retryCauses = ["failure", "timeout", "lock", "interrupted"] as const;
export const lockTimes = ["run", "step"] as const;
export const maxAttempts = 100;
export const maxTimeMs = longestTimerMs;
/** How long data is kept, and over what time its versions. */
export const keepPattern = /^[1-9]\d*(h|d|w|mo|m|y)$/;
export const lifetimeWords = ["infinite", "ephemeral", "job", "workflow"] as const;

/** Keys of later programs. What they ask for can be left undone without harm; `guard` can't: it keeps a step from running. */
export const laterKeys = ["trigger", "reports", "affinity", "target", "labels", "platform", "queueTimeout"] as const;
