/** `model method run`: lock, read again under the lock, check, run, commit, record, release. */
import { isAbsolute, relative } from "node:path";
import { isoNow, type OutputRecord, type RunStatus } from "../data/outputs.ts";
import { RunLog } from "../data/run-log.ts";
import { type Committed, Staging, type StagedSpec } from "../data/staging.ts";
import { resolveArguments, type Resolved } from "../expression/resolve.ts";
import { asError, FenError } from "../kernel/errors.ts";
import type { Lease } from "../lock/lease.ts";
import { definitionHash, type ModelDefinition } from "../model/definition.ts";
import type { LoadedDefinition } from "../model/definitions.ts";
import { checkArguments, runMethod as callMethod } from "../model/runner.ts";
import {
  findMethod,
  type MethodContext,
  type MethodResult,
  type ModelType,
  onlyReads,
  type OutputSpec,
  type WriteOutputOptions,
} from "../model/type.ts";
import type { LockMode } from "../store/contract.ts";
import type { AppContext } from "./context.ts";
import { parseInputs, parseTags } from "./inputs.ts";
import { settlePast } from "./settle.ts";
import { modelLock, openWorkspace, type Workspace } from "./workspace.ts";

export interface RunMethodOptions {
  readonly model: string;
  readonly method: string;
  readonly input?: readonly string[] | undefined;
  readonly inputFile?: string | undefined;
  readonly tag?: readonly string[] | undefined;
}

export interface RunMethodResult {
  readonly outputId: string;
  readonly modelId: string;
  readonly modelName: string;
  readonly type: string;
  readonly methodName: string;
  readonly status: RunStatus;
  readonly durationMs: number;
  /** The first that the method left; the others are `logs`. */
  readonly data?: {
    readonly id: string;
    readonly name: string;
    readonly version: number;
    readonly path: string;
    readonly attributes?: unknown;
  };
  readonly logs?: readonly {
    readonly id: string;
    readonly name: string;
    readonly version: number;
    readonly path: string;
  }[];
  readonly logFile: string;
  readonly error?: { readonly message: string };
}

/**
 * A method that fails gives a result that says so; what kept it from running, or from committing, is thrown. Everything that can be known
 * before the lock is checked before it, and again under it if the definition has changed meanwhile.
 */
export async function runMethod(context: AppContext, options: RunMethodOptions): Promise<RunMethodResult> {
  const workspace = await openWorkspace(context);
  const request: Request = {
    method: options.method,
    inputs: await parseInputs(context.machine, options),
    tags: parseTags(options.tag),
  };
  let prepared = await prepare(context, workspace, await workspace.definitions.find(options.model), request);
  for (;;) {
    const { mode } = prepared;
    const lease = await workspace.lock([modelLock(prepared.loaded, mode)]);
    try {
      const loaded = await workspace.definitions.reread(prepared.loaded);
      if (loaded !== prepared.loaded) prepared = await prepare(context, workspace, loaded, request);
      if (mode === "shared" && prepared.mode === "exclusive") continue; // it may change things now: it needs the stronger lock
      await settlePast(context, workspace, { definition: loaded.definition, lease });
      return await new Run(context, workspace, { ...request, ...prepared, lease }).execute();
    } finally {
      await lease.release();
    }
  }
}

interface Request {
  readonly method: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly tags: Readonly<Record<string, string>>;
}

interface Prepared {
  readonly loaded: LoadedDefinition;
  readonly type: ModelType;
  readonly resolved: Resolved;
  readonly mode: LockMode;
  readonly definitionHash: string;
}

async function prepare(
  context: AppContext,
  workspace: Workspace,
  loaded: LoadedDefinition,
  { method, inputs }: Request,
): Promise<Prepared> {
  for (const warning of loaded.warnings)
    context.emit({
      event: "warning",
      message: `${warning.file}:${warning.line ?? 1}: ${warning.message}`,
      ...(warning.hint === undefined ? {} : { hint: warning.hint }),
    });
  const type = workspace.types.find(loaded.definition.type);
  refuseDriver(loaded);
  const kind = loaded.definition.methods[method]?.kind ?? findMethod(type, method).kind;
  const resolved = await resolveArguments({ ...loaded, method, inputs, env: context.machine.host.env });
  checkArguments({ type, method, arguments: resolved.arguments });
  const mode = onlyReads(kind) ? "shared" : "exclusive";
  return { loaded, type, resolved, mode, definitionHash: definitionHash(loaded.definition) };
}

/** What is meant for a container must not run here instead. */
function refuseDriver({ definition, file }: LoadedDefinition): void {
  const { driver, name } = definition;
  if (driver !== undefined && driver !== "raw")
    throw new FenError("not_yet", `${name} asks for the driver ${driver}, which this version doesn't have: ${file}`, {
      hint: "Take driver out of the definition to run the method on this machine.",
      facts: { model: name, driver },
    });
}

