/** A step that runs another workflow: a run of its own, with its own journal and record, within the locks and slots of the run that calls it. */
import { InputsSchema } from "../expression/inputs-schema.ts";
import { sha256Hex } from "../kernel/hash.ts";
import type { WorkflowDefinition } from "../workflow/definition.ts";
import { findTarget } from "../workflow/find-target.ts";
import type { JournalEntry } from "../workflow/entries.ts";
import { type PlannedRun, planRun } from "../workflow/plan.ts";
import type { LoadedWorkflow } from "../workflow/workflows.ts";
import { readJournal } from "../workflow/journal-reader.ts";
import { runFiles } from "../workflow/run-files.ts";
import type { StepState } from "../workflow/run-state.ts";
import { takeUp } from "./take-up.ts";
import type { AppEvent } from "./context.ts";
import { OpenRun } from "./open-run.ts";
import { resolveInputs } from "./step-inputs.ts";
import { type EngineParts, WorkflowEngine } from "./workflow-engine.ts";
import { authorOf, planSources } from "./workflow-planning.ts";
import type { TakenUp } from "./workflow-run-surroundings.ts";
import type { Attempted, Called } from "./workflow-step.ts";

export async function runNested(
  engine: WorkflowEngine,
  step: StepState,
  call: Called & { readonly signal: AbortSignal },
): Promise<Attempted> {
  const { surroundings, state, journal } = engine.parts;
  const { machine, workspace } = surroundings;
  const given = await resolveInputs(step.definition.task.inputs, engine.planned(step).compiled.inputs, call.scope);
  const planned = engine.plannedCall(step)?.target;
  const planOf = (workflow: LoadedWorkflow) =>
    planRun(planSources(surroundings), workflow, {
      inputs: given.values,
      tainted: given.tainted,
      path: engine.parts.plan.path,
    });
  // What was planned may have been for another element of the list, or for another workflow of the name.
  const isPlanned =
    planned?.kind === "workflow" &&
    [planned.plan.workflow.workflow.name, planned.plan.workflow.workflow.id].includes(call.target);
  let plan: PlannedRun = isPlanned
    ? planned.plan
    : await planOf(await findTarget(() => surroundings.workflows.find(call.target), call.named));
  const former = await formerRun(engine, step, { plan, signal: call.signal });
  // It goes on with the workflow that it began with, whatever the file says now.
  if (former !== undefined && !isSame(former.state.definition, plan.workflow.workflow))
    plan = await planOf({ ...plan.workflow, workflow: former.state.definition, text: "" });
  const definition = plan.workflow.workflow;
  const schema = new InputsSchema(definition.inputs ?? {});
  const inputs = { ...given.values, ...schema.apply(given.values, new Set(schema.names)) };
  const nested = { ...call, plan, inputs, tainted: given.tainted };
  if (former !== undefined) return goOn(engine, step, { ...nested, former });
  const run = machine.random.uuid();
  engine.write({ e: "start", at: engine.now(), n: step.number, a: call.attempt, child: run });
  await journal.durable();
  const open = await OpenRun.begin(
    workspace,
    {
      e: "run",
      at: engine.now(),
      run,
      definition,
      hash: sha256Hex(plan.workflow.text),
      inputs: Object.fromEntries(Object.entries(inputs).filter(([name]) => !given.tainted.has(name))),
      tags: definition.tags,
      by: authorOf(machine),
      parent: { run: state.id, step: step.number },
    },
    (event) => engine.emit(event),
  );
  return finishNested(engine, open, nested);
}

function isSame(one: WorkflowDefinition, other: WorkflowDefinition): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

interface Nested {
  readonly plan: PlannedRun;
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Names of inputs that its journal doesn't keep. */
  readonly tainted: ReadonlySet<string>;
  readonly signal: AbortSignal;
}

/** The run that an earlier attempt of the step has left: what had ended there stays ended. */
async function formerRun(
  engine: WorkflowEngine,
  step: StepState,
  { plan, signal }: { readonly plan: PlannedRun; readonly signal: AbortSignal },
): Promise<TakenUp | undefined> {
  if (step.child === undefined) return undefined;
  const { surroundings } = engine.parts;
  const prepared = surroundings.takenUp.get(step.child);
  surroundings.takenUp.delete(step.child);
  if (prepared !== undefined) return prepared;
  const ref = { workflowId: plan.workflow.workflow.id, id: step.child };
  const read = await readJournal(surroundings.workspace.datastore.journals, runFiles(ref).journal);
  if (read === undefined) {
    await OpenRun.discard(surroundings.workspace, ref);
    return undefined;
  }
  const entries = await takeUp(surroundings, { plan, state: read.state, failed: true, unknown: undefined, signal });
  return { state: read.state, size: read.reader.offset, entries };
}

async function goOn(
  engine: WorkflowEngine,
  step: StepState,
  run: Nested & { readonly attempt: number; readonly former: TakenUp },
): Promise<Attempted> {
  const { surroundings, journal } = engine.parts;
  const { state, size, entries } = run.former;
  engine.write({ e: "start", at: engine.now(), n: step.number, a: run.attempt, child: state.id });
  await journal.durable();
  const { machine, workspace } = surroundings;
  if (state.status === "succeeded") {
    await OpenRun.settle(workspace, state);
    return { status: "succeeded" };
  }
  const emit = (event: AppEvent) => engine.emit(event);
  const open = await OpenRun.reopen(workspace, state, { at: engine.now(), by: authorOf(machine), size, emit });
  return finishNested(engine, open, { ...run, entries });
}

/** Carries an open nested run to its end. */
async function finishNested(
  engine: WorkflowEngine,
  open: OpenRun,
  { plan, signal, inputs, tainted, entries = [] }: Nested & { readonly entries?: readonly JournalEntry[] },
): Promise<Attempted> {
  const { state, journal, log, logName } = open;
  try {
    for (const entry of entries) open.add(entry, (event) => engine.emit(event));
    state.inputs = inputs;
    const parts: EngineParts = {
      ...engine.parts,
      plan,
      state,
      journal,
      logFile: log,
      logName,
      signal,
      taintedInputs: tainted,
      sequence: engine.parts.surroundings.nextSequence(),
    };
    const end = await new WorkflowEngine(parts).run();
    if (end === "succeeded") return { status: "succeeded" };
    return {
      status: end,
      error: `Workflow ${state.definition.name} ${end}: fen workflow history get ${state.id}`,
      cause: "failure",
    };
  } finally {
    await open.close();
  }
}
