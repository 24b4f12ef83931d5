/** A fan-out's steps: one for each element of a list or entry of a map, each with a name of its own. */
import type { CompiledValue } from "../expression/compile.ts";
import { ExpressionError, type Where } from "../expression/failure.ts";
import type { Scope } from "../expression/scope.ts";
import { parseTemplate } from "../expression/template.ts";
import { asText } from "../expression/values.ts";
import { FenError } from "../kernel/errors.ts";
import { isRecord } from "../repo/yaml.ts";
import type { StepDefinition } from "./definition.ts";
import { unkeepable } from "./unkeepable.ts";

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
  list: { readonly value: unknown; readonly isTainted: boolean; readonly where: Where | undefined },
  scope: Scope,
): Promise<Expansion[]> {
  const items = itemsOf(name, list);
  const taken = new Map<string, number>();
  const expansions: Expansion[] = [];
  for (const [index, item] of items.entries()) {
    const self = { [forEach?.item ?? "item"]: item };
    const named = list.isTainted ? list : await compiledName.run({ ...scope, self });
    const own = compiledName.hasExpressions ? nameOf(named.value) : `${name}-${suffixOf(item, index)}`;
    // A name is stored and shown: one that mustn't be gives way to the element's number, as one does that is none.
    const isName = !named.isTainted && own !== "";
    expansions.push({ name: uniqueName(isName ? own : `${withoutExpressions(name)}-${index}`, taken), item });
  }
  return expansions;
}

function nameOf(value: unknown): string {
  return typeof value === "object" && value !== null ? asText(value) : String(value);
}

function withoutExpressions(name: string): string {
  const text = parseTemplate(name).flatMap((part) => (part.kind === "text" ? part.text : []));
  return text.join("").replace(/-+$/, "") || "step";
}

/** `taken`: how often each name was wanted so far. */
export function uniqueName(own: string, taken: Map<string, number>): string {
  let count = taken.get(own) ?? 0;
  let unique = count === 0 ? own : `${own}-${++count}`;
  while (count > 0 && taken.has(unique)) unique = `${own}-${++count}`;
  taken.set(own, Math.max(count, 1));
  if (unique !== own) taken.set(unique, 1);
  return unique;
}

function itemsOf(
  step: string,
  { value: list, where }: { readonly value: unknown; readonly where: Where | undefined },
): readonly unknown[] {
  const fail = (text: string, hint: string): FenError =>
    where === undefined
      ? new FenError("expression_failed", text, { hint })
      : new ExpressionError("expression_failed", where, { text, hint });
  const items = Array.isArray(list)
    ? list
    : isRecord(list)
      ? Object.entries(list).map(([key, value]) => ({ key, value }))
      : undefined;
  if (items === undefined)
    throw fail(
      `forEach of step ${step} gives ${list === null ? "null" : typeof list}, where a list or a map is needed`,
      "Give a list: forEach: { item: host, in: ${{ inputs.hosts }} }",
    );
  if (items.length > maxExpansions)
    throw fail(
      `forEach of step ${step} gives ${items.length} elements; ${maxExpansions} is the most`,
      "Cut the list into parts, one workflow run for each.",
    );
  if (unkeepable(items) !== undefined)
    throw fail(
      `forEach of step ${step} gives a number that is infinite or none, which no record can keep`,
      "Leave it out: in: ${{ inputs.list.filter(x, math.isFinite(x)) }}",
    );
  return items;
}

function suffixOf(item: unknown, index: number): string {
  if (isRecord(item))
    return typeof item["key"] === "string" && Object.keys(item).length === 2 ? item["key"] : String(index);
  return typeof item === "object" ? String(index) : String(item);
}
