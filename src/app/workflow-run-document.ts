/** What `workflow run` and `workflow resume` print as JSON. */
import type { RunEnd } from "../workflow/entries.ts";
import { runFiles } from "../workflow/run-files.ts";
import { shownSteps, statusOfJob, statusOfStep } from "../workflow/run-record.ts";
import type { JobState, RunState, StepState } from "../workflow/run-state.ts";
import type { Workspace } from "./workspace.ts";

export interface RunDocument {
  readonly id: string;
  readonly workflowId: string;
  readonly workflowName: string;
  readonly status: RunEnd | "running" | "interrupted";
  readonly jobs: readonly {
    readonly name: string;
    readonly status: string;
    readonly reason?: string;
    readonly steps: readonly StepDocument[];
    /** Milliseconds. */
    readonly duration?: number;
  }[];
  readonly duration: number;
  /** Of the record. */
  readonly path: string;
}

export interface StepDocument {
  readonly name: string;
  readonly status: string;
  readonly error?: string;
  /** Why it was skipped. */
  readonly reason?: string;
  /** Milliseconds. */
  readonly duration?: number;
  readonly attempts?: number;
  readonly outputId?: string;
  readonly runId?: string;
  readonly dataArtifacts?: readonly { readonly dataId: string; readonly name: string; readonly version: number }[];
  readonly allowedFailure?: true;
}

export function runDocument(state: RunState, workspace: Workspace): RunDocument {
  const isOver = state.endedAt !== undefined;
  return {
    id: state.id,
    workflowId: state.definition.id,
    workflowName: state.definition.name,
    status: state.status,
    jobs: state.jobs.map((job) => ({
      name: job.name,
      ...statusOfJob(job, isOver),
      steps: shownSteps(state, job).map((step) => stepDocument(state, step, isOver)),
      ...durationOf(state, job),
    })),
    duration: state.duration(),
    path: workspace.datastore.files.locate(runFiles({ workflowId: state.definition.id, id: state.id }).record),
  };
}

function stepDocument(run: RunState, step: StepState, isOver: boolean): StepDocument {
  const { status, reason } = statusOfStep(step, isOver);
  return {
    name: step.name,
    status,
    ...(step.error === undefined ? {} : { error: step.error }),
    ...(reason === undefined ? {} : { reason }),
    ...durationOf(run, step),
    ...(step.attempt > 1 ? { attempts: step.attempt } : {}),
    ...(step.output === undefined ? {} : { outputId: step.output }),
    ...(step.child === undefined ? {} : { runId: step.child }),
    ...(step.data === undefined
      ? {}
      : { dataArtifacts: step.data.map(([dataId, name, version]) => ({ dataId, name, version })) }),
    ...(step.allowed === undefined ? {} : { allowedFailure: true as const }),
  };
}

function durationOf(run: RunState, part: JobState | StepState): { duration?: number } {
  const duration = run.durationOf(part);
  return duration === undefined ? {} : { duration };
}
