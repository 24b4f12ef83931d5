/**
 * What must be said in the journal of a run before it can go on: steps that were at work when it died have ended after all, begin again or are left out; with `failed`, failed ones
 * begin again. Asked under the locks of the run.
 */
import { FenError } from "../kernel/errors.ts";
import type { RetryCause } from "../workflow/definition.ts";
import type { JournalEntry } from "../workflow/entries.ts";
import { readJournal } from "../workflow/journal-reader.ts";
import { plannedCallOf, type PlannedRun } from "../workflow/plan.ts";
import { runFiles } from "../workflow/run-files.ts";
import type { RunState, StepState } from "../workflow/run-state.ts";
import { isEnded } from "../workflow/scheduler.ts";
import { settlePast } from "./settle.ts";
import { bringRecords } from "./step-records.ts";
import type { RunSurroundings } from "./workflow-run-surroundings.ts";
import { modelLock } from "./workspace.ts";

/** What becomes of a step of which nobody knows how far it got. */
export type UnknownChoice = "retry" | "skip";

const died = "The run died while the step was at work.";
const leftOut = "the run died while it was at work; left out at the resume";

interface TakeUpOptions {
  readonly plan: PlannedRun;
  readonly state: RunState;
  readonly failed: boolean;
  readonly unknown: UnknownChoice | undefined;
  /** Ends its waits for locks. */
  readonly signal: AbortSignal;
}

/** Throws `resume_choice_needed`; then nothing of the run has changed. */
export async function takeUp(surroundings: RunSurroundings, options: TakeUpOptions): Promise<JournalEntry[]> {
  const { state } = options;
  const at = surroundings.machine.clock.now();
  const entries: JournalEntry[] = [];
  const unknown: StepState[] = [];
  const restart: number[] = state.steps.filter((step) => step.status === "waiting").map((step) => step.number);
  for (const step of state.steps) {
    if (step.status !== "running" || step.output === undefined || step.expansions !== undefined) continue;
    const ended = await endOf(surroundings, step, { at, signal: options.signal });
    const isRepeatable = step.definition.retry?.on.includes("interrupted") === true;
    const said = ended ?? (isRepeatable ? againOrFailed(step, at, { cause: "interrupted", error: died }) : undefined);
    if (said === undefined) {
      unknown.push(step);
      continue;
    }
    entries.push(said);
    if (said.e === "end" && beginsAgain(said, options)) restart.push(step.number);
  }
  entries.push(...decide(unknown, options, at));
  await takeUpChildren(surroundings, options);
  await bringRecords(surroundings, state, entries);
  const again = options.failed ? failedOnes(state) : cancelledOnes(state);
  const steps = [...restart, ...again.steps];
  if (steps.length > 0 || again.jobs.length > 0) entries.push({ e: "again", at, steps, jobs: again.jobs });
  return entries;
}

/** As any that was stopped or, where that is wanted, failed before. */
function beginsAgain({ s, allowed }: Extract<JournalEntry, { e: "end" }>, { failed }: TakeUpOptions): boolean {
  return s === "cancelled" || (failed && s === "failed" && allowed !== true);
}

/** The same for the runs of nested workflows that go on too; of those that don't, records may be missing. */
async function takeUpChildren(surroundings: RunSurroundings, options: TakeUpOptions): Promise<void> {
  for (const step of options.state.steps) {
    if (step.child === undefined) continue;
    const goesOn = !isEnded(step.status) || step.status === "cancelled" || (options.failed && isToRepeat(step));
    const found = await childOf(surroundings, options, step);
    if (found === undefined && goesOn) throw childUnknown(options.state, step.definition.name);
    if (found?.read === undefined) continue; // it died before its journal was there: the step begins anew
    const { plan, read } = found;
    const run = { plan, state: read.state };
    const isOver = !goesOn || read.state.status === "succeeded";
    if (isOver) await bringAllRecords(surroundings, run);
    if (!goesOn) continue;
    const entries = isOver ? [] : await takeUp(surroundings, { ...options, ...run });
    surroundings.takenUp.set(step.child, { state: read.state, size: read.reader.offset, entries });
  }
}

/** Of a run that has ended, and of those that it called: the one that called it had not ended when it died, so its records may not have been written. */
async function bringAllRecords(
  surroundings: RunSurroundings,
  run: Pick<TakeUpOptions, "plan" | "state">,
): Promise<void> {
  await bringRecords(surroundings, run.state, []);
  for (const step of run.state.steps) {
    const found = step.child === undefined ? undefined : await childOf(surroundings, run, step);
    if (found?.read !== undefined) await bringAllRecords(surroundings, { plan: found.plan, state: found.read.state });
  }
}

/** The run that a step has called, as its journal tells it. Undefined where nobody knows of which workflow it is. */
async function childOf(
  { workspace }: RunSurroundings,
  { plan: callers, state }: Pick<TakeUpOptions, "plan" | "state">,
  step: StepState,
) {
  // Where only the list of a fan-out isn't known before the run, it is known which workflow each of its steps calls.
  const call = plannedCallOf(callers, state, step) ?? callers.steps[step.template ?? step.number]?.any;
  const plan = call?.target.kind === "workflow" ? call.target.plan : undefined;
  const workflowId = plan?.workflow.workflow.id;
  if (plan === undefined || workflowId === undefined || step.child === undefined) return undefined;
  return {
    plan,
    read: await readJournal(workspace.datastore.journals, runFiles({ workflowId, id: step.child }).journal),
  };
}

