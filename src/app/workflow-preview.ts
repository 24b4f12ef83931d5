/** `workflow run --explain` and `--dry-run`: what a run would do, as far as that is known before it, and what it would lock. Takes no lock and writes nothing. */
import type { Condition } from "../workflow/definition.ts";
import { type Outlook, outlookOf } from "../workflow/outlook.ts";
import { type PlannedCall, type PlannedRun, type PlannedStep, taintedNames } from "../workflow/plan.ts";
import { unkeepable } from "../workflow/unkeepable.ts";
import type { AppContext } from "./context.ts";
import { type KnownScope, type StoredInputs, storedInputs, storedItems } from "./stored-inputs.ts";
import { type LockPlan, lockPlan } from "./workflow-planning.ts";
import { concurrencyOf, prepareRun, type RunWorkflowOptions } from "./workflow-run.ts";
import type { RunSurroundings } from "./workflow-run-surroundings.ts";

export interface RunPreview extends LockPlan {
  readonly workflowId: string;
  readonly workflowName: string;
  readonly lock: "run" | "step";
  readonly concurrency: number;
  /** With defaults, checked and converted. */
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly jobs: readonly PreviewedJob[];
}

export interface PreviewedJob {
  readonly name: string;
  readonly outlook: Outlook;
  readonly dependsOn: readonly { readonly job: string; readonly condition: Condition }[];
  readonly steps: readonly PreviewedStep[];
}

export interface PreviewedStep {
  readonly name: string;
  /** Given that its job runs. */
  readonly outlook: Outlook;
  readonly dependsOn: readonly { readonly step: string; readonly condition: Condition }[];
  readonly calls: readonly PreviewedCall[] | "open";
  /** Where the list of a fan-out isn't known yet: what each of its steps would call. */
  readonly each?: PreviewedCall;
}

export interface PreviewedCall {
  readonly name: string;
  /** Where it isn't known yet, the expression that gives it. */
  readonly target: string;
  readonly method?: string;
  /** Values; as they are written where they aren't known yet, mustn't be shown, or hold a number for which JSON has no word. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Names of inputs that are known only when the step starts. */
  readonly open: readonly string[];
  /** Of the workflow that it calls. */
  readonly jobs?: readonly PreviewedJob[];
}

export async function previewRun(context: AppContext, options: RunWorkflowOptions): Promise<RunPreview> {
  const { surroundings, plan } = await prepareRun(context, options);
  const { workflow } = plan.workflow;
  return {
    workflowId: workflow.id,
    workflowName: workflow.name,
    lock: workflow.lock,
    concurrency: concurrencyOf(surroundings.machine, workflow, options.concurrency),
    inputs: plan.inputs.values,
    jobs: await jobsOf(surroundings, plan),
    ...lockPlan(plan),
  };
}

async function jobsOf(surroundings: RunSurroundings, plan: PlannedRun): Promise<PreviewedJob[]> {
  const { workflow } = plan.workflow;
  const outlooks = outlookOf(workflow, (step) => plan.steps[step]?.calls?.length === 0);
  const jobs: PreviewedJob[] = [];
  let number = 0;
  for (const [j, { name, dependsOn, steps }] of workflow.jobs.entries()) {
    const { outlook = "never", steps: inside = [] } = outlooks[j] ?? {};
    const previewed: PreviewedStep[] = [];
    for (const s of steps.keys()) {
      const planned = plan.steps[number++];
      if (planned === undefined) continue;
      const { name: step, dependsOn: after } = planned.definition;
      const calls = await callsOf(surroundings, plan, planned);
      previewed.push({ name: step, outlook: inside[s] ?? "never", dependsOn: after, ...calls });
    }
    jobs.push({ name, outlook, dependsOn, steps: previewed });
  }
  return jobs;
}

async function callsOf(
  surroundings: RunSurroundings,
  plan: PlannedRun,
  planned: PlannedStep,
): Promise<Pick<PreviewedStep, "calls" | "each">> {
  const { values: inputs, open: openInputs } = plan.inputs;
  const open = new Set([...openInputs].map((name) => `inputs.${name}`));
  const scope = { ...surroundings.scope, inputs, open, tainted: taintedNames(plan.inputs.tainted) };
  const { forEach } = planned.definition;
  const preview = async (call: PlannedCall, self: KnownScope["self"]): Promise<PreviewedCall> => ({
    ...(await targetOf(surroundings, call)),
    ...inputsOf(planned, await storedInputs(planned, { ...scope, self })),
  });
  if (planned.calls === undefined)
    return planned.any === undefined
      ? { calls: "open" }
      : { calls: "open", each: await preview(planned.any, undefined) };
  const items = forEach === undefined ? undefined : await storedItems(planned, { ...scope, self: {} });
  const calls: PreviewedCall[] = [];
  for (const [index, call] of planned.calls.entries())
    calls.push(
      await preview(
        call,
        forEach === undefined ? {} : items === undefined ? undefined : { [forEach.item]: items[index] },
      ),
    );
  return { calls };
}

function inputsOf({ definition }: PlannedStep, { values, open }: StoredInputs): Pick<PreviewedCall, "inputs" | "open"> {
  const { inputs: written } = definition.task;
  const shown = Object.entries(values).map(([key, value]) => [
    key,
    unkeepable(value) === undefined ? value : written[key],
  ]);
  return { inputs: Object.fromEntries(shown), open };
}

async function targetOf(
  surroundings: RunSurroundings,
  { name, target }: PlannedCall,
): Promise<Pick<PreviewedCall, "name" | "target" | "method" | "jobs">> {
  if (target.kind === "open") return { name, target: target.text };
  if (target.kind === "workflow") {
    const { plan } = target;
    return { name, target: plan.workflow.workflow.name, jobs: await jobsOf(surroundings, plan) };
  }
  const { loaded, method } = target;
  return { name, target: loaded.definition.name, ...(method === undefined ? {} : { method }) };
}
