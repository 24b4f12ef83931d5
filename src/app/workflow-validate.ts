/** Everything that can be known to be wrong with a workflow before it runs. */
import { hasExpression } from "../expression/template.ts";
import { InputsSchema } from "../expression/inputs-schema.ts";
import { asSchema, type Schema, strayKeys } from "../expression/schema.ts";
import { FenError } from "../kernel/errors.ts";
import { nearest } from "../kernel/suggest.ts";
import { findMethod } from "../model/type.ts";
import { locateFindings, showProblem } from "../repo/findings.ts";
import type { YamlPath } from "../repo/yaml.ts";
import type { Task } from "../workflow/definition.ts";
import { checkGraph, graphChecks, maxNesting, nestedWorkflows, tasksOf } from "../workflow/graph.ts";
import type { LoadedWorkflow } from "../workflow/workflows.ts";
import type { AppContext } from "./context.ts";
import { totals, type Validation, validation } from "./editing.ts";
import { ModelIndex } from "./model-index.ts";
import { expressionFindings } from "./workflow-expressions.ts";
import { openWorkspace, type Workspace } from "./workspace.ts";

export interface WorkflowValidation {
  /** Empty where the file can't be read. */
  readonly workflowId: string;
  /** The file where it can't be read. */
  readonly workflowName: string;
  readonly validations: readonly Validation[];
  readonly passed: boolean;
}

export interface AllWorkflowValidations {
  readonly workflows: readonly WorkflowValidation[];
  readonly totalPassed: number;
  readonly totalFailed: number;
  readonly passed: boolean;
}

/** All checks of one workflow, or of all. Files that can't be read count as workflows that failed. */
export async function validateWorkflows(
  context: AppContext,
  options: { readonly workflow?: string | undefined },
): Promise<WorkflowValidation | AllWorkflowValidations> {
  const checker = new Checker(await openWorkspace(context));
  return options.workflow === undefined ? checker.all() : checker.one(options.workflow);
}

const unreadableCodes = ["workflow_invalid", "yaml_invalid", "file_too_large", "workflow_ambiguous"];

type ModelTask = Extract<Task, { type: "model_method" }>;

interface Finding {
  readonly path: YamlPath;
  readonly message: string;
  readonly hint?: string;
}

