/** `workflow run`: inputs checked, planned, locked, carried out, recorded. */
import type { Cel } from "../expression/cel.ts";
import { compileValue } from "../expression/compile.ts";
import { InputsSchema } from "../expression/inputs-schema.ts";
import { asOne, FenError } from "../kernel/errors.ts";
import { sha256Hex } from "../kernel/hash.ts";
import type { Machine } from "../kernel/machine.ts";
import { suggestKey } from "../repo/yaml.ts";
import { resourceKey } from "../store/contract.ts";
import type { WorkflowDefinition } from "../workflow/definition.ts";
import type { JournalEntry } from "../workflow/entries.ts";
import type { LoadedDefinition } from "../model/definitions.ts";
import { type PlannedRun, type PlannedStep, planRun } from "../workflow/plan.ts";
import type { RunState } from "../workflow/run-state.ts";
import { Slots } from "../workflow/slots.ts";
import type { AppContext } from "./context.ts";
import { type GivenInputs, parseInputs, parseTags } from "./inputs.ts";
import { evaluatedWorkflow } from "./last-evaluated.ts";
import { refuseTooManyLocks, stepsAtOnce, stepsThatFit } from "./open-files.ts";
import { OpenRun } from "./open-run.ts";
import { compareAskers, type EngineParts, WorkflowEngine } from "./workflow-engine.ts";
import { claimWorkflow } from "./editing.ts";
import { authorOf, callsOf, plannedUses, planSources } from "./workflow-planning.ts";
import { type RunDocument, runDocument } from "./workflow-run-document.ts";
import { makeSurroundings, type RunSurroundings } from "./workflow-run-surroundings.ts";
import { openWorkspace } from "./workspace.ts";

export interface RunWorkflowOptions extends GivenInputs {
  readonly workflow: string;
  readonly tag?: readonly string[] | undefined;
  /** Steps at work at once; over what the workflow says. */
  readonly concurrency?: number | undefined;
  /** The workflow and its models as they were evaluated last. */
  readonly lastEvaluated?: boolean | undefined;
}

/**
 * A run that fails gives a document that says so; what keeps it from beginning, and what stops it, is thrown. Everything that can be known before the locks
 * is checked before them; then nothing has run.
 */
export async function runWorkflow(context: AppContext, options: RunWorkflowOptions): Promise<RunDocument> {
  const { surroundings, plan } = await prepareRun(context, options);
  await using _locks = surroundings.locks;
  // It is there before it waits: others see it, and can end it.
  const open = await begin(surroundings, plan);
  using cancel = new CancelWatch(surroundings, open);
  let waitedMs = 0;
  try {
    waitedMs = await takeLocks(surroundings, plan, cancel);
  } catch (error) {
    if (!cancel.signal.aborted) {
      await open.abandon();
      throw error;
    } // else it ends before its first step
  }
  return await carryOut(surroundings, open, { plan, cancel, waitedMs, concurrency: options.concurrency });
}

/** Nobody deletes the workflow at the same moment. */
async function begin(surroundings: RunSurroundings, plan: PlannedRun): Promise<OpenRun> {
  const { context, machine, workspace } = surroundings;
  const { workflow, text, file, evaluatedFrom } = plan.workflow;
  const claim = await claimWorkflow(context, workspace, workflow);
  try {
    if (!workspace.workflows.isThere(evaluatedFrom ?? file)) throw deletedMeanwhile(workflow);
    const first: JournalEntry = {
      e: "run",
      at: machine.clock.now(),
      run: machine.random.uuid(),
      definition: workflow,
      hash: sha256Hex(text),
      inputs: plan.inputs.values,
      tags: { ...workflow.tags, ...surroundings.tags },
      by: authorOf(machine),
      ...(evaluatedFrom === undefined ? {} : { evaluated: true }),
    };
    return await OpenRun.begin(workspace, first, (event) => surroundings.emit(event));
  } finally {
    claim.release();
  }
}

function deletedMeanwhile({ name }: WorkflowDefinition): FenError {
  return new FenError("workflow_missing", `The workflow ${name} was deleted while its run began.`, {
    hint: "List the workflows: fen workflow search",
    facts: { workflow: name },
  });
}

interface CarriedOut {
  readonly plan: PlannedRun;
  readonly cancel: CancelWatch;
  readonly waitedMs: number;
  readonly concurrency?: number | undefined;
  /** What became of it before it goes on. */
  readonly entries?: readonly JournalEntry[];
}

/** Carries an open run to its end, gives its locks back, and gives what `--json` prints. */
export async function carryOut(surroundings: RunSurroundings, open: OpenRun, run: CarriedOut): Promise<RunDocument> {
  const { state } = open;
  let ended: RunDocument | undefined;
  try {
    await using _locks = surroundings.locks;
    // Whatever fails from here on closes the run.
    await using _open = open;
    await using _records = { [Symbol.asyncDispose]: () => surroundings.records.settled() };
    await carryOutSteps(surroundings, open, run);
    ended = runDocument(state, surroundings.workspace);
    return ended;
  } catch (error) {
    throw ended === undefined ? error : afterEnd(error, state);
  }
}

