/** What a step says of the data that its method leaves: how long it is kept, its tags, and inputs that become part of its name. */
import { safeDataName } from "../data/layout.ts";
import { FenError } from "../kernel/errors.ts";
import type { StepDefinition } from "../workflow/definition.ts";
import type { OutputOverride } from "./method-run.ts";

/** `inputs`: those of the run, and over them those of the step. Throws `input_invalid` where one to vary by is missing, `name_invalid`. */
export function overridesOf(
  { name, dataOutputOverrides }: StepDefinition,
  inputs: Readonly<Record<string, unknown>>,
  tainted: ReadonlySet<string> = new Set(),
): (specName: string) => OutputOverride | undefined {
  const overrides = new Map(
    dataOutputOverrides.map(({ specName, lifetime, garbageCollection, tags, vary = [] }) => {
      for (const key of vary) if (tainted.has(key)) throw secretName(name, key);
      const suffix = vary.map((key) => `-${valueOf(name, key, inputs)}`).join("");
      if (suffix !== "") safeDataName(`${specName}${suffix}`);
      return [specName, { lifetime, garbageCollection, tags, suffix }] as const;
    }),
  );
  return (specName) => overrides.get(specName);
}

function secretName(step: string, key: string): FenError {
  return new FenError(
    "input_invalid",
    `Step ${step} varies its data by the input ${key}, which comes from the environment or a vault.`,
    {
      hint: "Names are stored and shown: vary by another input.",
      facts: { step },
    },
  );
}

function valueOf(step: string, key: string, inputs: Readonly<Record<string, unknown>>): string {
  const value = inputs[key];
  if (value !== undefined && value !== null) return typeof value === "object" ? JSON.stringify(value) : String(value);
  throw new FenError("input_invalid", `Step ${step} varies its data by the input ${key}, which it doesn't have.`, {
    hint: `Give it in the step's inputs: inputs: { ${key}: ... }`,
    facts: { step },
  });
}
