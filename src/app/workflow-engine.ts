/** Carries out a planned run: decisions of the scheduler become steps at work, what happens becomes lines of the journal. One for each run, nested ones included. */
import { setMaxListeners } from "node:events";
import { RunLog } from "../data/run-log.ts";
import { locatedBy } from "../expression/failure.ts";
import { asError, FenError } from "../kernel/errors.ts";
import type { Machine } from "../kernel/machine.ts";
import { type YamlLocator, yamlLocator } from "../repo/yaml.ts";
import type { Appender } from "../store/contract.ts";
import type { JournalEntry, RunEnd } from "../workflow/entries.ts";
import { expansionsOf } from "../workflow/expansion.ts";
import type { Journal } from "../workflow/journal.ts";
import { Places } from "../workflow/places.ts";
import { type PlannedCall, plannedCallOf, type PlannedRun, type PlannedStep } from "../workflow/plan.ts";
import type { RunState, StepState } from "../workflow/run-state.ts";
import { type Decision, Scheduler } from "../workflow/scheduler.ts";
import { Slots } from "../workflow/slots.ts";
import type { AppEvent } from "./context.ts";
import type { RunSurroundings } from "./workflow-run-surroundings.ts";
import { StepRunner } from "./workflow-step.ts";

export interface EngineParts {
  readonly surroundings: RunSurroundings;
  readonly plan: PlannedRun;
  readonly state: RunState;
  readonly journal: Journal;
  readonly logFile: Appender;
  /** As records name it. */
  readonly logName: string;
  readonly signal: AbortSignal;
  /** Slots of the outermost run. */
  readonly slots: Slots<SlotAsker>;
  /** Inputs of the run that come from the environment or a vault: of a nested one, given by the step that calls it. */
  readonly taintedInputs: ReadonlySet<string>;
  /** Runs of one command are numbered in the order of their start. */
  readonly sequence: number;
}

/** A step that wants to work. */
export interface SlotAsker {
  readonly sequence: number;
  compare(other: number): number;
  readonly step: number;
}

/** Of two runs, the older goes first; within one, the scheduler decides. */
export function compareAskers(a: SlotAsker, b: SlotAsker): number {
  return a.sequence - b.sequence || a.compare(b.step);
}

/** So long the end of a step waits to be made durable with the start of the next, which often follows; milliseconds. */
const soonMs = 3;

export class WorkflowEngine {
  readonly parts: EngineParts;
  readonly #machine: Machine;
  readonly #scheduler: Scheduler;
  readonly #runner: StepRunner;
  readonly #jobSlots: readonly Slots<number>[];
  readonly #groupSlots = new Map<number, Slots<number>>();
  readonly #places = new Places();
  readonly #atWork = new Set<Promise<void>>();
  readonly #fatal = new AbortController();
  readonly #signal: AbortSignal;
  #soon: Disposable | undefined;
  #locator: Promise<YamlLocator> | undefined;
  #end: RunEnd | undefined;
  #wake: (() => void) | undefined;
  #isPumping = false;