/** What one command looks up of models and workflows: each once. */
class Checker {
  readonly #workspace: Workspace;
  readonly #methods = new Map<string, Promise<Finding | undefined>>();
  readonly #models: ModelIndex;
  readonly #problems = new Map<string, Promise<Finding | undefined>>();
  readonly #workflows = new Map<string, Promise<LoadedWorkflow | FenError>>();

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
    this.#models = new ModelIndex(workspace.definitions);
  }

  async all(): Promise<AllWorkflowValidations> {
    const { workflows: loaded, problems } = await this.#workspace.workflows.list();
    const workflows = problems.map(({ file, message }) => unreadable(file, message));
    for (const one of loaded) {
      const twin = loaded.find((other) => other.workflow.name === one.workflow.name && other !== one);
      workflows.push(await this.#check(one, twin));
    }
    return { workflows, ...totals(workflows) };
  }

  async one(name: string): Promise<WorkflowValidation> {
    try {
      return await this.#check(await this.#workspace.workflows.find(name), undefined);
    } catch (error) {
      if (!(error instanceof FenError) || !unreadableCodes.includes(error.code)) throw error;
      return unreadable(name, error.message);
    }
  }

  async #check(loaded: LoadedWorkflow, twin: LoadedWorkflow | undefined): Promise<WorkflowValidation> {
    const { workflow, file, text, warnings } = loaded;
    const graph = checkGraph(workflow);
    const validations: Validation[] = [validation("Schema", warnings.map(showProblem))];
    const tell = async (name: string, findings: readonly Finding[]): Promise<void> => {
      const located = findings.map((one) => ({ ...one, severity: "error" as const }));
      validations.push(validation(name, (await locateFindings(text, file, located)).map(showProblem)));
    };
    for (const name of graphChecks)
      await tell(
        name,
        graph.filter(({ check }) => check === name),
      );
    await tell("Expressions", await expressionFindings(loaded, (name) => this.#modelProblem(name)));
    await tell("Models and methods", await this.#modelFindings(loaded));
    await tell("Nested workflows", await this.#nestedFindings(loaded));
    if (twin !== undefined) validations.push(validation("Unique name", [`the name is also used in ${twin.file}`]));
    return {
      workflowId: workflow.id,
      workflowName: workflow.name,
      validations,
      passed: validations.every(({ passed }) => passed),
    };
  }

  async #modelProblem(name: string): Promise<Finding | undefined> {
    const known =
      this.#problems.get(name) ??
      this.#models.find(name).then(
        () => undefined,
        (error: unknown) => findingOf(error, []),
      );
    this.#problems.set(name, known);
    return known;
  }

  async #modelFindings({ workflow }: LoadedWorkflow): Promise<Finding[]> {
    const found: Finding[] = [];
    for (const { task, path } of tasksOf(workflow)) {
      if (task.type !== "model_method" || hasExpression(task.modelIdOrName)) continue;
      const key = JSON.stringify([task.modelIdOrName, task.methodName]);
      const finding = await (this.#methods.get(key) ?? this.#remember(key, task));
      if (finding !== undefined) found.push({ ...finding, path: [...path, ...finding.path] });
      else for (const one of await this.#misspeltInputs(task)) found.push({ ...one, path: [...path, ...one.path] });
    }
    return found;
  }

  /** Inputs that nothing of the model takes, and that are nearly called like one that it does. Others may be for somebody's own use. */
  async #misspeltInputs({ modelIdOrName, methodName, inputs }: ModelTask): Promise<Finding[]> {
    const { definition, text } = await this.#models.find(modelIdOrName);
    if (hasExpression(methodName)) return [];
    const spec = findMethod(this.#workspace.types.find(definition.type), methodName);
    const known = { ...asSchema(spec.arguments["properties"]), ...declaredIn(definition) };
    return misspelt(inputs, { of: definition.name, known, text });
  }

  #remember(key: string, task: ModelTask): Promise<Finding | undefined> {
    const looked = this.#lookAt(task);
    this.#methods.set(key, looked);
    return looked;
  }

  /** What is wrong with the model or the method that a step names, at the key that names it. */
  async #lookAt({ modelIdOrName, methodName }: ModelTask): Promise<Finding | undefined> {
    const { types } = this.#workspace;
    let key = "modelIdOrName";
    try {
      const { definition } = await this.#models.find(modelIdOrName);
      const type = types.find(definition.type);
      key = "methodName";
      if (!hasExpression(methodName)) findMethod(type, methodName);
      return undefined;
    } catch (error) {
      return findingOf(error, [key]);
    }
  }

  /** Workflows that don't exist, that call each other in a circle, or too many within each other. */
  async #nestedFindings(loaded: LoadedWorkflow): Promise<Finding[]> {
    const found: Finding[] = [];
    for (const { task, path } of tasksOf(loaded.workflow)) {
      if (task.type !== "workflow" || hasExpression(task.workflowIdOrName)) continue;
      const nested = await this.#workflow(task.workflowIdOrName);
      const finding =
        nested instanceof FenError
          ? findingOf(nested, [])
          : await this.#descend(nested, { chain: [loaded], known: new Map() });
      if (finding !== undefined) found.push({ ...finding, path: [...path, "workflowIdOrName"] });
      if (nested instanceof FenError) continue;
      const { workflow, text } = nested;
      const stray = misspelt(task.inputs, { of: workflow.name, known: declaredIn(workflow), text });
      found.push(...stray.map((one) => ({ ...one, path: [...path, ...one.path] })));
    }
    return found;
  }

  /** `known`: how deep below each workflow has been looked at already, so that shared ones cost once for each depth at most. */
  async #descend(
    loaded: LoadedWorkflow,
    { chain, known }: { readonly chain: readonly LoadedWorkflow[]; readonly known: Map<string, number> },
  ): Promise<Finding | undefined> {
    const names = [...chain, loaded].map(({ workflow }) => workflow.name).join(" -> ");
    if (chain.some((one) => one.file === loaded.file))
      return { path: [], message: `workflows call each other in a circle: ${names}` };
    if (chain.length > maxNesting)
      return { path: [], message: `more than ${maxNesting} workflows are called within each other: ${names}` };
    if ((known.get(loaded.file) ?? 0) >= chain.length) return undefined;
    known.set(loaded.file, chain.length);
    for (const name of nestedWorkflows(loaded.workflow).filter((one) => !hasExpression(one))) {
      const nested = await this.#workflow(name);
      // One that is missing there is told of the workflow that names it.
      if (nested instanceof FenError) continue;
      const finding = await this.#descend(nested, { chain: [...chain, loaded], known });
      if (finding !== undefined) return finding;
    }
    return undefined;
  }

  #workflow(name: string): Promise<LoadedWorkflow | FenError> {
    const known = this.#workflows.get(name);
    if (known !== undefined) return known;
    const looked = this.#workspace.workflows.find(name).catch((error: unknown) => {
      if (error instanceof FenError) return error;
      throw error;
    });
    this.#workflows.set(name, looked);
    return looked;
  }
}

/** The schemas of inputs, by name. */
function declaredIn({ inputs = {} }: { readonly inputs?: Readonly<Record<string, unknown>> }): Schema {
  const schema = new InputsSchema(inputs);
  return Object.fromEntries(schema.names.map((name) => [name, schema.property(name)]));
}

/** What nobody takes: names that are nearly known ones and that the text doesn't mention, and stray keys in the values of those that are known. */
function misspelt(
  inputs: Readonly<Record<string, unknown>>,
  { of, known, text }: { readonly of: string; readonly known: Schema; readonly text: string },
): Finding[] {
  return Object.entries(inputs).flatMap(([name, value]): Finding[] => {
    if (Object.hasOwn(known, name))
      return strayKeys(value, asSchema(known[name]), ["inputs", name]).map(({ path, key, hint }) => ({
        ...{ path, hint, message: `${of} takes no key ${key} in ${name}` },
      }));
    const near = text.includes(name) ? undefined : nearest(name, Object.keys(known));
    if (near === undefined) return [];
    return [{ path: ["inputs", name], message: `${of} takes no input ${name}`, hint: `Did you mean ${near}?` }];
  });
}

function findingOf(error: unknown, path: YamlPath): Finding {
  if (!(error instanceof FenError)) throw error;
  const [message = ""] = error.message.split("\n");
  return { path, message, ...(error.hint === undefined ? {} : { hint: error.hint }) };
}

/** What there is to say of a workflow that can't be read. */
function unreadable(workflowName: string, error: string): WorkflowValidation {
  return { workflowId: "", workflowName, validations: [{ name: "Schema", passed: false, error }], passed: false };
}