interface RunParts extends Request, Prepared {
  readonly lease: Lease;
}

class Run {
  readonly #context: AppContext;
  readonly #workspace: Workspace;
  readonly #parts: RunParts;
  readonly #id: string;
  readonly #startedAt: string;
  readonly #start: number;
  readonly #staging: Staging;
  readonly #stem: string;

  constructor(context: AppContext, workspace: Workspace, parts: RunParts) {
    const { machine } = context;
    this.#context = context;
    this.#workspace = workspace;
    this.#parts = parts;
    this.#id = machine.random.uuid();
    this.#startedAt = isoNow(machine);
    this.#start = machine.clock.monotonic();
    this.#staging = new Staging(workspace.datastore.files, machine, { model: this.#definition, runId: this.#id });
    this.#stem = workspace.outputs.newStem(this.#definition, parts.method, {
      id: this.#id,
      startedAt: this.#startedAt,
    });
  }

  get #definition(): ModelDefinition {
    return this.#parts.loaded.definition;
  }

  async execute(): Promise<RunMethodResult> {
    const { files } = this.#workspace.datastore;
    const { name, type } = this.#definition;
    const { method } = this.#parts;
    const log = new RunLog(
      this.#context.machine,
      await files.create(`${this.#stem}.log`),
      `model·method·run·${name}·${method}`,
    );
    try {
      await this.#begin();
      this.#context.emit({ event: "run.started", outputId: this.#id, model: name, type, method });
      log.info(`Executing method "${method}" of "${name}" ("${type}")`);
      const { result, thrown } = await this.#call(log);
      return await this.#settle(result, thrown, log);
    } finally {
      await log.close();
    }
  }

  /** The record, or nothing: a log alone would be of no run. */
  async #begin(): Promise<void> {
    const { outputs, datastore } = this.#workspace;
    try {
      await outputs.write(this.#stem, this.#record({ status: "running" }), { durable: false });
    } catch (error) {
      await datastore.files.remove(`${this.#stem}.log`).catch(() => undefined); // the store fails: the first error is the one to tell
      throw error;
    }
  }

  /** Runs the method; what it throws is kept, because the record must be written first. */
  async #call(log: RunLog): Promise<{ result: MethodResult; thrown?: unknown }> {
    const { type, method, resolved, lease } = this.#parts;
    const signal = AbortSignal.any([this.#context.signal, lease.signal]);
    try {
      return {
        result: await callMethod({ type, method, arguments: resolved.arguments }, this.#methodContext(log, signal)),
      };
    } catch (error) {
      return { result: { status: "failed", message: asError(error).message }, thrown: error };
    }
  }

  async #settle(result: MethodResult, thrown: unknown, log: RunLog): Promise<RunMethodResult> {
    const stopped: unknown = this.#context.signal.aborted ? this.#context.signal.reason : undefined;
    const status: RunStatus = stopped !== undefined ? "cancelled" : result.status;
    const message =
      stopped !== undefined ? asError(stopped).message : result.status === "failed" ? result.message : undefined;
    let committed: Committed[] = [];
    let failure = thrown;
    try {
      if (thrown === undefined) committed = resourcesFirst(await this.#commit(status));
      else await this.#staging.discard();
    } catch (error) {
      // From there on the next command on the model finishes the commit, and the record with it.
      if (error instanceof FenError && error.facts["committed"] === true) throw error;
      failure = error;
    }
    logEnd(log, message, committed);
    const told = failure === undefined ? message : asError(failure).message;
    const durationMs = Math.round(this.#context.machine.clock.monotonic() - this.#start);
    const final = failure === undefined ? status : "failed";
    await this.#finish(final, committed, told, durationMs, failure);
    if (failure !== undefined) throw failure;
    if (stopped !== undefined) throw stopped;
    return this.#result(final, committed, told, durationMs);
  }

  #commit(status: RunStatus): Promise<Committed[]> {
    return this.#staging.commit({
      owner: { ownerType: "model-method", ownerRef: this.#definition.id },
      tags: status === "succeeded" ? {} : { status },
      assertHeld: () => this.#parts.lease.assertHeld(),
    });
  }

  async #finish(
    status: RunStatus,
    committed: readonly Committed[],
    message: string | undefined,
    durationMs: number,
    failure: unknown,
  ): Promise<void> {
    const record = this.#record({
      status,
      committed,
      durationMs,
      ...(message === undefined ? {} : { error: { message } }),
    });
    try {
      await this.#workspace.outputs.write(this.#stem, record, { durable: true });
    } catch (error) {
      if (failure === undefined) throw unrecorded(error, status);
    }
    for (const { name, version, path } of committed) this.#context.emit({ event: "run.data", name, version, path });
    const shown = status === "succeeded" || status === "cancelled" ? status : "failed";
    this.#context.emit({ event: "run.finished", outputId: this.#id, status: shown, durationMs });
  }

  #record(now: {
    status: RunStatus;
    committed?: readonly Committed[];
    durationMs?: number;
    error?: { message: string };
  }): OutputRecord {
    const { machine } = this.#context;
    return {
      id: this.#id,
      definitionId: this.#definition.id,
      methodName: this.#parts.method,
      status: now.status,
      startedAt: this.#startedAt,
      retryCount: 0,
      provenance: {
        definitionHash: this.#parts.definitionHash,
        modelVersion: this.#definition.typeVersion ?? this.#parts.type.version,
        triggeredBy: "manual",
      },
      artifacts: {
        dataArtifacts: (now.committed ?? []).map(({ dataId, name, version, tags }) => ({
          dataId,
          name,
          version,
          tags,
        })),
      },
      ...(now.durationMs === undefined ? {} : { completedAt: isoNow(machine), durationMs: now.durationMs }),
      ...(now.error === undefined ? {} : { error: now.error }),
      logFile: this.#logFile(),
      ...(now.status === "running"
        ? {
            pid: machine.host.pid,
            hostname: machine.host.hostname,
            lockNonce: this.#parts.lease.grants[0]?.nonce ?? "",
          }
        : {}),
    };
  }

  /** Relative to the repository where it is inside, as existing records have it. */
  #logFile(): string {
    const path = this.#workspace.datastore.files.locate(`${this.#stem}.log`);
    const inside = relative(this.#workspace.repository.layout.root, path);
    return inside.startsWith("..") || isAbsolute(inside) ? path : inside;
  }

  #result(
    status: RunStatus,
    committed: readonly Committed[],
    message: string | undefined,
    durationMs: number,
  ): RunMethodResult {
    const { id, name, type } = this.#definition;
    const [first, ...others] = committed.map(({ dataId, name: dataName, version, path }) => ({
      id: dataId,
      name: dataName,
      version,
      path,
    }));
    return {
      outputId: this.#id,
      modelId: id,
      modelName: name,
      type,
      methodName: this.#parts.method,
      status,
      durationMs,
      ...(first === undefined
        ? {}
        : { data: { ...first, ...(this.#attributes === undefined ? {} : { attributes: this.#attributes }) } }),
      ...(others.length === 0 ? {} : { logs: others }),
      logFile: this.#workspace.datastore.files.locate(`${this.#stem}.log`),
      ...(message === undefined ? {} : { error: { message } }),
    };
  }

  #attributes: unknown;

  #methodContext(log: RunLog, signal: AbortSignal): MethodContext {
    const { machine } = this.#context;
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
        this.#context.emit({ event: "run.output", stream, line });
      },
      writeResource: async (spec, content, options = {}) => {
        this.#attributes ??= content;
        await this.#staging.writeJson(
          options.instance ?? spec,
          content,
          this.#staged("resource", spec, type.resources[spec], options),
        );
      },
      openFile: (spec, options = {}) =>
        this.#staging.openFile(options.instance ?? spec, this.#staged("file", spec, type.files[spec], options)),
      spool: () => this.#staging.spool(),
    };
  }

  /** Tags, later ones win: kind, definition, spec, written, names, `--tag`. */
  #staged(
    kind: "resource" | "file",
    name: string,
    spec: OutputSpec | undefined,
    options: WriteOutputOptions,
  ): StagedSpec {
    if (spec === undefined) throw new Error(`${this.#parts.type.name} declares no ${kind} called ${name}`);
    const { contentType, lifetime, garbageCollection, streaming } = spec;
    const names = { specName: name, modelName: this.#definition.name };
    return {
      contentType,
      lifetime,
      garbageCollection,
      streaming,
      tags: { type: kind, ...this.#definition.tags, ...spec.tags, ...options.tags, ...names, ...this.#parts.tags },
    };
  }
}

function logEnd(log: RunLog, message: string | undefined, committed: readonly Committed[]): void {
  try {
    if (message !== undefined) log.error(message);
    for (const { path } of committed) log.info(`Data saved to "${path}"`);
  } catch {
    // A line that finds no room changes nothing of what happened: the record and the error tell it too.
  }
}

/** The work is done and its data is there: whoever reads the error mustn't think otherwise. */
function unrecorded(error: unknown, status: RunStatus): unknown {
  if (!(error instanceof FenError)) return error;
  return new FenError(error.code, `The method ${status} and its data is kept, but not its record. ${error.message}`, {
    hint: error.hint,
    facts: { ...error.facts, status },
    cause: error,
  });
}

function resourcesFirst(committed: readonly Committed[]): Committed[] {
  const isResource = ({ tags }: Committed) => tags["type"] === "resource";
  return [...committed.filter(isResource), ...committed.filter((one) => !isResource(one))];
}