  constructor(parts: EngineParts) {
    this.parts = parts;
    this.#machine = parts.surroundings.machine;
    this.#scheduler = new Scheduler(parts.state);
    this.#signal = AbortSignal.any([parts.signal, this.#fatal.signal]);
    setMaxListeners(0, this.#signal); // every step that waits listens
    const compare = (a: number, b: number) => this.#scheduler.compare(a, b);
    this.#jobSlots = parts.state.definition.jobs.map((job) => new Slots(job.concurrency, compare));
    this.#runner = new StepRunner(this, this.#signal);
  }

  /** Runs to the end. Throws the signal's reason where it was stopped, and what kept the journal from being written; the journal says the rest. */
  async run(): Promise<RunEnd> {
    const { journal, state } = this.parts;
    const stopped = new Promise<void>((resolve) => {
      this.#wake = resolve;
      this.#signal.addEventListener("abort", () => resolve(), { once: true });
      if (this.#signal.aborted) resolve();
    });
    await this.#restoreItems();
    this.#pump();
    await stopped;
    while (this.#atWork.size > 0) await Promise.all(this.#atWork);
    this.#soon?.[Symbol.dispose]();
    const end = this.#end ?? "cancelled";
    if (!this.#fatal.signal.aborted) await this.#settleRecords();
    if (!this.#fatal.signal.aborted) {
      const at = this.now();
      const paused = state.paused(at);
      this.write({ e: "done", at, s: end, ...(paused > 0 ? { paused } : {}) });
      await journal.durable();
    }
    await this.endUses(this.parts.plan.steps);
    if (this.#fatal.signal.aborted) throw this.#fatal.signal.reason;
    if (this.#end === undefined) throw this.parts.signal.reason;
    return state.status === "running" ? end : state.status;
  }

  /**
   * Before the run has ended: nobody takes up one that has, and only who does writes what is missing. Those of a nested run are among those of the run
   * that calls it, which goes on.
   */
  async #settleRecords(): Promise<void> {
    const { surroundings, state } = this.parts;
    if (state.parent !== undefined) return;
    await surroundings.records.settled().catch((error: unknown) => this.#fatal.abort(asError(error)));
  }

  now(): number {
    return this.#machine.clock.now();
  }

  /** Takes a line into the journal and what it means into the state. */
  write(entry: JournalEntry): void {
    const { journal, state, surroundings } = this.parts;
    journal.write(entry);
    state.apply(entry);
    this.#scheduler.note(entry);
    surroundings.emit({ event: "workflow.entry", run: state.id, entry });
  }

  /** What was written will be durable shortly, if not with a line that is waited for before. */
  makeDurableSoon(): void {
    const { journal } = this.parts;
    this.#soon ??= this.#machine.clock.after(soonMs, () => {
      this.#soon = undefined;
      void journal.durable().catch(() => undefined); // told to whoever waits for a later line
    });
  }

  emit(event: AppEvent): void {
    this.parts.surroundings.emit(event);
  }

  /** The step of the plan that a step of the run is, or is an expansion of. */
  planned({ number, template }: StepState): PlannedStep {
    const step = this.parts.plan.steps[template ?? number];
    if (step === undefined) throw new Error(`step ${number} isn't in the plan`);
    return step;
  }

  /** What was planned for a step; undefined where that wasn't known. */
  plannedCall(step: StepState): PlannedCall | undefined {
    return plannedCallOf(this.parts.plan, this.parts.state, step);
  }

  asker(step: StepState): SlotAsker {
    const { number } = step;
    return { sequence: this.parts.sequence, step: number, compare: (other) => this.#scheduler.compare(number, other) };
  }

  /** The log of one step. */
  logOf(step: StepState): RunLog {
    const { state, logFile } = this.parts;
    const job = state.job(step.job).name;
    // Names are data of users: none may end the line or speak to a terminal.
    const category = `workflow·run·${state.definition.name}·${job}·${step.name}`.replaceAll(/\p{Cc}/gu, "\uFFFD");
    return new RunLog(this.#machine, logFile, category);
  }

  /** An error of an expression of the workflow, with its line. */
  located(error: unknown): Promise<unknown> {
    const { file, text } = this.parts.plan.workflow;
    return locatedBy(error, file, () => (this.#locator ??= yamlLocator(text)));
  }

  /** Slots of the job, and of the fan-out, that a step needs beside one of the run. */
  slotsOf(step: StepState): Slots<number>[] {
    const ofJob = this.#jobSlots[step.job];
    return ofJob === undefined ? this.groupSlotsOf(step) : [...this.groupSlotsOf(step), ofJob];
  }

  /** Those of the fan-out that a step is an expansion of. */
  groupSlotsOf({ template, definition: { concurrency } }: StepState): Slots<number>[] {
    if (template === undefined) return [];
    const group = this.#groupSlots.get(template) ?? new Slots(concurrency, (a: number, b: number) => a - b);
    this.#groupSlots.set(template, group);
    return [group];
  }

  /** Nothing of these will be called any more. */
  async endUses(steps: readonly PlannedStep[]): Promise<void> {
    for (const step of steps)
      for (const call of [...(step.calls ?? []), ...(step.any === undefined ? [] : [step.any])])
        await this.endUse(call);
  }

  async endUse(call: PlannedCall): Promise<void> {
    const { locks, uses } = this.parts.surroundings;
    const use = uses.get(call);
    if (use !== undefined) await locks.end(use);
    if (call.target.kind === "workflow") await this.endUses(call.target.plan.steps);
  }

  #pump(): void {
    if (this.#isPumping) return; // what was written meanwhile is seen by the loop below
    this.#isPumping = true;
    try {
      for (let decisions = this.#decide(); decisions.length > 0; decisions = this.#decide())
        for (const decision of decisions) this.#carryOut(decision);
    } catch (error) {
      this.#fatal.abort(asError(error)); // called where nobody waits for it
    } finally {
      this.#isPumping = false;
    }
  }

  #decide(): Decision[] {
    return this.#signal.aborted ? [] : this.#scheduler.decide();
  }

  #carryOut(decision: Decision): void {
    const at = this.now();
    switch (decision.do) {
      case "start-job":
        return this.write({ e: "job", at, j: decision.job, s: "running" });
      case "skip-job":
        return this.write({ e: "job", at, j: decision.job, s: "skipped", why: decision.why });
      case "end-job":
        return this.write({ e: "job", at, j: decision.job, s: decision.status });
      case "skip":
        this.write({ e: "end", at, n: decision.step, s: "skipped", why: decision.why });
        return this.#track(this.endUses([this.planned(this.parts.state.step(decision.step))]));
      case "end-group": {
        const { step, status, allowed } = decision;
        this.write({
          e: "end",
          at,
          n: step,
          s: status,
          ...(status === "failed" && allowed ? { allowed: true as const } : {}),
        });
        return this.#track(this.endUses([this.planned(this.parts.state.step(step))]));
      }
      case "expand":
        return this.#track(this.#expand(this.parts.state.step(decision.step)));
      case "start": {
        const step = this.parts.state.step(decision.step);
        return this.#places.enter(this.#wantedAlone(step), (place) => {
          if (!this.#signal.aborted) this.#track(this.#runner.run(step, place));
        });
      }
      case "end-run":
        this.#end = decision.status;
        this.#wake?.();
    }
  }

  /** The model that a step will have for itself, where that is known. */
  #wantedAlone(step: StepState): string | undefined {
    const target = this.plannedCall(step)?.target;
    return target?.kind === "model" && target.mode === "exclusive" ? target.loaded.definition.id : undefined;
  }

  /** Work that the run waits for; what it throws ends the run. */
  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => {
        if (!this.#signal.aborted) this.#fatal.abort(asError(error));
      })
      .finally(() => {
        this.#atWork.delete(tracked);
        this.#pump();
      });
    this.#atWork.add(tracked);
  }

  /** Elements that the journal doesn't keep, because of what they were made from. */
  async #restoreItems(): Promise<void> {
    const { state } = this.parts;
    for (const step of state.steps) {
      const { forEach, name } = this.planned(step).compiled;
      const [first] = step.expansions ?? [];
      if (first === undefined || forEach === undefined || state.step(first).item !== undefined) continue;
      const scope = this.#runner.scope();
      const expansions = await expansionsOf(
        step.definition,
        name,
        { ...(await forEach.run(scope)), where: forEach.expressions[0]?.where },
        scope,
      );
      if (expansions.length !== step.expansions?.length) throw changedList(step.name, state.id);
      for (const [index, { item }] of expansions.entries()) state.step(first + index).item = item;
    }
  }

  async #expand(step: StepState): Promise<void> {
    const { state } = this.parts;
    const { compiled } = this.planned(step);
    const { forEach, name } = compiled;
    if (forEach === undefined) throw new Error(`step ${step.name} is no fan-out`);
    const scope = this.#runner.scope();
    try {
      const list = { ...(await forEach.run(scope)), where: forEach.expressions[0]?.where };
      const expansions = await expansionsOf(step.definition, name, list, scope);
      const first = state.steps.length;
      const items = expansions.map(({ item }) => item);
      const names = expansions.map((one) => one.name);
      this.write({ e: "expand", at: this.now(), n: step.number, first, names, ...(list.isTainted ? {} : { items }) });
      for (const [index, item] of items.entries()) state.step(first + index).item = item;
    } catch (thrown) {
      const error = await this.located(thrown);
      if (!(error instanceof FenError) || this.parts.journal.failure !== undefined) throw error;
      this.#runner.failed(step, error.message);
      await this.endUses([this.planned(step)]);
    }
  }
}

/** What the elements were isn't stored, because of where they come from: if it is another list now, nobody can tell which is which. */
function changedList(step: string, run: string): FenError {
  return new FenError("run_ended", `The list of the fan-out ${step} has another length than when the run began.`, {
    hint: "Set the environment as it was then, or run the workflow again.",
    facts: { run },
  });
}
