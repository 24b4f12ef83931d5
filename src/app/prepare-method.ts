/** Everything of a call that can be known before it: type, method, arguments, lock mode. Asked before the lock and, where the definition has changed, under it. */
import type { Cel } from "../expression/cel.ts";
import { asSchema } from "../expression/schema.ts";
import { resolveArguments, type Resolved } from "../expression/resolve.ts";
import type { Scope } from "../expression/scope.ts";
import { FenError } from "../kernel/errors.ts";
import type { LoadedDefinition } from "../model/definitions.ts";
import { checkArguments } from "../model/runner.ts";
import { findMethod, type ModelType, onlyReads } from "../model/type.ts";
import type { LockMode } from "../store/contract.ts";
import type { AppContext } from "./context.ts";
import { expressionSources } from "./expression-sources.ts";
import type { Workspace } from "./workspace.ts";

export interface PreparedMethod {
  readonly loaded: LoadedDefinition;
  readonly type: ModelType;
  readonly resolved: Resolved;
  readonly mode: LockMode;
}

interface MethodInputs {
  readonly method: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Of the workflow whose step it is. */
  readonly workflowInputs?: Readonly<Record<string, unknown>>;
  /** Inputs that come from the environment or a vault. */
  readonly taintedInputs?: ReadonlySet<string>;
  /** What expressions read, where several calls share it. */
  readonly sources?: Pick<Scope, "models" | "data" | "now">;
  readonly cel?: Cel;
}

/** Throws what is wrong with definition, method, inputs or arguments. */
export async function prepareMethod(
  context: AppContext,
  workspace: Workspace,
  loaded: LoadedDefinition,
  { method, inputs, workflowInputs, taintedInputs, sources, cel }: MethodInputs,
): Promise<PreparedMethod> {
  for (const warning of loaded.warnings)
    context.emit({
      event: "warning",
      message: `${warning.file}:${warning.line ?? 1}: ${warning.message}`,
      ...(warning.hint === undefined ? {} : { hint: warning.hint }),
    });
  const type = workspace.types.find(loaded.definition.type);
  refuseDriver(loaded);
  const spec = findMethod(type, method);
  const kind = loaded.definition.methods[method]?.kind ?? spec.kind;
  const resolved = await resolveArguments({
    definition: loaded.definition,
    file: loaded.file,
    text: loaded.text,
    method,
    inputs,
    workflowInputs,
    argumentNames: Object.keys(asSchema(spec.arguments["properties"])),
    env: context.machine.host.env,
    taintedInputs,
    cel,
    sources: sources ?? expressionSources(context.machine, workspace, { cel }),
    warn: (warning) => context.emit({ event: "warning", ...warning }),
  });
  checkArguments({ type, method, arguments: resolved.arguments });
  const mode = onlyReads(kind) ? "shared" : "exclusive";
  return { loaded, type, resolved, mode };
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
