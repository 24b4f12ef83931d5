/** One step at work: what it calls is found, its turn, slot and lock are awaited, it is called, and called again where its policy says so. */
import { asError, FenError } from "../kernel/errors.ts";
import type { LoadedDefinition } from "../model/definitions.ts";
import type { Lease, LockRequest } from "../lock/lease.ts";
import type { RetryCause } from "../workflow/definition.ts";
import type { DataReference, EndStatus } from "../workflow/entries.ts";
import { findNamedMethod, findTarget, type NamedTarget } from "../workflow/find-target.ts";
import type { Place } from "../workflow/places.ts";
import { asName, modeOf, taintedNames, targetOf } from "../workflow/plan.ts";
import { backoffAfter } from "../workflow/retry.ts";
import type { StepState } from "../workflow/run-state.ts";
import type { Slot } from "../workflow/slots.ts";
import type { Scope } from "../expression/scope.ts";
import { resourceKey } from "../store/contract.ts";
import { MethodRun, type MethodRunParts } from "./method-run.ts";
import { type PreparedMethod, prepareMethod } from "./prepare-method.ts";
import { settlePast } from "./settle.ts";
import { resolveInputs } from "./step-inputs.ts";
import { overridesOf } from "./step-overrides.ts";
import type { WorkflowEngine } from "./workflow-engine.ts";
import { runNested } from "./workflow-nested.ts";
import { modelLock } from "./workspace.ts";

/** How an attempt ended. */
export interface Attempted {
  readonly status: EndStatus;
  readonly error?: string | undefined;
  /** Why it failed, for the retry policy. Undefined: trying again is of no use. */
  readonly cause?: RetryCause | undefined;
  readonly data?: readonly DataReference[];
}

export class StepRunner {
  readonly #engine: WorkflowEngine;
  readonly #signal: AbortSignal;
  readonly #ends = new WeakMap<Lease, AbortSignal>();

  constructor(engine: WorkflowEngine, signal: AbortSignal) {
    this.#engine = engine;
    this.#signal = signal;
  }

  /** Resolves when the step has ended, or was stopped with the run. Rejects where the journal can't be written. */
  async run(step: StepState, place: Place): Promise<void> {
    try {
      await this.#untilItEnds(step, place);
    } finally {
      place.leave();
    }
  }

  async #untilItEnds(step: StepState, place: Place): Promise<void> {
    const { retry } = step.definition;
    for (let attempt = step.attempt + 1; ; attempt++) {
      using over = new Ending();
      const result = await this.#attempt(step, attempt, { place, over });
      if (result === undefined) return;
      if (retry === undefined || !isTriedAgain(step, attempt, result)) return this.#ended(step, result);
      this.#engine.write({ e: "retry", at: this.#engine.now(), n: step.number, a: attempt, error: result.error ?? "" });
      this.#engine.makeDurableSoon(); // who watches sees that it pauses
      over.tell();
      place.leave(); // others needn't wait for that
      const { clock } = this.#engine.parts.surroundings.machine;
      await clock.sleep(backoffAfter(retry, attempt), this.#signal);
    }
  }

  failed(step: StepState, error: string): void {
    this.#ended(step, { status: "failed", error });
  }

  /** What the expressions of a step see; without one, those of a fan-out's list. */
  scope(step?: StepState): Scope {
    const { surroundings, state, taintedInputs } = this.#engine.parts;
    const key = step?.definition.forEach?.item;
    const self = key === undefined ? {} : { [key]: step?.item };
    const tainted = taintedNames(taintedInputs);
    if (step?.isItemTainted === true) tainted.add(`self.${key}`);
    return { inputs: state.inputs, self, ...surroundings.scope, tainted };
  }

