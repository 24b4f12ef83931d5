/** The `inputs` of a definition: a small JSON Schema. Text is coerced, defaults filled in, then everything is checked. */
import { FenError } from "../kernel/errors.ts";
import { isRecord } from "../repo/yaml.ts";
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

  /** Coerced, completed and checked values. Of the required ones only those in `used` must be there. Throws `input_invalid`. */
  apply(given: Readonly<Record<string, unknown>>, used: ReadonlySet<string>): Record<string, unknown> {
    const problems: string[] = [];
    const values: Record<string, unknown> = {};
    for (const name of this.names) {
      const schema = asSchema(this.#properties[name]);
      const value = Object.hasOwn(given, name) ? coerceValue(given[name], schema) : undefined;
      const present = value ?? schema["default"];
      if (present !== undefined && present !== null) {
        values[name] = present;
        checkValue(present, schema, name, problems);
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
