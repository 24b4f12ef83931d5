/** `workflow resume`: a run that died, was cancelled or failed goes on where it was. What had ended stays ended. */
import { FenError } from "../kernel/errors.ts";
import { claimFile } from "../store/drivers/filesystem/claim-file.ts";
import type { Owned } from "../store/contract.ts";
import { readJournal } from "../workflow/journal-reader.ts";
import { planRun, type PlannedRun } from "../workflow/plan.ts";
import { runFiles, type RunRef } from "../workflow/run-files.ts";
import type { RunState, StepState } from "../workflow/run-state.ts";
import type { AppContext, AppEvent } from "./context.ts";
import { claimWorkflow } from "./editing.ts";
import { nestedRun } from "./find-run.ts";
import { takeAwayLeftLocks } from "./left-locks.ts";
import { OpenRun } from "./open-run.ts";
import { PastRuns } from "./past-runs.ts";
import { takeUp, type UnknownChoice } from "./take-up.ts";
import { authorOf, planSources } from "./workflow-planning.ts";
import { CancelWatch, carryOut, concurrencyOf, takeLocks } from "./workflow-run.ts";
import type { RunDocument } from "./workflow-run-document.ts";
import { makeSurroundings, type RunSurroundings } from "./workflow-run-surroundings.ts";
import { openWorkspace, type Workspace } from "./workspace.ts";
import { isEnded } from "../workflow/scheduler.ts";

export interface ResumeOptions {
  /** Id of the run, or its first digits. */
  readonly run: string;
  /** Failed steps, and those that never began because of them, begin again. */
  readonly failed: boolean;
  /** What becomes of steps that were at work when the run died, of which nothing is known. */
  readonly unknown: UnknownChoice | undefined;
  readonly concurrency?: number | undefined;
}

/** Throws `run_missing`, `run_alive`, `run_ended`, `resume_choice_needed`, and what `workflow run` throws. */
export async function resumeWorkflow(context: AppContext, options: ResumeOptions): Promise<RunDocument> {
  const workspace = await openWorkspace(context);
  const ref = await new PastRuns(workspace).find(options.run);
  const claim = await claimRun(context, workspace, ref);
  try {
    const left = await ownRun(context, workspace, { ...options, ref });
    return await goOn(context, workspace, { ...options, ...left });
  } finally {
    claim.release();
  }
}

/** Giving a model back takes less, even where requests are tried again; whoever died in it had ended the step in this time before. */
const latelyMs = 10_000;

interface LeftRun {
  readonly state: RunState;
  /** So many bytes of its journal say so. */
  readonly size: number;
  readonly owned: Owned;
}

/** The run as it was left, which from now on shows as alive: nobody deletes it while it waits for its locks. */
async function ownRun(
  context: AppContext,
  workspace: Workspace,
  { ref, failed, concurrency }: Pick<ResumeOptions, "failed" | "concurrency"> & { readonly ref: RunRef },
): Promise<LeftRun> {
  const { workflowId: id } = ref;
  const deleting = await claimWorkflow(context, workspace, { id, name: id });
  try {
    const { state, size } = await readRun(workspace, ref);
    refuseNested(state);
    if (state.status !== "running") await OpenRun.settle(workspace, state);
    await refuseEnded(context, workspace, { state, failed });
    concurrencyOf(context.machine, state.definition, concurrency); // what can't be understood is told before it shows as alive
    await refuseAlive(workspace, ref); // claims are of one machine: on another somebody may have been faster
    return { state, size, owned: await OpenRun.own(workspace, ref) };
  } finally {
    deleting.release();
  }
}

async function goOn(
  context: AppContext,
  workspace: Workspace,
  run: Omit<ResumeOptions, "run"> & LeftRun,
): Promise<RunDocument> {
  const { machine } = context;
  const { state, size, owned, failed, concurrency } = run;
  const ref = { workflowId: state.definition.id, id: state.id };
  const files = runFiles(ref);
  let open: OpenRun | undefined;
  try {
    const { surroundings, plan } = await planAgain(context, workspace, state);
    using cancel = new CancelWatch(surroundings, { files, state });
    await using _locks = surroundings.locks;
    const wanted = (number: number, index: number) => !isOver(state, number, index, failed);
    await takeAwayLeftLocks(workspace, plan, { wanted, endedLately: endedLatelyIn(state) });
    const waitedMs = await takeLocks(surroundings, plan, { orCommand: cancel.orCommand, wanted });
    const entries = await takeUp(surroundings, { ...run, plan, signal: cancel.orCommand });
    const emit = (event: AppEvent) => surroundings.emit(event);
    const resumed = { at: machine.clock.now(), by: authorOf(machine), size, owned, emit };
    open = await OpenRun.reopen(workspace, state, resumed);
    return await carryOut(surroundings, open, { plan, cancel, waitedMs, concurrency, entries });
  } catch (error) {
    // What can't be removed shows as dead: the first error is the one to tell.
    if (open === undefined) await OpenRun.disown(workspace, ref, { owned, size }).catch(() => undefined);
    throw error;
  }
}