  #ended(step: StepState, { status, error, data }: Attempted): void {
    this.#engine.write({
      e: "end",
      at: this.#engine.now(),
      n: step.number,
      s: status,
      ...(status === "failed" && step.definition.allowFailure ? { allowed: true as const } : {}),
      ...(error === undefined ? {} : { error }),
      ...(data === undefined || data.length === 0 ? {} : { data }),
    });
    this.#engine.makeDurableSoon();
    void this.#endUse(step);
  }

  /** Nothing more of the run comes from this step. */
  async #endUse(step: StepState): Promise<void> {
    const call = this.#engine.plannedCall(step);
    if (call !== undefined) await this.#engine.endUse(call);
  }

  /** Undefined where the run was stopped before the step had begun, or after its outputs were committed. */
  async #attempt(
    step: StepState,
    attempt: number,
    its: { readonly place: Place; readonly over: Ending },
  ): Promise<Attempted | undefined> {
    try {
      const { task } = step.definition;
      const { compiled } = this.#engine.planned(step);
      const text = task.type === "model_method" ? task.modelIdOrName : task.workflowIdOrName;
      const { workflow } = this.#engine.parts.plan;
      const scope = this.scope(step);
      const { value, isTainted } = await compiled.target.run(scope);
      const target = asName(value, text, workflow.file);
      const named = targetOf(workflow, step.definition, { compiled, isTainted });
      if (task.type === "workflow") return await this.#callWorkflow(step, { attempt, target, named, scope });
      return await this.#callModel(step, { attempt, target, named, scope, ...its });
    } catch (thrown) {
      const error = await this.#engine.located(thrown);
      if (this.#signal.aborted) {
        // Of one that has committed, a resume finds out how it ended.
        const isOpen = step.status !== "running" || hasCommitted(error);
        return isOpen ? undefined : { status: "cancelled", error: reasonOf(this.#signal) };
      }
      if (!(error instanceof FenError) || this.#engine.parts.journal.failure !== undefined) throw error;
      this.#engine.logOf(step).error(error.message); // the method's own log says nothing of what kept it from running
      return { status: "failed", error: error.message, cause: causeOf(error) };
    }
  }

  /** Takes none of the run's slots, and none of the job's: its steps do. A place in its fan-out it needs. */
  async #callWorkflow(step: StepState, call: Called): Promise<Attempted> {
    const slots: Slot[] = [];
    try {
      for (const group of this.#engine.groupSlotsOf(step)) slots.push(await group.take(step.number, this.#signal));
      using timeout = new StepTimeout(this.#engine.parts.surroundings.machine.clock, step);
      return await runNested(this.#engine, step, { ...call, signal: timeout.or(this.#signal) });
    } finally {
      for (const slot of slots) slot.release();
    }
  }

  async #callModel(
    step: StepState,
    /** `found`: the definition, where it was read already. */
    call: Called & { readonly place: Place; readonly over: Ending; readonly found?: LoadedDefinition },
  ): Promise<Attempted> {
    const { attempt, target, named, scope } = call;
    const { surroundings } = this.#engine.parts;
    const { compiled } = this.#engine.planned(step);
    const found = call.found ?? (await findTarget(() => surroundings.models.find(target), named));
    const given = await compiled.method?.run(scope);
    const method = String(given?.value);
    const type = surroundings.workspace.types.find(found.definition.type);
    const { kind } = findNamedMethod(type, method, { isTainted: given?.isTainted === true });
    const request = modelLock(found, modeOf(found, kind, method));
    const endTurn = await surroundings.turns.take(resourceKey(request.resource), request.mode, this.#signal);
    const held = new HeldSlots(this.#engine, step, this.#signal);
    let done: LoadedDefinition | Worked;
    try {
      await held.take();
      const lease = await this.#lock(step, request, held);
      try {
        const locked = { attempt, found, method, scope, lease, request, held };
        const prepared = await this.#prepare(step, locked);
        const isEnough = request.mode === "exclusive" || prepared.mode === "shared";
        done = isEnough ? await this.#workInOrder(step, { ...locked, over: call.over }, prepared) : prepared.loaded;
      } finally {
        await surroundings.locks.done(request);
      }
    } finally {
      held.release();
      endTurn();
    }
    // It may change things now: it needs the stronger lock.
    if (!("attempted" in done)) return this.#callModel(step, { ...call, found: done });
    // Who is next, in this run or another, waits for the model, not for the disk.
    call.place.leave();
    if (!isTriedAgain(step, attempt, done.attempted)) void this.#endUse(step);
    await done.run?.settle();
    return done.attempted;
  }

  /** One that has to wait lets others work meanwhile. */
  async #lock(step: StepState, request: LockRequest, held: HeldSlots) {
    const { locks } = this.#engine.parts.surroundings;
    let hasWaited = false;
    const lease = await locks.hold(request, {
      signal: this.#signal,
      onWait: ({ label, by }) => {
        hasWaited = true;
        held.release();
        const record = by.kind === "unknown" ? undefined : by.record;
        const who = record === undefined ? {} : { by: `${record.holder} (pid ${record.pid})` };
        this.#engine.write({ e: "wait", at: this.#engine.now(), n: step.number, model: label, ...who });
      },
    });
    try {
      if (hasWaited) await held.take();
      return lease;
    } catch (error) {
      await locks.done(request);
      throw error;
    }
  }

  /** Who reads the journal sees that steps on one model take turns: this one starts when the end of the former is there. */
  async #workInOrder(
    step: StepState,
    call: LockedCall & { readonly over: Ending },
    prepared: PreparedStep,
  ): Promise<Worked> {
    const { endings } = this.#engine.parts.surroundings;
    const key = resourceKey(call.request.resource);
    await endings.get(key);
    this.#signal.throwIfAborted(); // the former one may have been stopped with the run
    const worked = await this.#work(step, call, prepared);
    endings.set(key, call.over.told);
    return worked;
  }

  async #work(step: StepState, call: LockedCall, prepared: PreparedStep): Promise<Worked> {
    const { surroundings, journal } = this.#engine.parts;
    const { machine, workspace } = surroundings;
    const id = machine.random.uuid();
    const model = prepared.loaded.definition.name;
    // Its record has this time in its name: who goes on with the run without it writes it anew (`bringRecords`).
    const startedAt = this.#engine.now();
    this.#engine.write({ e: "start", at: startedAt, n: step.number, a: call.attempt, model, out: id });
    await journal.durable();
    using timeout = new StepTimeout(machine.clock, step);
    try {
      const isLast = (status: string) => this.#isLast(step, call, status === "succeeded");
      const signal = timeout.or(this.#signal);
      const either = signal === this.#signal ? this.#orLost(call.lease) : undefined;
      const worked = () => call.held.finish();
      const parts = { startedAt, isLast, signal, either, worked, ...this.#runParts(step, { prepared, id, ...call }) };
      const run = new MethodRun(machine, workspace, parts);
      const outcome = await run.execute();
      const attempted: Attempted = {
        status: outcome.status === "succeeded" ? "succeeded" : "failed",
        error: outcome.message,
        cause: timeout.isOver ? "timeout" : "failure",
        data: outcome.committed.map(({ dataId, name, version }) => [dataId, name, version] as const),
      };
      return { attempted, run };
    } catch (error) {
      if (!timeout.isOver || this.#signal.aborted) throw error;
      return { attempted: { status: "failed", error: asError(error).message, cause: "timeout" } };
    }
  }

  /** Fires when the run is stopped or the lease lost: one for all steps under it. */
  #orLost(lease: Lease): AbortSignal {
    const known = this.#ends.get(lease) ?? AbortSignal.any([this.#signal, lease.signal]);
    this.#ends.set(lease, known);
    return known;
  }

  /** Nothing of the run wants the model after this attempt. */
  #isLast(step: StepState, { attempt, request }: LockedCall, isDone: boolean): boolean {
    const { locks, uses } = this.#engine.parts.surroundings;
    const { retry } = step.definition;
    if (!isDone && retry !== undefined && attempt < retry.attempts) return false;
    const call = this.#engine.plannedCall(step);
    return locks.letLast(request, call && uses.get(call));
  }

  /** Under the lock: what former runs left is settled, the definition is read again, everything is evaluated as it is now. */
  async #prepare(step: StepState, { found, method, scope, lease }: LockedCall): Promise<PreparedStep> {
    const { surroundings, state, taintedInputs } = this.#engine.parts;
    const { workspace, context, settled } = surroundings;
    const loaded = await surroundings.models.reread(found);
    if (!settled.has(lease)) await settlePast(context, workspace, { definition: loaded.definition, lease });
    settled.add(lease);
    const { compiled } = this.#engine.planned(step);
    const given = await resolveInputs(step.definition.task.inputs, compiled.inputs, scope);
    const ground = [...taintedInputs].filter((name) => !Object.hasOwn(given.values, name));
    const tainted = new Set([...ground, ...given.tainted]);
    const prepared = await prepareMethod(context, workspace, loaded, {
      method,
      inputs: given.values,
      workflowInputs: state.inputs,
      taintedInputs: tainted,
      sources: surroundings.scope,
      cel: surroundings.cel,
    });
    return { inputs: given.values, tainted, ...prepared };
  }

  #runParts(
    step: StepState,
    { prepared, id, method, lease }: LockedCall & { readonly prepared: PreparedStep; readonly id: string },
  ): Omit<MethodRunParts, "startedAt" | "isLast" | "signal" | "worked"> {
    const { surroundings, state, logName } = this.#engine.parts;
    const { definition, id: run } = state;
    const { inputs, tainted, loaded, type, resolved, mode } = prepared;
    return {
      loaded,
      type,
      resolved,
      mode,
      id,
      method,
      lease,
      tags: {
        ...definition.tags,
        source: "step-output",
        workflow: definition.name,
        step: step.name,
        ...surroundings.tags,
      },
      emit: (event) => {
        if (event.event === "run.output")
          this.#engine.emit({ ...event, event: "workflow.output", run, step: step.number });
      },
      step: {
        provenance: {
          triggeredBy: "workflow",
          workflowId: definition.id,
          workflowRunId: run,
          stepName: step.name,
        },
        records: surroundings.records,
        log: this.#engine.logOf(step),
        logFile: logName,
        override: overridesOf(step.definition, { ...state.inputs, ...inputs }, tainted),
      },
    };
  }
}

/** A call whose target is known by name. */
export interface Called {
  readonly attempt: number;
  readonly target: string;
  readonly named: NamedTarget;
  readonly scope: Scope;
}

/** A call whose model is held. */
interface LockedCall {
  readonly attempt: number;
  readonly found: LoadedDefinition;
  readonly method: string;
  readonly scope: Scope;
  readonly lease: Lease;
  readonly request: LockRequest;
  readonly held: HeldSlots;
}

/** How an attempt ended, once what its run has left to the disk is there: that needs neither turn nor lock. */
interface Worked {
  readonly attempted: Attempted;
  readonly run?: MethodRun;
}

interface PreparedStep extends PreparedMethod {
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly tainted: ReadonlySet<string>;
}

/** Of an attempt: what came of it is in the journal. */
class Ending implements Disposable {
  readonly told: Promise<void>;
  tell: () => void = () => undefined;

  constructor() {
    this.told = new Promise((resolve) => (this.tell = resolve));
  }

  [Symbol.dispose](): void {
    this.tell();
  }
}

/** The slots that a step at work has. */
class HeldSlots {
  readonly #engine: WorkflowEngine;
  readonly #step: StepState;
  readonly #signal: AbortSignal;
  #slots: Slot[] = [];

  constructor(engine: WorkflowEngine, step: StepState, signal: AbortSignal) {
    this.#engine = engine;
    this.#step = step;
    this.#signal = signal;
  }

  async take(): Promise<void> {
    for (const slots of this.#engine.slotsOf(this.#step))
      this.#slots.push(await slots.take(this.#step.number, this.#signal));
    this.#slots.push(await this.#engine.parts.slots.take(this.#engine.asker(this.#step), this.#signal));
  }

  finish(): void {
    for (const slot of this.#slots) slot.finish();
  }

  release(): void {
    for (const slot of this.#slots) slot.release();
    this.#slots = [];
  }
}

class StepTimeout {
  readonly #controller: AbortController | undefined;
  readonly #timer: Disposable | undefined;

  constructor(
    clock: { after(ms: number, task: () => void): Disposable },
    { name, definition: { timeoutMs } }: StepState,
  ) {
    if (timeoutMs === undefined) return;
    const controller = new AbortController();
    this.#controller = controller;
    this.#timer = clock.after(timeoutMs, () =>
      controller.abort(
        new FenError("step_timeout", `Step ${name} took longer than ${timeoutMs / 1000} s.`, {
          hint: "Give it a longer timeout, or find out what it waits for.",
        }),
      ),
    );
  }

  get isOver(): boolean {
    return this.#controller?.signal.aborted === true;
  }

  /** Fires when either does. */
  or(signal: AbortSignal): AbortSignal {
    return this.#controller === undefined ? signal : AbortSignal.any([signal, this.#controller.signal]);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }
}

function isTriedAgain({ definition: { retry } }: StepState, attempt: number, { status, cause }: Attempted): boolean {
  return (
    status === "failed" &&
    retry !== undefined &&
    attempt < retry.attempts &&
    cause !== undefined &&
    retry.on.includes(cause)
  );
}

/** Its outputs are data, or the next holder makes them that; what failed came after. */
function hasCommitted(error: unknown): boolean {
  return error instanceof FenError && (error.facts["committed"] === true || error.facts["status"] === "succeeded");
}

function causeOf({ code }: FenError): RetryCause | undefined {
  if (code === "lock_timeout" || code === "lock_wait_cycle" || code === "lock_lost") return "lock";
  return code === "step_timeout" ? "timeout" : undefined;
}

function reasonOf(signal: AbortSignal): string {
  return asError(signal.reason).message;
}
