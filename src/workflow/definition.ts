/** A workflow as it is in its file: jobs of steps, each a call of a method or of another workflow. */

export interface WorkflowDefinition {
  readonly id: string;
  readonly name: string;
  readonly description?: string;
  readonly version: number;
  readonly tags: Readonly<Record<string, string>>;
  /** A small JSON Schema, as in models. */
  readonly inputs?: Readonly<Record<string, unknown>>;
  readonly jobs: readonly JobDefinition[];
  /** Steps at work at once in a run. */
  readonly concurrency?: number;
  /** `run`: all models before the first step. `step`: each step its own. */
  readonly lock: "run" | "step";
  /** Where methods run; other than `raw` (in place) it can't be used yet. */
  readonly driver?: string;
}

export interface JobDefinition {
  readonly name: string;
  readonly description?: string;
  readonly steps: readonly StepDefinition[];
  readonly dependsOn: readonly { readonly job: string; readonly condition: Condition }[];
  /** Lower ones start first. */
  readonly weight: number;
  readonly concurrency?: number;
  /** Where methods run; other than `raw` (in place) it can't be used yet. */
  readonly driver?: string;
}

export interface StepDefinition {
  /** May hold `${{ }}` in a fan-out. */
  readonly name: string;
  readonly description?: string;
  readonly task: Task;
  /** One step for each element of a list or entry of a map: `self.<item>`. */
  readonly forEach?: { readonly item: string; readonly in: string };
  readonly dependsOn: readonly { readonly step: string; readonly condition: Condition }[];
  readonly weight: number;
  readonly allowFailure: boolean;
  readonly dataOutputOverrides: readonly DataOutputOverride[];
  /** Expansions at work at once. */
  readonly concurrency?: number;
  readonly timeoutMs?: number;
  readonly retry?: RetryPolicy;
  /** Where methods run; other than `raw` (in place) it can't be used yet. */
  readonly driver?: string;
}

export type Task =
  | {
      readonly type: "model_method";
      readonly modelIdOrName: string;
      readonly methodName: string;
      readonly inputs: Readonly<Record<string, unknown>>;
    }
  | {
      readonly type: "workflow";
      readonly workflowIdOrName: string;
      readonly inputs: Readonly<Record<string, unknown>>;
    };

/** Tested against the status of an ended job or step. */
export type Condition =
  | { readonly type: "always" | "succeeded" | "failed" | "completed" | "skipped" }
  | { readonly type: "and" | "or"; readonly conditions: readonly Condition[] }
  | { readonly type: "not"; readonly condition: Condition };

export interface DataOutputOverride {
  readonly specName: string;
  readonly lifetime?: string;
  readonly garbageCollection?: number | string;
  readonly tags?: Readonly<Record<string, string>>;
  /** Names of inputs whose values become part of the data's name. */
  readonly vary?: readonly string[];
}

/** Why a step is tried again. `interrupted`: the run died while it was at work. */
export type RetryCause = "failure" | "timeout" | "lock" | "interrupted";

export interface RetryPolicy {
  /** All attempts, the first included. */
  readonly attempts: number;
  /** Before the second attempt; doubles with each further one. */
  readonly backoffMs: number;
  readonly on: readonly RetryCause[];
}
