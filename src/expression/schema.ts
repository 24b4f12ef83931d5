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
  const { type, enum: choices } = schema;
  const test = typeof type === "string" ? typeTests[type] : undefined;
  if (test !== undefined && !test(value)) {
    problems.push(`${at}: must be ${type === "integer" ? "a whole number" : `of type ${String(type)}`}`);
    return;
  }
  if (Array.isArray(choices) && !choices.some((choice) => JSON.stringify(choice) === JSON.stringify(value)))
    problems.push(`${at}: must be one of ${choices.map(String).join(", ")}`);
  const { minLength, exclusiveMinimum } = schema;
  if (typeof minLength === "number" && typeof value === "string" && value.length < minLength)
    problems.push(`${at}: must not be empty`);
  if (typeof exclusiveMinimum === "number" && typeof value === "number" && value <= exclusiveMinimum)
    problems.push(`${at}: must be more than ${exclusiveMinimum}`);
  if (Array.isArray(value)) checkList(value, schema, at, problems);
  else if (isRecord(value)) checkMap(value, schema, at, problems);
}

function checkList(value: readonly unknown[], schema: Schema, at: string, problems: string[]): void {
  const { minItems, maxItems, uniqueItems, items } = schema;
  if (typeof minItems === "number" && value.length < minItems) problems.push(`${at}: needs at least ${minItems} items`);
  if (typeof maxItems === "number" && value.length > maxItems)
    problems.push(`${at}: may have ${maxItems} items at most`);
  if (uniqueItems === true && new Set(value.map((item) => JSON.stringify(item))).size < value.length)
    problems.push(`${at}: items must differ`);
  for (const [index, item] of value.entries()) checkValue(item, asSchema(items), `${at}[${index}]`, problems);
}

function checkMap(value: Readonly<Record<string, unknown>>, schema: Schema, at: string, problems: string[]): void {
  const { properties, required, additionalProperties } = schema;
  const known = isRecord(properties) ? properties : {};
  for (const name of Array.isArray(required) ? required.map(String) : [])
    if (value[name] === undefined) problems.push(`${join(at, name)}: is missing`);
  for (const [name, child] of Object.entries(value)) {
    if (Object.hasOwn(known, name)) checkValue(child, asSchema(known[name]), join(at, name), problems);
    else if (additionalProperties === false)
      problems.push(`${join(at, name)}: no such key. ${suggestKey(name, Object.keys(known))}`);
    else checkValue(child, asSchema(additionalProperties), join(at, name), problems);
  }
}

function join(at: string, name: string): string {
  return at === "" ? name : `${at}.${name}`;
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
