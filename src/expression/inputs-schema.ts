/** The `inputs` of a definition: a small JSON Schema. Text is coerced, defaults filled in, then everything is checked. */
import { FenError } from "../kernel/errors.ts";
import { nearest } from "../kernel/suggest.ts";
import { isRecord, suggestKey } from "../repo/yaml.ts";
import { asSchema, checkValue, coerceValue, type Schema } from "./schema.ts";

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

  /** The schema of one input; one that fits all where it isn't declared. */
  property(name: string): Schema {
    return Object.hasOwn(this.#properties, name) ? asSchema(this.#properties[name]) : {};
  }

  /** Names that have neither a value among `known` nor, with `required`, a way to be left out. */
  unknown(known: Readonly<Record<string, unknown>>, which: "all" | "required"): string[] {
    return this.names.filter(
      (name) => !Object.hasOwn(known, name) && (which === "all" || this.#required.includes(name)),
    );
  }

  /** The declaration with these values as defaults, also of names that it doesn't declare. */
  withDefaults(values: Readonly<Record<string, unknown>>): Schema {
    const properties = new Map(Object.entries(this.#properties));
    for (const [name, value] of Object.entries(values))
      properties.set(name, { ...this.property(name), default: structuredClone(value) });
    const required = this.#required.length === 0 ? {} : { required: this.#required };
    return { properties: Object.fromEntries(properties), ...required };
  }

  /** Of the declaration only the defaults: nothing is required, coerced or refused. */
  onlyDefaults(): Schema {
    const defaults = this.names
      .map((name) => [name, this.property(name)["default"]] as const)
      .filter(([, value]) => value !== undefined);
    return { properties: Object.fromEntries(defaults.map(([name, value]) => [name, { default: value }])) };
  }

  /** Coerced, completed and checked values. Of the required ones only those in `used` must be there. Throws `input_invalid`. */
  apply(given: Readonly<Record<string, unknown>>, used: ReadonlySet<string>): Record<string, unknown> {
    const problems: string[] = [];
    const values = new Map<string, unknown>();
    for (const name of this.names) {
      const schema = asSchema(this.#properties[name]);
      const value = Object.hasOwn(given, name) ? coerceValue(given[name], schema) : undefined;
      const present = value ?? schema["default"];
      if (present !== undefined && present !== null) {
        values.set(name, present);
        checkValue(present, schema, name, problems);
      } else if (value === null) problems.push(`${name}: must not be null`);
      else if (this.#required.includes(name) && (used.has(name) || used.has("*")))
        problems.push(`${name}: is required. Give it with --input ${name}=...`);
    }
    if (problems.length > 0)
      throw new FenError("input_invalid", `Inputs don't fit:\n  ${problems.join("\n  ")}`, {
        hint: `Its inputs are ${this.names.join(", ")}: --input name=value`,
        facts: { problems },
      });
    return Object.fromEntries(values);
  }
}

const types = ["string", "number", "integer", "boolean", "array", "object"];

/** Of JSON Schema, also those that are only for people. */
const propertyKeys = [
  ...["type", "description", "default", "enum", "const", "title", "examples", "format", "pattern", "nullable"],
  ...["properties", "required", "additionalProperties", "items", "minItems", "maxItems", "uniqueItems"],
  ...["minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
];

interface SchemaFinding {
  readonly path: readonly string[];
  readonly message: string;
  readonly hint: string;
}

/** What in a declaration of inputs has no effect because it isn't written as it should be. */
export function checkInputsSchema(schema: Schema): SchemaFinding[] {
  const { properties, required } = schema;
  const found: SchemaFinding[] = [];
  if (properties !== undefined && !isRecord(properties))
    found.push({
      path: ["properties"],
      message: "properties must be a map",
      hint: "properties: { pkg: { type: string } }",
    });
  if (required !== undefined && !Array.isArray(required) && !isRecord(required))
    found.push({ path: ["required"], message: "required must be a list of names", hint: "required: [pkg]" });
  const at = isRecord(properties) ? ["properties"] : [];
  for (const [name, property] of Object.entries(isRecord(properties) ? properties : schema)) {
    if (at.length === 0 && metaKeys.includes(name) && !isRecord(property)) continue;
    const type: unknown = isRecord(property) ? property["type"] : undefined;
    if (!isRecord(property))
      found.push({ path: [...at, name], message: `input ${name} must be a map`, hint: `${name}: { type: string }` });
    else if (type !== undefined && !types.includes(String(type)))
      found.push({
        path: [...at, name, "type"],
        message: `input ${name} has an unknown type ${String(type)}`,
        hint: suggestKey(String(type), types),
      });
    if (isRecord(property)) found.push(...misspeltKeys(property, name, [...at, name]));
  }
  return found;
}

/** A key, also of what is declared within, that is nearly a known one: what it says would be ignored. Others are somebody's own. */
function misspeltKeys(property: Schema, name: string, at: readonly string[]): SchemaFinding[] {
  const { properties, items, additionalProperties } = property;
  const inside = [
    ...Object.entries(asSchema(properties)).map(([key, one]) => [["properties", key], one] as const),
    [["items"], items] as const,
    [["additionalProperties"], additionalProperties] as const,
  ];
  const own = Object.keys(property).filter(
    (key) => !propertyKeys.includes(key) && nearest(key, propertyKeys) !== undefined,
  );
  return [
    ...own.map((key) => ({
      path: [...at, key],
      message: `input ${name}: unknown key ${key}`,
      hint: suggestKey(key, propertyKeys),
    })),
    ...inside.flatMap(([path, one]) => (isRecord(one) ? misspeltKeys(one, name, [...at, ...path]) : [])),
  ];
}