/** So many steps, or as many as are at work, may wait for the disk beside them: it makes what they wrote durable together, so more take it hardly longer. */
const finishingAtOnce = 32;

async function carryOutSteps(surroundings: RunSurroundings, open: OpenRun, run: CarriedOut): Promise<void> {
  const { machine, locks, records, workspace } = surroundings;
  const { state, journal, log, logName } = open;
  machine.optimizeLater();
  try {
    const said = saidConcurrency(machine, state.definition, run.concurrency);
    const bounds = { machine, driver: workspace.datastore.locks, held: locks.size };
    const most = stepsAtOnce(bounds, said ?? usual(machine), (event) => surroundings.emit(event));
    // Who says a number means it; without one it is for the processors, which those who are finishing hardly need.
    const finishing = said === undefined ? Math.min(Math.max(most, finishingAtOnce), stepsThatFit(bounds) - most) : 0;
    for (const entry of run.entries ?? []) open.add(entry, (event) => surroundings.emit(event));
    records.expect(state.steps.filter(({ status }) => status === "pending").length);
    const parts: EngineParts = {
      surroundings,
      plan: run.plan,
      state,
      journal,
      logFile: log,
      logName,
      signal: run.cancel.orCommand,
      slots: new Slots(most, compareAskers, { finishing }),
      taintedInputs: new Set(),
      sequence: surroundings.nextSequence(),
    };
    const engine = new WorkflowEngine(parts);
    engine.write({ e: "locks", at: engine.now(), models: locks.size, waitedMs: run.waitedMs });
    await engine.run();
  } catch (error) {
    if (!(error instanceof FenError && error.code === "run_cancelled")) throw stopped(error, state);
  }
}

/** Everything that can be known before a run: what is wrong with it is thrown, and nothing is locked or written yet. */
export async function prepareRun(
  context: AppContext,
  options: RunWorkflowOptions,
): Promise<{ surroundings: RunSurroundings; plan: PlannedRun }> {
  const workspace = await openWorkspace(context);
  const { workflows } = workspace;
  const found = await workflows.find(options.workflow);
  const isEvaluated = options.lastEvaluated === true;
  const workflow = isEvaluated ? await evaluatedWorkflow(workspace, found) : found;
  for (const { file, line, message, hint } of workflow.warnings)
    context.emit({
      event: "warning",
      message: `${file}:${line ?? 1}: ${message}`,
      ...(hint === undefined ? {} : { hint }),
    });
  const inputs = await parseInputs(context.machine, options);
  concurrencyOf(context.machine, workflow.workflow, options.concurrency); // what can't be understood is told before anything is locked
  const together = workflow.workflow.lock === "run";
  const surroundings = await makeSurroundings(context, workspace, {
    workflows,
    tags: parseTags(options.tag),
    ...{ together, isEvaluated },
  });
  const plan = await planRun(planSources(surroundings), workflow, { inputs });
  refuseUnknown(surroundings.cel, plan, Object.keys(inputs));
  return { surroundings, plan };
}

/** A misspelt input would leave the one that is meant at its default. */
function refuseUnknown(cel: Cel, { workflow: { workflow }, steps }: PlannedRun, given: readonly string[]): void {
  const known = new Set(new InputsSchema(workflow.inputs ?? {}).names);
  for (const { compiled } of steps)
    for (const one of [compiled.target, compiled.method, compiled.inputs, compiled.forEach, compiled.name])
      for (const name of one?.dependencies.inputs ?? []) known.add(name);
  if (known.has("*")) return;
  const unknown = given.filter((name) => !known.has(name) && !steps.some((step) => mayRead(cel, step, name)));
  const [first] = unknown;
  if (first === undefined) return;
  throw new FenError("input_invalid", `The workflow ${workflow.name} takes no input ${unknown.join(", ")}.`, {
    hint: suggestKey(first, [...known]),
    facts: { workflow: workflow.name },
  });
}

/** Inputs of a run are seen by the definitions of the models that its steps call, too. */
function mayRead(cel: Cel, step: PlannedStep, name: string): boolean {
  if (step.definition.dataOutputOverrides.some(({ vary = [] }) => vary.includes(name))) return true;
  return callsOf(step).some(
    ({ target }) => target.kind === "open" || (target.kind === "model" && mentionsInput(cel, target.loaded, name)),
  );
}

