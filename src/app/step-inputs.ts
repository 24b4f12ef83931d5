/** The inputs of a step, evaluated: their values, and which of them come from the environment or a vault and mustn't be stored. */
import type { CompiledValue } from "../expression/compile.ts";
import type { Scope } from "../expression/scope.ts";

export interface StepInputs {
  readonly values: Readonly<Record<string, unknown>>;
  readonly tainted: ReadonlySet<string>;
}

export async function resolveInputs(
  declared: Readonly<Record<string, unknown>>,
  compiled: CompiledValue,
  scope: Scope,
): Promise<StepInputs> {
  const tainted = new Set<string>();
  const names = Object.keys(declared);
  if (names.length === 0) return { values: {}, tainted };
  const values = new Map<string, unknown>();
  const shared = { ...scope, memory: new Map() };
  for (const key of names) {
    const result = await compiled.entry(key)?.run(shared);
    values.set(key, result?.value);
    if (result?.isTainted === true) tainted.add(key);
  }
  return { values: Object.fromEntries(values), tainted };
}
