/** What checks have found, for people. */
import type { Validation } from "../../app/editing.ts";
import type { Console } from "../console.ts";

interface Checked {
  readonly name: string;
  readonly passed: boolean;
  readonly validations: readonly Validation[];
}

/** A line for each thing that was checked, and one for each check that failed; with `totals` how many passed. */
export function validationText(
  console: Console,
  checked: readonly Checked[],
  totals?: { readonly totalPassed: number; readonly totalFailed: number },
): string {
  const lines = checked.flatMap(({ name, passed, validations }) => [
    `${passed ? console.green("passed") : console.red("failed")} ${name}`,
    ...validations
      .filter((one) => !one.passed)
      .map((one) => `  ${one.name}: ${(one.error ?? "").replaceAll("\n", "\n    ")}`),
  ]);
  return [
    ...lines,
    ...(totals === undefined ? [] : [`${totals.totalPassed} passed, ${totals.totalFailed} failed`]),
  ].join("\n");
}