/** It declares the input, or its expressions read it. Nobody is refused for an expression that can't be read: that is told where it is needed. */
function mentionsInput(cel: Cel, { definition, file }: LoadedDefinition, name: string): boolean {
  if (new InputsSchema(definition.inputs ?? {}).names.includes(name)) return true;
  try {
    const { inputs } = compileValue(cel, definition, { file, path: [], locate: () => undefined }).dependencies;
    return inputs.has(name) || inputs.has("*");
  } catch (error) {
    if (error instanceof FenError) return true;
    throw error;
  }
}

/** With `lock: run` everything that is known; `wanted` may leave steps out. Resolves to the milliseconds that it waited. */
export async function takeLocks(
  { machine, uses, locks, records, workspace }: RunSurroundings,
  plan: PlannedRun,
  { orCommand: signal, wanted }: Pick<CancelWatch, "orCommand"> & { wanted?(step: number, index: number): boolean },
): Promise<number> {
  const start = machine.clock.monotonic();
  if (plan.workflow.workflow.lock === "step") return 0;
  for (const [call, use] of plannedUses(plan, wanted)) uses.set(call, use);
  const models = new Set([...uses.values()].map(({ request }) => resourceKey(request.resource)));
  refuseTooManyLocks({ machine, driver: workspace.datastore.locks }, models.size);
  records.expect(uses.size); // who helps with many has started when they begin
  await locks.takeAll([...uses.values()], { signal });
  return Math.round(machine.clock.monotonic() - start);
}

/** How many steps are to be at work at once, as somebody said it or as is usual. Throws `usage`. */
export function concurrencyOf(machine: Machine, definition: WorkflowDefinition, asked: number | undefined): number {
  return saidConcurrency(machine, definition, asked) ?? usual(machine);
}

function saidConcurrency(
  machine: Machine,
  definition: WorkflowDefinition,
  asked: number | undefined,
): number | undefined {
  const said = machine.host.env["SWAMP_MAX_CONCURRENT_STEPS"];
  const fromEnv = said === undefined || said === "" ? undefined : Number(said);
  if (fromEnv !== undefined && !(Number.isInteger(fromEnv) && fromEnv >= 1))
    throw new FenError("usage", `SWAMP_MAX_CONCURRENT_STEPS must be a whole number from 1, not: ${said}`, {
      hint: "For example: SWAMP_MAX_CONCURRENT_STEPS=8",
    });
  return asked ?? fromEnv ?? definition.concurrency;
}

/** Local work: twice as many steps as there are processors, so that one can wait for the disk while another works. */
function usual(machine: Machine): number {
  return machine.host.cores * 2;
}

/** Fires when somebody wants the run to end (`workflow cancel`). */
export class CancelWatch {
  /** Fires also when the command is to end. */
  readonly orCommand: AbortSignal;
  readonly #controller = new AbortController();
  readonly #timer: Disposable;

  constructor(
    { context, machine, workspace }: RunSurroundings,
    { files, state }: { readonly files: OpenRun["files"]; readonly state: RunState },
  ) {
    this.orCommand = AbortSignal.any([context.signal, this.#controller.signal]);
    this.#timer = machine.clock.every(workspace.datastore.lookEveryMs, () => {
      void workspace.datastore.files.stat(files.cancel).then(
        (info) => {
          if (info !== undefined) this.#controller.abort(cancelled(state));
        },
        () => undefined, // looked for again in a moment
      );
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }
}

/** Who was interrupted is told how far it got, and how to go on; so is who had no room any more. */
function stopped(error: unknown, { id, definition, counts }: RunState): unknown {
  if (!(error instanceof FenError)) return error;
  // The command, run again, would do everything again.
  if (error.kind === "unavailable")
    return error.retold({ next: `go on with the run: fen workflow resume ${id}`, facts: { run: id } });
  if (error.code !== "interrupted") return error;
  const steps = Object.entries(counts).flatMap(([status, count]) =>
    count > 0 ? [`${count} ${status === "pending" ? "not begun" : status}`] : [],
  );
  return new FenError(error.code, `${error.message} Steps of ${definition.name}: ${steps.join(", ")}.`, {
    hint: `Go on with the run: fen workflow resume ${id}`,
    facts: { ...error.facts, run: id },
    cause: error,
  });
}

/** The run has ended, and its journal says how: who reads the error mustn't think otherwise. What is left of it a resume puts in order. */
function afterEnd(thrown: unknown, { id, definition, status }: RunState): unknown {
  const error = asOne(thrown);
  if (!(error instanceof FenError)) return thrown;
  const ended = status === "cancelled" ? "been cancelled" : status;
  return error.retold({
    message: `The run of ${definition.name} has ${ended}, but it couldn't be closed: ${error.message}`,
    next: `have it closed: fen workflow resume ${id}`,
    facts: { run: id, status },
    cause: thrown,
  });
}

function cancelled({ id, definition }: RunState): FenError {
  return new FenError("run_cancelled", `The run of ${definition.name} was cancelled.`, {
    hint: `Go on with it: fen workflow resume ${id}`,
  });
}
