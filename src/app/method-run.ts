/** One call of a method on a model whose lock is held: run, commit, record. What calls it: `model method run`, and the steps of workflows. */
import type { Owner } from "../data/metadata.ts";
import { resourcesFirst, type RunStatus } from "../data/outputs.ts";
import type { RunLog } from "../data/run-log.ts";
import { type Committed, Staging, type StagedSpec } from "../data/staging.ts";
import { asError, FenError } from "../kernel/errors.ts";
import { isoTime } from "../kernel/iso-time.ts";
import type { Machine } from "../kernel/machine.ts";
import { all } from "../kernel/several.ts";
import type { Lease } from "../lock/lease.ts";
import type { ModelDefinition } from "../model/definition.ts";
import { runMethod as callMethod } from "../model/runner.ts";
import type { MethodContext, MethodResult, OutputSpec, WriteOutputOptions } from "../model/type.ts";
import type { Files } from "../store/contract.ts";
import type { AppEvent } from "./context.ts";
import { MethodRecord } from "./method-record.ts";
import type { PreparedMethod } from "./prepare-method.ts";
import type { Workspace } from "./workspace.ts";

/** What of a workspace a call works on. */
export type Workplace = Pick<Workspace, "repository" | "datastore" | "data" | "outputs">;

/** What a call of a method is made of; everything is resolved and locked. */
export interface MethodRunParts extends PreparedMethod {
  /** Id of the output record. */
  readonly id: string;
  /** When it began, as its record is to say it: milliseconds of the wall clock. Now, where it isn't said. */
  readonly startedAt?: number;
  readonly method: string;
  /** Tags of the caller; they go over those of definition and type. */
  readonly tags: Readonly<Record<string, string>>;
  readonly lease: Lease;
  /** Asked just before the commit, with how the method ended: nothing else is done under the lease, it may be given back in the same write. */
  isLast?(status: RunStatus): boolean;
  /** Ends the work: the command's signal, a timeout. The loss of the lock ends it too. */
  readonly signal: AbortSignal;
  /** `signal` and the lease's in one, where the caller has it already: it costs more than it looks. */
  readonly either?: AbortSignal | undefined;
  emit(event: AppEvent): void;
  /** The method has ended; what it has left is about to become data. */
  worked?(): void;
  /** The step of a workflow that calls it: its output goes to the log of the run, and its record is written once, at the end. */
  readonly step?: CallingStep;
}

export interface CallingStep {
  readonly provenance: {
    readonly triggeredBy: "workflow";
    readonly workflowId: string;
    readonly workflowRunId: string;
    readonly stepName: string;
  };
  readonly log: RunLog;
  /** As it is written into the record. */
  readonly logFile: string;
  /** Writes its record, and sees to that it survives a power cut before the run ends. */
  readonly records: Pick<Files, "write">;
  /** How a declared output differs in this step, by the name of its spec. */
  override(specName: string): OutputOverride | undefined;
}

export interface OutputOverride {
  readonly lifetime?: string | undefined;
  readonly garbageCollection?: number | string | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** Put behind the name of the data. */
  readonly suffix: string;
}

/** What came of a call that wasn't prevented. */
export interface MethodOutcome {
  readonly status: RunStatus;
  readonly message?: string;
  readonly durationMs: number;
  readonly committed: readonly Committed[];
  /** The first resource that was written. */
  readonly attributes?: unknown;
  /** Relative to the datastore. */
  readonly logPath: string;
}

/** So long a method is at work before its commit is prepared: what is quicker is over by then. */
const readyAfterMs = 20;

/** One call of a method: run, commit, record. */
export class MethodRun {
  readonly #machine: Machine;
  readonly #parts: MethodRunParts;
  readonly #start: number;
  readonly #staging: Staging;
  readonly #record: MethodRecord;
  #status: RunStatus = "running";

  constructor(machine: Machine, workspace: Workplace, parts: MethodRunParts) {
    this.#machine = machine;
    this.#parts = parts;
    this.#start = machine.clock.monotonic();
    // A step's record is written when it has ended: until then nobody looks whether it lives.
    const run = { model: this.#definition, runId: parts.id, isLate: parts.step !== undefined };
    this.#staging = new Staging(workspace.data.store, machine, run);
    const { id, lease, loaded, method, step, type } = parts;
    const startedAt = isoTime(parts.startedAt ?? machine.clock.now());
    this.#record = new MethodRecord(machine, workspace, { id, lease, loaded, method, step, type, startedAt });
  }

  get #definition(): ModelDefinition {
    return this.#parts.loaded.definition;
  }