function childUnknown({ id }: RunState, step: string): FenError {
  return new FenError(
    "workflow_invalid",
    `Step ${step} ran another workflow whose name depends on data; that run can't be gone on with.`,
    {
      hint: `Run the workflow again, or look at it: fen workflow history get ${id}`,
      facts: { run: id },
    },
  );
}

/** How a step ended that the journal doesn't know to have ended: its outputs tell, if they were committed, or else its record. */
async function endOf(
  surroundings: RunSurroundings,
  step: StepState,
  { at, signal }: { readonly at: number; readonly signal: AbortSignal },
): Promise<JournalEntry | undefined> {
  const { context, workspace, locks, models, settled } = surroundings;
  const found = step.model === undefined ? undefined : await models.find(step.model).catch(() => undefined); // it is gone
  if (found === undefined || step.output === undefined) return undefined;
  const request = modelLock(found);
  const lease = await locks.hold(request, { signal });
  try {
    await settlePast(context, workspace, { definition: found.definition, lease });
    settled.add(lease);
    const versions = await workspace.data.madeBy(found.definition, step.output);
    const made = versions.map(({ metadata }) => metadata);
    await workspace.data.store.keep(found.definition, made); // who died may not have come to it
    const data = versions.map(({ metadata: { id, name, version } }) => [id, name, version] as const);
    const marked = versions.find(({ metadata }) => metadata.tags["status"] !== undefined)?.metadata.tags["status"];
    const status = versions.length > 0 ? (marked ?? "succeeded") : await recordedStatus(surroundings, step.output);
    if (status === "succeeded") return { e: "end", at, n: step.number, s: "succeeded", data };
    if (status === "cancelled") return { e: "end", at, n: step.number, s: "cancelled", data };
    if (status !== "failed") return undefined; // nobody knows
    const error = "The method failed; the run died before it could say how.";
    return { ...againOrFailed(step, at, { cause: "failure", error }), ...(mayRepeat(step, "failure") ? {} : { data }) };
  } finally {
    await locks.done(request);
  }
}

/** A method that leaves no data has its record; it is written once, when the method has ended. */
async function recordedStatus({ workspace }: RunSurroundings, output: string): Promise<string | undefined> {
  return (await workspace.outputs.ofRun(output))?.record.status; // none where it ended before it had one
}

function mayRepeat({ definition: { retry }, attempt }: StepState, cause: RetryCause): boolean {
  return retry?.on.includes(cause) === true && attempt < retry.attempts;
}

/** What its retry policy says. */
function againOrFailed(
  step: StepState,
  at: number,
  { cause, error }: { readonly cause: RetryCause; readonly error: string },
): JournalEntry {
  const { number: n, attempt: a } = step;
  if (mayRepeat(step, cause)) return { e: "retry", at, n, a, error };
  return { e: "end", at, n, s: "failed", error, ...(step.definition.allowFailure ? { allowed: true as const } : {}) };
}

function decide(steps: readonly StepState[], options: TakeUpOptions, at: number): JournalEntry[] {
  if (steps.length === 0) return [];
  const choice = options.unknown;
  if (choice === undefined) throw choiceNeeded(options.state, steps);
  return steps.map((step): JournalEntry =>
    choice === "retry"
      ? { e: "retry", at, n: step.number, a: step.attempt, error: died }
      : {
          e: "end",
          at,
          n: step.number,
          s: "skipped",
          why: leftOut,
        },
  );
}

function choiceNeeded(state: RunState, unknown: readonly StepState[]): FenError {
  const steps = unknown.map((step) => ({ step: `${state.job(step.job).name}/${step.name}`, model: step.model ?? "" }));
  const listed = steps.slice(0, 10).map(({ step, model }) => `  ${step} (${model})`);
  const more = steps.length > 10 ? [`  … and ${steps.length - 10} more`] : [];
  return new FenError(
    "resume_choice_needed",
    `Nobody knows how far these steps got when the run died:\n${[...listed, ...more].join("\n")}`,
    {
      hint: `Look at what they do; then run them again: fen workflow resume ${state.id} --retry-unknown   or leave them out: --skip-unknown`,
      facts: { run: state.id, steps: steps.map(({ step }) => step) },
    },
  );
}

/** Failed, stopped and never started steps, and everything that was judged by them. */
function failedOnes(state: RunState): { steps: number[]; jobs: number[] } {
  const jobs = state.jobs.filter((job) => isEnded(job.status) && job.status !== "succeeded").map((job) => job.number);
  // What was left out in a job that succeeded was left out for good.
  const steps = state.steps.filter((step) => isToRepeat(step) && state.job(step.job).status !== "succeeded");
  return { steps: steps.map((step) => step.number), jobs };
}

/** Not what somebody has decided to leave out. */
function isToRepeat({ status, allowed, why }: StepState): boolean {
  if (status === "skipped") return why !== leftOut;
  return status === "cancelled" || (status === "failed" && allowed !== true);
}

/** Steps that were stopped, with the fan-outs and jobs that ended because of them. */
function cancelledOnes(state: RunState): { steps: number[]; jobs: number[] } {
  const steps = state.steps.filter((step) => step.status === "cancelled").map((step) => step.number);
  const jobs = state.jobs.filter((job) => job.status === "cancelled").map((job) => job.number);
  return { steps, jobs };
}
