/** Values against a small JSON Schema: what definitions and method arguments need of it, without loading a library. */
import { nearest } from "../kernel/suggest.ts";
import { isRecord, suggestKey, type YamlPath } from "../repo/yaml.ts";

/**
 * Keys that count: `type`, `enum`, `properties`, `required`, `additionalProperties`, `items`, `minItems`, `maxItems`, `uniqueItems`,
 * `minLength`, `exclusiveMinimum`, `default`. Others are for people.
 */
export type Schema = Readonly<Record<string, unknown>>;

export function asSchema(value: unknown): Schema {
  return isRecord(value) ? value : {};
}

/** Text as the number, boolean, list or map that the schema wants; everything else as it is. */
export function coerceValue(value: unknown, schema: Schema): unknown {
  if (typeof value !== "string") return value;
  const { type } = schema;
  if ((type === "number" || type === "integer") && value.trim() !== "") {
    const number = Number(value);
    if (Number.isFinite(number)) return type === "integer" ? Math.trunc(number) : number;
  }
  if (type === "boolean" && (value === "true" || value === "false")) return value === "true";
  if (type === "array" || type === "object") {
    try {
      const parsed: unknown = JSON.parse(value);
      if (type === "array" ? Array.isArray(parsed) : isRecord(parsed)) return parsed;
    } catch {
      // Not JSON: the check below says what it should be.
    }
  }
  return value;
}

const typeTests: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === "string",
  number: (value) => typeof value === "number",
  integer: (value) => Number.isInteger(value),
  boolean: (value) => typeof value === "boolean",
  array: Array.isArray,
  object: isRecord,
};

/** Adds to `problems` what doesn't fit, as sentences that begin with the place. */
export function checkValue(value: unknown, schema: Schema, at: string, problems: string[]): void {
  for (const { path, problem } of misfits(value, schema, at === "" ? [] : [at]))
    problems.push(`${showPath(path)}: ${problem}`);
}

export interface Misfit {
  readonly path: YamlPath;
  readonly problem: string;
}

/** What of a value doesn't fit, and where. `isOpen` names what isn't known yet: it fits everything. */
export function misfits(
  value: unknown,
  schema: Schema,
  path: YamlPath = [],
  isOpen: (value: unknown) => boolean = () => false,
): Misfit[] {
  if (isOpen(value)) return [];
  const { type, enum: choices } = schema;
  const test = typeof type === "string" ? typeTests[type] : undefined;
  if (test !== undefined && !test(value))
    return [{ path, problem: `must be ${type === "integer" ? "a whole number" : `of type ${String(type)}`}` }];
  const found: Misfit[] = [];
  const tell = (problem: string): unknown => found.push({ path, problem });
  if (Array.isArray(choices) && !choices.some((choice) => JSON.stringify(choice) === JSON.stringify(value)))
    tell(`must be one of ${choices.map(String).join(", ")}`);
  const { minLength, exclusiveMinimum } = schema;
  if (typeof minLength === "number" && typeof value === "string" && value.length < minLength) tell("must not be empty");
  if (typeof exclusiveMinimum === "number" && typeof value === "number" && value <= exclusiveMinimum)
    tell(`must be more than ${exclusiveMinimum}`);
  if (Array.isArray(value)) return [...found, ...misfitsOfList(value, schema, path, isOpen)];
  return isRecord(value) ? [...found, ...misfitsOfMap(value, schema, path, isOpen)] : found;
}

function misfitsOfList(
  value: readonly unknown[],
  schema: Schema,
  path: YamlPath,
  isOpen: (value: unknown) => boolean,
): Misfit[] {
  const { minItems, maxItems, uniqueItems, items } = schema;
  const found: Misfit[] = [];
  if (typeof minItems === "number" && value.length < minItems)
    found.push({ path, problem: `needs at least ${minItems} items` });
  if (typeof maxItems === "number" && value.length > maxItems)
    found.push({ path, problem: `may have ${maxItems} items at most` });
  const known = value.filter((item) => !isOpen(item)).map((item) => JSON.stringify(item));
  if (uniqueItems === true && new Set(known).size < known.length) found.push({ path, problem: "items must differ" });
  return [...found, ...value.flatMap((item, index) => misfits(item, asSchema(items), [...path, index], isOpen))];
}

function misfitsOfMap(
  value: Readonly<Record<string, unknown>>,
  schema: Schema,
  path: YamlPath,
  isOpen: (value: unknown) => boolean,
): Misfit[] {
  const { properties, required, additionalProperties } = schema;
  const known = isRecord(properties) ? properties : {};
  const missing = (Array.isArray(required) ? required.map(String) : [])
    .filter((name) => value[name] === undefined)
    .map((name) => ({ path: [...path, name], problem: "is missing" }));
  const inside = Object.entries(value).flatMap(([name, child]) => {
    const at = [...path, name];
    if (Object.hasOwn(known, name)) return misfits(child, asSchema(known[name]), at, isOpen);
    if (additionalProperties === false)
      return [{ path: at, problem: `no such key. ${suggestKey(name, Object.keys(known))}` }];
    return misfits(child, asSchema(additionalProperties), at, isOpen);
  });
  return [...missing, ...inside];
}

/** `a.b[0].c` */
export function showPath(path: YamlPath): string {
  return path.reduce<string>((shown, one) => {
    if (typeof one === "number") return `${shown}[${one}]`;
    return shown === "" ? one : `${shown}.${one}`;
  }, "");
}

export interface StrayKey {
  readonly path: YamlPath;
  readonly key: string;
  readonly hint: string;
}

/** Keys at any depth that nothing of the schema is called: all where it permits no others, else those that are nearly one that it knows. */
export function strayKeys(value: unknown, schema: Schema, path: YamlPath = []): StrayKey[] {
  if (Array.isArray(value))
    return value.flatMap((item, index) => strayKeys(item, asSchema(schema["items"]), [...path, index]));
  if (!isRecord(value)) return [];
  const { properties, additionalProperties } = schema;
  const known = isRecord(properties) ? properties : {};
  const names = Object.keys(known);
  return Object.entries(value).flatMap(([key, child]) => {
    const at = [...path, key];
    if (Object.hasOwn(known, key)) return strayKeys(child, asSchema(known[key]), at);
    if (isRecord(additionalProperties)) return strayKeys(child, additionalProperties, at);
    const isStray = additionalProperties === false || nearest(key, names) !== undefined;
    return isStray ? [{ path: at, key, hint: suggestKey(key, names) }] : [];
  });
}