  /**
   * Throws what kept the method from running or from committing, and why it was stopped; its record says so then. What it has committed survives a power cut
   * in any case: if not yet as data, the next holder makes it data. `settle` does the rest, for who isn't thrown an error.
   */
  async execute(): Promise<MethodOutcome> {
    const log = await this.#record.begin();
    try {
      return await this.#work(log);
    } catch (error) {
      await this.#staging.settle().catch(() => undefined); // the first error is the one to tell
      await this.#record.close().catch(() => undefined); // as above
      throw error;
    }
  }

  /**
   * After `execute`: its data and its record survive a power cut once this resolves. It needs no lock, and who waits for that needn't wait for the disk.
   * Throws where the store fails.
   */
  async settle(): Promise<void> {
    const data = this.#keep(this.#staging.settle(), "it may not survive a power cut");
    const record = this.#keep(this.#record.settle(), "its record is written, but may not survive a power cut");
    await all([data, record]);
  }

  /** The work is done and its data is there: whoever reads the error mustn't think otherwise. */
  async #keep(writing: Promise<void>, what: string): Promise<void> {
    await writing.catch((error: unknown) => Promise.reject(unrecorded(error, this.#status, what)));
  }

  async #work(log: RunLog): Promise<MethodOutcome> {
    const { name, type } = this.#definition;
    const { id, method } = this.#parts;
    this.#parts.emit({ event: "run.started", outputId: id, model: name, type, method });
    log.info(`Executing method "${method}" of "${name}" ("${type}")`);
    const { result, thrown } = await this.#call(log);
    this.#parts.worked?.();
    return this.#settle(result, thrown);
  }

  /** Runs the method; what it throws is kept, because the record must be written first. */
  async #call(log: RunLog): Promise<{ result: MethodResult; thrown?: unknown }> {
    const { type, method, resolved, lease } = this.#parts;
    const signal = this.#parts.either ?? AbortSignal.any([this.#parts.signal, lease.signal]);
    using _ready = this.#getReady();
    try {
      return {
        result: await callMethod({ type, method, arguments: resolved.arguments }, this.#methodContext(log, signal)),
      };
    } catch (error) {
      return { result: { status: "failed", message: asError(error).message }, thrown: error };
    }
  }

  /**
   * Once it is clear that the method takes its time, what can be done of the commit is done: then those who wait for the lock needn't wait for it. The steps of
   * a workflow do without: for many at once one thread makes all files.
   */
  #getReady(): Disposable | undefined {
    const { step, type, lease } = this.#parts;
    if (step !== undefined) return undefined;
    const expected = [...Object.keys(type.files), ...Object.keys(type.resources)];
    return this.#machine.clock.after(readyAfterMs, () => this.#staging.getReady(expected, lease));
  }

