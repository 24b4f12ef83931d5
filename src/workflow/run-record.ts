/** The record of a run as the format has it, made from the run's state. Step outputs are named, not copied. */
import { stringifyYaml } from "../repo/yaml.ts";
import type { RunState, StepState } from "./run-state.ts";

export function stringifyRunRecord(state: RunState, { logFile }: { readonly logFile: string }): string {
  const time = (ms: number | undefined) => (ms === undefined ? {} : { iso: new Date(ms).toISOString() }).iso;
  const times = (one: { readonly startedAt?: number; readonly endedAt?: number }) => ({
    ...(one.startedAt === undefined ? {} : { startedAt: time(one.startedAt) }),
    ...(one.endedAt === undefined ? {} : { completedAt: time(one.endedAt) }),
  });
  const step = (one: StepState) => ({
    stepName: one.name,
    status: one.status,
    ...times(one),
    ...(one.error === undefined ? {} : { error: one.error }),
    ...(one.allowed === undefined ? {} : { allowedFailure: true }),
  });
  return stringifyYaml({
    id: state.id,
    workflowId: state.definition.id,
    workflowName: state.definition.name,
    status: state.status,
    ...times(state),
    jobs: state.jobs.map((job) => ({
      jobName: job.name,
      status: job.status,
      ...times(job),
      steps: job.steps.map((number) => step(state.step(number))),
    })),
    tags: state.tags,
    logFile,
  });
}
