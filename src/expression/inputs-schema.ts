/** The `inputs` of a definition: a small JSON Schema. Text is coerced, defaults filled in, then everything is checked. */
import { FenError } from "../kernel/errors.ts";
import { isRecord, suggestKey } from "../repo/yaml.ts";

type Schema = Readonly<Record<string, unknown>>;

const metaKeys = ["type", "properties", "required", "additionalProperties"];

export class InputsSchema {
  readonly #properties: Readonly<Record<string, unknown>>;
  readonly #required: readonly string[];

  constructor(schema: Schema) {
    const { properties, required } = schema;
    this.#properties = isRecord(properties)
      ? properties
      : Object.fromEntries(Object.entries(schema).filter(([key, value]) => !metaKeys.includes(key) || isRecord(value)));
    this.#required = Array.isArray(required) ? required.map(String) : [];
  }

  get names(): string[] {
    return Object.keys(this.#properties);
  }

  /** Coerced, completed and checked values. Of the required ones only those in `used` must be there. Throws `input_invalid`. */
  apply(given: Readonly<Record<string, unknown>>, used: ReadonlySet<string>): Record<string, unknown> {
    const problems: string[] = [];
    const values: Record<string, unknown> = {};
    for (const name of this.names) {
      const schema = asSchema(this.#properties[name]);
      const value = Object.hasOwn(given, name) ? coerce(given[name], schema) : undefined;
      const present = value ?? schema["default"];
      if (present !== undefined && present !== null) {
        values[name] = present;
        check(present, schema, name, problems);
      } else if (value === null) problems.push(`${name}: must not be null`);
      else if (this.#required.includes(name) && (used.has(name) || used.has("*")))
        problems.push(`${name}: is required. Give it with --input ${name}=...`);
    }
    if (problems.length > 0)
      throw new FenError("input_invalid", `Inputs don't fit:\n  ${problems.join("\n  ")}`, {
        hint: `Inputs: ${this.names.join(", ")}`,
        facts: { problems },
      });
    return values;
  }
}

function asSchema(value: unknown): Schema {
  return isRecord(value) ? value : {};
}

function coerce(value: unknown, schema: Schema): unknown {
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

function check(value: unknown, schema: Schema, at: string, problems: string[]): void {
  const { type, enum: choices } = schema;
  const test = typeof type === "string" ? typeTests[type] : undefined;
  if (test !== undefined && !test(value)) {
    problems.push(`${at}: must be ${type === "integer" ? "a whole number" : `of type ${String(type)}`}`);
    return;
  }
  if (Array.isArray(choices) && !choices.some((choice) => JSON.stringify(choice) === JSON.stringify(value)))
    problems.push(`${at}: must be one of ${choices.map(String).join(", ")}`);
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
  for (const [index, item] of value.entries()) check(item, asSchema(items), `${at}[${index}]`, problems);
}

function checkMap(value: Readonly<Record<string, unknown>>, schema: Schema, at: string, problems: string[]): void {
  const { properties, required, additionalProperties } = schema;
  const known = isRecord(properties) ? properties : {};
  for (const name of Array.isArray(required) ? required.map(String) : [])
    if (value[name] === undefined) problems.push(`${at}.${name}: is required`);
  for (const [name, child] of Object.entries(value)) {
    if (Object.hasOwn(known, name)) check(child, asSchema(known[name]), `${at}.${name}`, problems);
    else if (additionalProperties === false)
      problems.push(`${at}.${name}: no such key. ${suggestKey(name, Object.keys(known))}`);
    else check(child, asSchema(additionalProperties), `${at}.${name}`, problems);
  }
}
