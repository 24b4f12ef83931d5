/** What checks have found, for people. */
import type { Validation } from "../../app/editing.ts";
import type { Console } from "../console.ts";

/** A line for what was checked, and one for each check that failed. */
export function validationText(
  console: Console,
  checked: { readonly name: string; readonly passed: boolean; readonly validations: readonly Validation[] },
): string {
  const errors = checked.validations
    .filter(({ passed }) => !passed)
    .map(({ name, error = "" }) => `  ${name}: ${error.replaceAll("\n", "\n    ")}`);
  return [`${checked.passed ? console.green("passed") : console.red("failed")} ${checked.name}`, ...errors].join("\n");
}
