/** A fan-out's steps: one for each element of a list or entry of a map, each with a name of its own. */
import type { CompiledValue } from "../expression/compile.ts";
import type { Scope } from "../expression/scope.ts";
import { FenError } from "../kernel/errors.ts";
import { isRecord } from "../repo/yaml.ts";
import type { StepDefinition } from "./definition.ts";

/** More would not be a workflow but a mistake. */
const maxExpansions = 100_000;

export interface Expansion {
  readonly name: string;
  /** The element, or `{key, value}` of a map. */
  readonly item: unknown;
}

/** Throws `expression_failed` where the value is neither a list nor a map. */
export async function expansionsOf(
  { name, forEach }: StepDefinition,
  compiledName: CompiledValue,
  list: unknown,
  scope: Scope,
): Promise<Expansion[]> {
  const items = itemsOf(name, list);
  const taken = new Set<string>();
  const expansions: Expansion[] = [];
  for (const [index, item] of items.entries()) {
    const self = { [forEach?.item ?? "item"]: item };
    const own = compiledName.hasExpressions
      ? String(await compiledName.resolve({ ...scope, self }))
      : `${name}-${suffixOf(item, index)}`;
    let unique = own;
    for (let number = 2; taken.has(unique); number++) unique = `${own}-${number}`;
    taken.add(unique);
    expansions.push({ name: unique, item });
  }
  return expansions;
}

function itemsOf(step: string, list: unknown): readonly unknown[] {
  const items = Array.isArray(list)
    ? list
    : isRecord(list)
      ? Object.entries(list).map(([key, value]) => ({ key, value }))
      : undefined;
  if (items === undefined)
    throw new FenError(
      "expression_failed",
      `forEach of step ${step} gives ${list === null ? "null" : typeof list}, where a list or a map is needed`,
      {
        hint: "Give a list: forEach: { item: host, in: ${{ inputs.hosts }} }",
      },
    );
  if (items.length > maxExpansions)
    throw new FenError(
      "expression_failed",
      `forEach of step ${step} gives ${items.length} elements; ${maxExpansions} is the most`,
      {
        hint: "Cut the list into parts, one workflow run for each.",
      },
    );
  return items;
}

function suffixOf(item: unknown, index: number): string {
  if (isRecord(item))
    return typeof item["key"] === "string" && Object.keys(item).length === 2 ? item["key"] : String(index);
  return typeof item === "object" ? String(index) : String(item);
}
