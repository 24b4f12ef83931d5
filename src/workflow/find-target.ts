/** The model, workflow or method that a step names. Where it isn't there, that is told with the place of the name; a name that comes from the environment is never shown. */
import { ExpressionError, withLine } from "../expression/failure.ts";
import { FenError } from "../kernel/errors.ts";
import { findMethod, type MethodSpec, type ModelType } from "../model/type.ts";
import type { YamlPath } from "../repo/yaml.ts";

export interface NamedTarget {
  /** The workflow's. */
  readonly file: string;
  readonly source: string;
  /** Where the name stands in it. */
  readonly path: YamlPath;
  /** As it is written there. */
  readonly written: string;
  /** It comes from the environment or a vault. */
  readonly isTainted: boolean;
}

const missing = ["model_missing", "model_ambiguous", "workflow_missing", "workflow_ambiguous"];

export async function findTarget<T>(find: () => Promise<T>, named: NamedTarget): Promise<T> {
  try {
    return await find();
  } catch (error) {
    if (!(error instanceof FenError) || !missing.includes(error.code)) throw error;
    const { file, source, path, written, isTainted } = named;
    const { code, message, hint, facts } = error;
    const said = isTainted
      ? {
          text: `nothing is called what this gives: ${written}`,
          hint: "Set the environment so that it gives the name of one.",
        }
      : { text: message, hint, facts, cause: error };
    throw await withLine(new ExpressionError(code, { file, path, key: path.join(".") }, said), file, source);
  }
}

/** Throws `method_missing`, which doesn't tell a name that comes from the environment or a vault. */
export function findNamedMethod(
  type: ModelType,
  method: string,
  { isTainted }: { readonly isTainted: boolean },
): MethodSpec {
  if (!isTainted || Object.hasOwn(type.methods, method)) return findMethod(type, method);
  throw new FenError("method_missing", `${type.name} has no method that is called what methodName gives.`, {
    hint: `Set the environment so that it gives the name of one: ${Object.keys(type.methods).join(", ")}`,
    facts: { type: type.name },
  });
}