/** Of several who would go on with a run, one does; while it is alive nobody does. */
async function claimRun(context: AppContext, workspace: Workspace, ref: RunRef): Promise<{ release(): void }> {
  const { id } = ref;
  const path = workspace.datastore.local.locate(`${runFiles(ref).owner}.claim`);
  const { machine, signal } = context;
  const claim = await claimFile(machine, path, { what: `The run ${id}`, timeoutMs: 0, signal }).catch(
    (error: unknown) => {
      if (error instanceof FenError && error.code === "lock_timeout") throw alive(id); // somebody else goes on with it
      throw error;
    },
  );
  try {
    await refuseAlive(workspace, ref);
    return claim;
  } catch (error) {
    claim.release();
    throw error;
  }
}

async function refuseAlive({ datastore: { journals } }: Workspace, ref: RunRef): Promise<void> {
  if ((await journals.owner(runFiles(ref).owner)) === "alive") throw alive(ref.id);
}

function alive(id: string): FenError {
  return new FenError("run_alive", `The run ${id} is still going on.`, {
    hint: `Follow it: fen workflow history watch ${id}   End it: fen workflow cancel ${id}`,
    facts: { run: id },
  });
}

async function readRun({ datastore }: Workspace, ref: RunRef): Promise<Pick<LeftRun, "size" | "state">> {
  const { id } = ref;
  const { journal } = runFiles(ref);
  const read = await readJournal(datastore.journals, journal);
  if (read !== undefined) {
    const [problem] = read.reader.problems;
    if (problem === undefined) return { state: read.state, size: read.reader.offset };
    const path = datastore.journals.locate(journal);
    throw new FenError(
      "run_corrupt",
      `${path}:${problem.line}: the journal can't be gone on with: ${problem.message}`,
      {
        hint: "Run the workflow again, or mend the line: what it said would be done twice, or not at all.",
        facts: { path },
      },
    );
  }
  throw new FenError("run_ended", `The run ${id} has no journal: it can be looked at, but not gone on with.`, {
    hint: "Run the workflow again: fen workflow run <workflow>",
    facts: { run: id },
  });
}

/** Its locks, and inputs that no journal keeps, are those of the run that called it. */
function refuseNested({ id, parent }: RunState): void {
  if (parent !== undefined) throw nestedRun(id, parent.run, `Go on with that one: fen workflow resume ${parent.run}`);
}

/** One that died just after its end may have left locks. */
async function refuseEnded(
  context: AppContext,
  workspace: Workspace,
  { state, failed }: { readonly state: RunState; readonly failed: boolean },
): Promise<void> {
  if (state.status === "running" || state.status === "cancelled") return;
  const isFailed = state.status === "failed";
  if (isFailed && failed) return;
  const again = await planAgain(context, workspace, state).catch((error: unknown) => {
    if (!(error instanceof FenError)) throw error;
    return undefined; // models may be gone: then nothing is done
  });
  if (again !== undefined)
    await takeAwayLeftLocks(workspace, again.plan, { wanted: () => false, endedLately: endedLatelyIn(state) });
  throw new FenError("run_ended", `The run ${state.id} has ${state.status}.`, {
    hint: isFailed
      ? `Begin its failed steps again: fen workflow resume ${state.id} --failed`
      : "There is nothing left to do.",
    facts: { run: state.id },
  });
}

/** The plan of what the run started with, whatever the file says now. */
async function planAgain(
  context: AppContext,
  workspace: Workspace,
  state: RunState,
): Promise<{ surroundings: RunSurroundings; plan: PlannedRun }> {
  const { workflows } = workspace;
  const { definition } = state;
  const now = await workflows.find(definition.id).catch(() => undefined); // gone or broken: the journal has all that is needed
  const loaded = {
    workflow: definition,
    file: now?.file ?? `workflow-${definition.id}.yaml`,
    text: now?.text ?? "",
    warnings: [],
    isExtension: false,
  };
  const { tags } = state;
  const surroundings = await makeSurroundings(context, workspace, {
    workflows,
    tags,
    together: definition.lock === "run",
    isEvaluated: state.isEvaluated,
  });
  return { surroundings, plan: await planRun(planSources(surroundings), loaded, { inputs: state.inputs }) };
}

/** The step of a call, or its expansion. */
function callOf(state: RunState, number: number, index: number): StepState | undefined {
  const step = state.steps[number];
  return step?.expansions === undefined ? step : state.steps[step.expansions[index] ?? -1];
}

function endedLatelyIn(state: RunState): (number: number, index: number) => boolean {
  return (number, index) => (callOf(state, number, index)?.endedAt ?? 0) >= state.lastAt - latelyMs;
}

/** True for a step, or one expansion of it, that won't be called any more. */
function isOver(state: RunState, number: number, index: number, failed: boolean): boolean {
  const own = callOf(state, number, index);
  if (own === undefined || !isEnded(own.status)) return false;
  if (own.status === "cancelled") return false;
  return own.status === "succeeded" || !failed;
}
