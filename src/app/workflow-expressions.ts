/** What can be known to be wrong with the expressions of a workflow without evaluating them. */
import { Cel } from "../expression/cel.ts";
import { compileValue, type Dependencies } from "../expression/compile.ts";
import { ExpressionError } from "../expression/failure.ts";
import { InputsSchema } from "../expression/inputs-schema.ts";
import { hasExpression } from "../expression/template.ts";
import { nearest } from "../kernel/suggest.ts";
import { type InsideText, isRecord, type YamlPath } from "../repo/yaml.ts";
import type { StepDefinition } from "../workflow/definition.ts";
import { tasksOf } from "../workflow/graph.ts";
import type { LoadedWorkflow } from "../workflow/workflows.ts";

interface Finding {
  readonly path: YamlPath;
  readonly inside?: InsideText | undefined;
  readonly message: string;
  readonly hint?: string;
}

/** Syntax, inputs that are misspelt, `self` where there is no element, models that don't exist. `modelProblem` says what is wrong with a model's name. */
export async function expressionFindings(
  { workflow, file }: LoadedWorkflow,
  modelProblem: (name: string) => Promise<Omit<Finding, "path"> | undefined>,
): Promise<Finding[]> {
  const texts = tasksOf(workflow).flatMap(({ step, path }) => textsOf(step, path.slice(0, -1)));
  if (texts.length === 0) return [];
  const cel = await Cel.load();
  const inputs = new InputsSchema(workflow.inputs ?? {}).names;
  const found: Finding[] = [];
  for (const { text, path, item } of texts) {
    try {
      const { dependencies } = compileValue(cel, text, { file, path, locate: () => undefined });
      found.push(...misspelt(dependencies, { inputs, item }).map((finding) => ({ ...finding, path })));
      for (const model of modelsOf(dependencies)) {
        const problem = await modelProblem(model);
        if (problem !== undefined) found.push({ ...problem, path });
      }
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      const { text: message, hint, where } = error;
      found.push({ path, inside: where.inside, message, ...(hint === undefined ? {} : { hint }) });
    }
  }
  return found;
}

interface Text {
  readonly text: string;
  readonly path: YamlPath;
  /** What `self` has there. */
  readonly item: string | undefined;
}

/** The texts of a step that are evaluated, as far as they hold expressions. */
function textsOf({ name, task, forEach }: StepDefinition, at: YamlPath): Text[] {
  const item = forEach?.item;
  const found = [
    ...textsIn(name, [...at, "name"]),
    ...textsIn(task, [...at, "task"]),
    ...textsIn(forEach?.in, [...at, "forEach", "in"]),
  ];
  return found.map((one) => ({ ...one, item: one.path.includes("forEach") ? undefined : item }));
}

function textsIn(value: unknown, path: YamlPath): { readonly text: string; readonly path: YamlPath }[] {
  if (typeof value === "string") return hasExpression(value) ? [{ text: value, path }] : [];
  if (Array.isArray(value)) return value.flatMap((item, index) => textsIn(item, [...path, index]));
  return isRecord(value) ? Object.entries(value).flatMap(([key, item]) => textsIn(item, [...path, key])) : [];
}

function misspelt(
  { inputs: used, self }: Dependencies,
  { inputs, item }: { readonly inputs: readonly string[]; readonly item: string | undefined },
): Omit<Finding, "path">[] {
  // A run may be given inputs that aren't declared: only what is nearly one that is declared is certain to be wrong.
  const wrongInputs = [...used].flatMap((name) => {
    const near = inputs.includes(name) || name === "*" ? undefined : nearest(name, inputs);
    return near === undefined ? [] : [{ message: `no input is called ${name}`, hint: `Did you mean inputs.${near}?` }];
  });
  const wrongSelf = [...self]
    .filter((name) => name !== "*" && name !== item)
    .map((name) => ({
      message: `self has no ${name} here`,
      hint: item === undefined ? "Only steps with forEach have an element." : `The element is self.${item}.`,
    }));
  return [...wrongInputs, ...wrongSelf];
}

function modelsOf({ models, data }: Dependencies): string[] {
  const names = [...models, ...data.flatMap(({ model }) => model ?? [])];
  return [...new Set(names)].filter((name) => name !== "*");
}
