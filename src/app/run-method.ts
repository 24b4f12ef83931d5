/** `model method run`: lock, read again under the lock, check, run, commit, record, release. */
import type { RunStatus } from "../data/outputs.ts";
import type { LoadedDefinition } from "../model/definitions.ts";
import type { AppContext, AppEvent } from "./context.ts";
import { type GivenInputs, parseInputs, parseTags } from "./inputs.ts";
import { EvaluatedModels } from "./last-evaluated.ts";
import { type MethodOutcome, MethodRun } from "./method-run.ts";
import { prepareMethod } from "./prepare-method.ts";
import { rehearse } from "./rehearsal.ts";
import { settlePast } from "./settle.ts";
import { modelLock, openWorkspace, type Workspace } from "./workspace.ts";

export interface RunMethodOptions extends GivenInputs {
  readonly model: string;
  readonly method: string;
  readonly tag?: readonly string[] | undefined;
  /** The definition as it was evaluated last. */
  readonly lastEvaluated?: boolean | undefined;
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
  const { definitions } = workspace;
  const models = options.lastEvaluated === true ? new EvaluatedModels(workspace, definitions) : definitions;
  let prepared = await prepareMethod(context, workspace, await models.find(options.model), request);
  for (;;) {
    const { mode } = prepared;
    const call = { ...request, ...prepared };
    const meanwhile = () => rehearse(context, workspace, call);
    let run: MethodRun;
    let result: RunMethodResult;
    {
      await using lease = await workspace.lock([modelLock(call.loaded, mode)], { meanwhile });
      const loaded = await models.reread(prepared.loaded);
      if (loaded !== prepared.loaded) prepared = await prepareMethod(context, workspace, loaded, request);
      if (mode === "shared" && prepared.mode === "exclusive") continue; // it may change things now: it needs the stronger lock
      await settlePast(context, workspace, { definition: loaded.definition, lease });
      const id = context.machine.random.uuid();
      const { signal } = context;
      const emit = (event: AppEvent) => context.emit(event);
      const parts = { ...request, ...prepared, id, lease, isLast: () => true, signal, emit };
      run = new MethodRun(context.machine, workspace, parts);
      result = resultOf(workspace, { id, loaded, method: options.method, outcome: await run.execute() });
    }
    await run.settle();
    return result;
  }
}

interface Request {
  readonly method: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly tags: Readonly<Record<string, string>>;
}

function resultOf(
  workspace: Workspace,
  run: {
    readonly id: string;
    readonly loaded: LoadedDefinition;
    readonly method: string;
    readonly outcome: MethodOutcome;
  },
): RunMethodResult {
  const { definition } = run.loaded;
  const { status, message, durationMs, committed, attributes, logPath } = run.outcome;
  const [first, ...others] = committed.map(({ dataId, name, version, path }) => ({ id: dataId, name, version, path }));
  return {
    outputId: run.id,
    modelId: definition.id,
    modelName: definition.name,
    type: definition.type,
    methodName: run.method,
    status,
    durationMs,
    ...(first === undefined ? {} : { data: { ...first, ...(attributes === undefined ? {} : { attributes }) } }),
    ...(others.length === 0 ? {} : { logs: others }),
    logFile: workspace.datastore.files.locate(logPath),
    ...(message === undefined ? {} : { error: { message } }),
  };
}
