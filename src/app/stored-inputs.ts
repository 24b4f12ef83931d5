/** What steps are given, as far as that is known before a run and may be stored and shown: texts that depend on data, the environment or a vault stay as they are written. */
import type { CompiledValue } from "../expression/compile.ts";
import type { Scope } from "../expression/scope.ts";
import { FenError } from "../kernel/errors.ts";
import { isRecord } from "../repo/yaml.ts";
import { type PlannedStep, readsModels } from "../workflow/plan.ts";

export interface StoredInputs {
  readonly values: Readonly<Record<string, unknown>>;
  /** Names of those of which some part is known only when the step starts. */
  readonly open: readonly string[];
}

/** `self` of the scope: undefined where the element isn't known. */
export type KnownScope = Omit<Scope, "self"> & { readonly self: Scope["self"] | undefined };

/** The inputs of a step's call. */
export async function storedInputs({ definition, compiled }: PlannedStep, scope: KnownScope): Promise<StoredInputs> {
  const values = new Map<string, unknown>();
  const open: string[] = [];
  for (const [key, raw] of Object.entries(definition.task.inputs)) {
    const stored = await storedValue(compiled.inputs.entry(key), raw, scope);
    values.set(key, stored.value);
    if (stored.isOpen) open.push(key);
  }
  return { values: Object.fromEntries(values), open };
}

/** The elements of a fan-out whose list is known; undefined where they mustn't be stored. */
export async function storedItems({ compiled }: PlannedStep, scope: Scope): Promise<readonly unknown[] | undefined> {
  const list = await compiled.forEach?.run(scope);
  if (list === undefined || list.isTainted) return undefined;
  if (Array.isArray(list.value)) return list.value;
  return Object.entries(Object(list.value)).map(([key, value]) => ({ key, value }));
}

interface StoredValue {
  readonly value: unknown;
  readonly isOpen: boolean;
}

export async function storedValue(
  compiled: CompiledValue | undefined,
  raw: unknown,
  scope: KnownScope,
): Promise<StoredValue> {
  if (compiled === undefined) return { value: raw, isOpen: false };
  if (isRecord(raw)) return storedMap(compiled, raw, scope);
  const { isTainted, self } = compiled.dependencies;
  if (staysAsWritten(compiled)) return { value: raw, isOpen: !isTainted };
  if (scope.self === undefined && self.size > 0) return { value: raw, isOpen: true };
  try {
    const evaluated = await compiled.run({ ...scope, self: scope.self ?? {} });
    if (evaluated.isVolatile) return { value: raw, isOpen: true };
    return { value: evaluated.storable, isOpen: evaluated.open.length > 0 };
  } catch (error) {
    // What another model's arguments read may be made by the run.
    if (error instanceof FenError && readsModels(compiled)) return { value: raw, isOpen: true };
    throw error;
  }
}

async function storedMap(
  compiled: CompiledValue,
  raw: Readonly<Record<string, unknown>>,
  scope: KnownScope,
): Promise<StoredValue> {
  const value = new Map<string, unknown>();
  let isOpen = false;
  for (const [key, child] of Object.entries(raw)) {
    const stored = await storedValue(compiled.entry(key), child, scope);
    value.set(key, stored.value);
    isOpen ||= stored.isOpen;
  }
  return { value: Object.fromEntries(value), isOpen };
}

/** True where a text that stays as it is written needs the element of a fan-out. */
export function keepsElement(compiled: CompiledValue | undefined, raw: unknown): boolean {
  if (compiled === undefined) return false;
  if (isRecord(raw)) return Object.entries(raw).some(([key, child]) => keepsElement(compiled.entry(key), child));
  return compiled.dependencies.self.size > 0 && staysAsWritten(compiled);
}

/** True where its value mustn't be stored, or is known only when the step starts. */
function staysAsWritten({ dependencies }: CompiledValue): boolean {
  const { isTainted, usesData, usesTime } = dependencies;
  return isTainted || usesData || usesTime;
}