  async #settle(result: MethodResult, thrown: unknown): Promise<MethodOutcome> {
    const reason: unknown = this.#parts.signal.aborted ? this.#parts.signal.reason : undefined;
    const isTimeout = reason instanceof FenError && reason.code === "step_timeout";
    const stopped = isTimeout ? undefined : reason;
    const status: RunStatus = stopped !== undefined ? "cancelled" : result.status;
    this.#status = status;
    const message =
      reason !== undefined ? asError(reason).message : result.status === "failed" ? result.message : undefined;
    let committed: Committed[] = [];
    let failure = thrown;
    let isTold = false;
    const durationMs = Math.round(this.#machine.clock.monotonic() - this.#start);
    const tell = async (now: readonly Committed[], { isAhead }: { readonly isAhead: boolean }) => {
      isTold = true;
      await this.#record.end({
        status,
        message,
        durationMs,
        committed: resourcesFirst(now),
        isAhead,
        isDurable: isAhead || stopped !== undefined, // who is stopped gets an error, and doesn't come to `settle`
      });
    };
    const beside = (now: readonly Committed[]) => tell(now, { isAhead: true });
    try {
      // Without its lock it commits nothing: that says so, whatever else went wrong, and where its output is kept.
      if (thrown === undefined || this.#parts.lease.signal.aborted)
        committed = resourcesFirst(await this.#commit(status, beside));
      else await this.#staging.discard();
    } catch (error) {
      // From there on the next command on the model finishes the commit, and the record with it.
      if (error instanceof FenError && error.facts["committed"] === true) throw error;
      failure = error;
    }
    const final = failure === undefined ? status : "failed";
    if (failure !== undefined) {
      const end = { status: final, message: asError(failure).message, durationMs, committed };
      await this.#record.end(end).catch(() => undefined); // the first error is the one to tell
    } else if (!isTold)
      await this.#keep(tell(committed, { isAhead: false }), "its record or its log could not be written");
    this.#finished(final, committed, durationMs);
    if (failure !== undefined) throw failure;
    if (stopped !== undefined) {
      await this.settle();
      throw stopped;
    }
    return {
      status: final,
      ...(message === undefined ? {} : { message }),
      durationMs,
      committed,
      ...(this.#attributes === undefined ? {} : { attributes: this.#attributes }),
      logPath: this.#record.logPath,
    };
  }

  #owner(): Owner {
    const { id, step } = this.#parts;
    const { workflowId, workflowRunId } = step?.provenance ?? {};
    return {
      ownerType: "model-method",
      ownerRef: this.#definition.id,
      outputId: id,
      ...(workflowId === undefined ? {} : { workflowId }),
      ...(workflowRunId === undefined ? {} : { workflowRunId }),
    };
  }

  #commit(status: RunStatus, beside: (committed: readonly Committed[]) => Promise<void>): Promise<Committed[]> {
    const { lease, step } = this.#parts;
    return this.#staging.commit({
      owner: this.#owner(),
      tags: status === "succeeded" ? {} : { status },
      held: lease,
      durable: false,
      last: this.#parts.isLast?.(status),
      // A step's record is written on this machine only, until its run is over.
      ...(step === undefined ? { beside } : {}),
    });
  }

  #finished(status: RunStatus, committed: readonly Committed[], durationMs: number): void {
    for (const { name, version, path } of committed) this.#parts.emit({ event: "run.data", name, version, path });
    const shown = status === "succeeded" || status === "cancelled" ? status : "failed";
    this.#parts.emit({ event: "run.finished", outputId: this.#parts.id, status: shown, durationMs });
  }

  #attributes: unknown;

  #methodContext(log: RunLog, signal: AbortSignal): MethodContext {
    const machine = this.#machine;
    const { type, resolved, lease } = this.#parts;
    const { id, name, version, tags } = this.#definition;
    return {
      machine,
      signal,
      cwd: machine.host.cwd,
      model: { id, name, type: type.name, version, tags, globalArguments: resolved.globalArguments },
      handDown: lease.handDown(),
      storable: resolved.storable,
      output: (stream, line) => {
        log.output(stream, line);
        this.#parts.emit({ event: "run.output", stream, line });
      },
      writeResource: async (spec, content, options = {}) => {
        this.#attributes ??= content;
        await this.#staging.writeJson(
          this.#instance(spec, options),
          content,
          this.#staged("resource", spec, type.resources[spec], options),
        );
      },
      openFile: (spec, options = {}) =>
        this.#staging.openFile(this.#instance(spec, options), this.#staged("file", spec, type.files[spec], options)),
      spool: async () => this.#staging.spool(),
    };
  }

  #instance(spec: string, { instance = spec }: WriteOutputOptions): string {
    return `${instance}${this.#parts.step?.override(spec)?.suffix ?? ""}`;
  }

  /** Tags, later ones win: kind, definition, spec, written, names, the caller's, the step's override. */
  #staged(
    kind: "resource" | "file",
    name: string,
    spec: OutputSpec | undefined,
    options: WriteOutputOptions,
  ): StagedSpec {
    if (spec === undefined) throw new Error(`${this.#parts.type.name} declares no ${kind} called ${name}`);
    const { contentType, streaming } = spec;
    const override = this.#parts.step?.override(name);
    const lifetime = override?.lifetime ?? spec.lifetime;
    const garbageCollection = override?.garbageCollection ?? spec.garbageCollection;
    const names = { specName: name, modelName: this.#definition.name };
    return {
      contentType,
      lifetime,
      garbageCollection,
      streaming,
      tags: {
        type: kind,
        ...this.#definition.tags,
        ...spec.tags,
        ...options.tags,
        ...names,
        ...this.#parts.tags,
        ...override?.tags,
      },
    };
  }
}

function unrecorded(error: unknown, status: RunStatus, what: string): unknown {
  if (!(error instanceof FenError)) return error;
  const message = `The method ${status} and its data is kept; ${what}. ${error.message}`;
  return error.retold({ message, facts: { status } });
}
