/**
 * What a run will do, as far as that is known before it: which steps there are, which model or workflow each calls, in which mode each model is wanted. Evaluates what depends on inputs,
 * the environment, fan-outs and definitions; what depends on data stays open. Reads only; nested workflows are followed.
 */
import type { Cel } from "../expression/cel.ts";
import { type CompiledValue, compileValue } from "../expression/compile.ts";
import { withLine } from "../expression/failure.ts";
import { InputsSchema } from "../expression/inputs-schema.ts";
import type { Scope } from "../expression/scope.ts";
import { hasExpression } from "../expression/template.ts";
import { FenError } from "../kernel/errors.ts";
import type { LoadedDefinition } from "../model/definitions.ts";
import { type ModelTypes, onlyReads } from "../model/type.ts";
import { isRecord, type YamlPath, yamlLocator } from "../repo/yaml.ts";
import type { LockMode } from "../store/contract.ts";
import type { StepDefinition } from "./definition.ts";
import type { RunState, StepState } from "./run-state.ts";
import { findNamedMethod, findTarget, type NamedTarget } from "./find-target.ts";
import { expansionsOf } from "./expansion.ts";
import { maxNesting } from "./graph.ts";
import { type LoadedWorkflow, refuseUnrunnable } from "./workflows.ts";

/** Where a plan finds what it needs. */
export interface PlanSources {
  readonly cel: Cel;
  readonly types: ModelTypes;
  /** Scope of every expression, without inputs. */
  readonly scope: Omit<Scope, "inputs" | "self">;
  /** Throws `model_missing`. */
  model(nameOrId: string): Promise<LoadedDefinition>;
  /** Throws `input_invalid` or `arguments_invalid` where a call that is known in full can't be made. */
  check(call: KnownCall): Promise<void>;
  /** Throws `workflow_missing`. */
  workflow(nameOrId: string): Promise<LoadedWorkflow>;
  /** Lets others have the thread for a moment. Throws the signal's reason where the command is to end. */
  pause(): Promise<void>;
}

/** Calls of a run and of the runs within it; more would not be a workflow but a mistake. */
const mostCalls = 200_000;
/** So many are planned before others have the thread. */
const callsAtOnce = 500;

export interface KnownCall {
  readonly loaded: LoadedDefinition;
  readonly method: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly workflowInputs: Readonly<Record<string, unknown>>;
  /** Names of those inputs, of the call and of the workflow beneath it, that come from the environment or a vault. */
  readonly taintedInputs: ReadonlySet<string>;
}

export interface PlannedRun {
  readonly workflow: LoadedWorkflow;
  /** What is known of the inputs before the run. */
  readonly inputs: KnownInputs;
  /** By the number of the step. */
  readonly steps: readonly PlannedStep[];
  /** Names of the workflows that lead to this one, itself included. */
  readonly path: readonly string[];
}

export interface KnownInputs {
  readonly values: Readonly<Record<string, unknown>>;
  /** Names of inputs whose values depend on data. */
  readonly open: ReadonlySet<string>;
  /** Names of inputs whose values come from the environment or a vault: they are neither stored nor shown. */
  readonly tainted: ReadonlySet<string>;
}

export interface PlannedStep {
  readonly definition: StepDefinition;
  readonly compiled: CompiledStep;
  /** One, or as many as the fan-out has; undefined where that depends on data. */
  readonly calls: readonly PlannedCall[] | undefined;
  /** Of a fan-out that depends on data: what any of its expansions would call. */
  readonly any?: PlannedCall;
}

/** The texts of a step, parsed. */
export interface CompiledStep {
  /** In the workflow's file. */
  readonly path: YamlPath;
  readonly name: CompiledValue;
  readonly target: CompiledValue;
  readonly method: CompiledValue | undefined;
  readonly inputs: CompiledValue;
  readonly forEach: CompiledValue | undefined;
}

export interface PlannedCall {
  readonly name: string;
  readonly target:
    | {
        readonly kind: "model";
        readonly loaded: LoadedDefinition;
        readonly method: string | undefined;
        readonly mode: LockMode;
      }
    | { readonly kind: "workflow"; readonly plan: PlannedRun }
    /** Known when the step starts. */
    | { readonly kind: "open"; readonly text: string };
}

/** Throws what is wrong with the workflow, its inputs, or anything that it names. */
export async function planRun(
  sources: PlanSources,
  workflow: LoadedWorkflow,
  given: {
    readonly inputs: Readonly<Record<string, unknown>>;
    readonly open?: ReadonlySet<string>;
    readonly tainted?: ReadonlySet<string>;
    readonly path?: readonly string[];
    /** Of the outermost run: what has been planned so far. */
    readonly count?: CallCount;
  },
): Promise<PlannedRun> {
  const { workflow: definition } = workflow;
  const path = [...(given.path ?? []), definition.name];
  refuseNesting(path, workflow);
  await refuseUnrunnable(workflow);
  const open = new Set(given.open);
  const schema = new InputsSchema(definition.inputs ?? {});
  const values = applyInputs(schema, given.inputs, open);
  const inputs: KnownInputs = { values, open, tainted: new Set(given.tainted) };
  const planner = new Planner(sources, workflow, inputs, { path, count: given.count ?? { calls: 0 } });
  try {
    return { workflow, inputs, steps: await planner.steps(), path };
  } catch (error) {
    throw await withLine(error, workflow.file, workflow.text);
  }
}

/** Inputs that the schema declares, coerced and completed; others as they are. */
function applyInputs(
  schema: InputsSchema,
  given: Readonly<Record<string, unknown>>,
  open: ReadonlySet<string>,
): Record<string, unknown> {
  const checked = schema.apply(given, new Set(schema.names.filter((name) => !open.has(name))));
  return { ...given, ...checked };
}

function refuseNesting(path: readonly string[], { workflow, file }: LoadedWorkflow): void {
  const before = path.indexOf(workflow.name);
  if (before < path.length - 1)
    throw new FenError(
      "workflow_invalid",
      `Workflows call each other in a circle: ${path.slice(before).join(" -> ")}`,
      {
        hint: "Take one of the calls out.",
        facts: { file },
      },
    );
  if (path.length > maxNesting + 1)
    throw new FenError("workflow_invalid", `Workflows are nested more than ${maxNesting} deep: ${path.join(" -> ")}`, {
      hint: "Put steps of the inner ones into the outer ones.",
      facts: { file },
    });
}

interface CallCount {
  calls: number;
}

class Planner {
  readonly #sources: PlanSources;
  readonly #workflow: LoadedWorkflow;
  readonly #inputs: KnownInputs;
  readonly #path: readonly string[];
  readonly #count: CallCount;

  constructor(
    sources: PlanSources,
    workflow: LoadedWorkflow,
    inputs: KnownInputs,
    within: { readonly path: readonly string[]; readonly count: CallCount },
  ) {
    this.#sources = sources;
    this.#workflow = workflow;
    this.#inputs = inputs;
    this.#path = within.path;
    this.#count = within.count;
  }

  async steps(): Promise<PlannedStep[]> {
    const { workflow: definition } = this.#workflow;
    const steps: PlannedStep[] = [];
    const locate = containsExpressions(definition) ? await yamlLocator(this.#workflow.text) : () => undefined;
    for (const [j, job] of definition.jobs.entries())
      for (const [s, step] of job.steps.entries())
        steps.push(await this.#plan(step, this.#compile(step, ["jobs", j, "steps", s], locate)));
    return steps;
  }

  #compile(
    step: StepDefinition,
    path: readonly (string | number)[],
    locate: Awaited<ReturnType<typeof yamlLocator>>,
  ): CompiledStep {
    const { cel } = this.#sources;
    const { file } = this.#workflow;
    const at = (value: unknown, ...more: readonly string[]) =>
      compileValue(cel, value, { file, path: [...path, ...more], locate });
    const { task } = step;
    const isMethod = task.type === "model_method";
    return {
      path,
      // Only a fan-out replaces anything in its name.
      name: at(step.forEach === undefined ? undefined : step.name, "name"),
      target: isMethod
        ? at(task.modelIdOrName, "task", "modelIdOrName")
        : at(task.workflowIdOrName, "task", "workflowIdOrName"),
      method: isMethod ? at(task.methodName, "task", "methodName") : undefined,
      inputs: at(task.inputs, "task", "inputs"),
      forEach: step.forEach === undefined ? undefined : at(step.forEach.in, "forEach", "in"),
    };
  }

  async #plan(definition: StepDefinition, compiled: CompiledStep): Promise<PlannedStep> {
    const { forEach } = compiled;
    if (forEach === undefined || definition.forEach === undefined)
      return { definition, compiled, calls: [await this.#call(definition, compiled, this.#scope(), definition.name)] };
    const known = await this.#evaluate(forEach, this.#scope());
    if (known === undefined)
      return {
        definition,
        compiled,
        calls: undefined,
        any: await this.#call(definition, compiled, undefined, definition.name),
      };
    const list = { ...known, where: forEach.expressions[0]?.where };
    const expansions = await expansionsOf(definition, compiled.name, list, this.#scope());
    const calls: PlannedCall[] = [];
    const key = definition.forEach.item;
    const tainted = list.isTainted ? [`self.${key}`] : [];
    for (const { name, item } of expansions)
      calls.push(await this.#call(definition, compiled, this.#scope({ [key]: item }, tainted), name));
    return { definition, compiled, calls };
  }

  /** `scope`: with the element as `self`; undefined where that isn't known. */
  async #call(
    definition: StepDefinition,
    compiled: CompiledStep,
    scope: Scope | undefined,
    name: string,
  ): Promise<PlannedCall> {
    await this.#tally();
    const { task } = definition;
    const text = task.type === "model_method" ? task.modelIdOrName : task.workflowIdOrName;
    const inputs = await this.#knownInputs(task.inputs, compiled, scope); // also of a method's: what can't be resolved is told here
    const known = await this.#evaluate(compiled.target, scope);
    if (known === undefined) return { name, target: { kind: "open", text } };
    const target = asName(known.value, text, this.#workflow.file);
    const named = targetOf(this.#workflow, definition, { compiled, isTainted: known.isTainted });
    if (task.type === "model_method") {
      const loaded = await findTarget(() => this.#sources.model(target), named);
      const model = await this.#model(loaded, compiled, scope);
      if (inputs.open.size === 0 && scope !== undefined) await this.#check(name, model, inputs);
      return { name, target: model };
    }
    const child = await findTarget(() => this.#sources.workflow(target), named);
    const { values, open, tainted } = inputs;
    const given = { inputs: values, open, tainted, path: this.#path, count: this.#count };
    return { name, target: { kind: "workflow", plan: await planRun(this.#sources, child, given) } };
  }

  async #tally(): Promise<void> {
    if (++this.#count.calls > mostCalls)
      throw new FenError(
        "workflow_invalid",
        `The run would make more than ${mostCalls} calls: ${this.#path.join(" -> ")}`,
        {
          hint: "Workflows that call each other several times multiply: cut the work into several runs.",
          facts: { file: this.#workflow.file },
        },
      );
    if (this.#count.calls % callsAtOnce === 0) await this.#sources.pause();
  }

  async #model(
    loaded: LoadedDefinition,
    { method }: CompiledStep,
    scope: Scope | undefined,
  ): Promise<PlannedCall["target"]> {
    const type = this.#sources.types.find(loaded.definition.type);
    const known = method === undefined ? undefined : await this.#evaluate(method, scope);
    if (known === undefined) return { kind: "model", loaded, method: undefined, mode: "exclusive" };
    const called = String(known.value);
    const { kind } = findNamedMethod(type, called, known);
    return { kind: "model", loaded, method: called, mode: modeOf(loaded, kind, called) };
  }

  /** What can't be called because of its inputs is told before anything is locked. */
  async #check(step: string, target: PlannedCall["target"], { values, tainted }: KnownInputs): Promise<void> {
    if (target.kind !== "model" || target.method === undefined || this.#inputs.open.size > 0) return;
    const { loaded, method } = target;
    const ground = [...this.#inputs.tainted].filter((name) => !Object.hasOwn(values, name));
    const taintedInputs = new Set([...ground, ...tainted]);
    try {
      await this.#sources.check({
        loaded,
        method,
        inputs: values,
        workflowInputs: this.#inputs.values,
        taintedInputs,
      });
    } catch (error) {
      if (!(error instanceof FenError)) throw error;
      const { file } = this.#workflow;
      throw new FenError(error.code, `${file}: step ${step} can't call ${loaded.definition.name}: ${error.message}`, {
        hint: `Give the step what its model takes: inputs: { ... }   See: fen model get ${loaded.definition.name}`,
        facts: { ...error.facts, file },
        cause: error,
      });
    }
  }

  async #knownInputs(
    inputs: Readonly<Record<string, unknown>>,
    { inputs: compiled }: CompiledStep,
    scope: Scope | undefined,
  ): Promise<KnownInputs> {
    const open = new Set<string>();
    const tainted = new Set<string>();
    const values = new Map<string, unknown>(); // a key may be called __proto__
    for (const key of Object.keys(inputs)) {
      const one = compiled.entry(key);
      const known = one === undefined ? undefined : await this.#evaluate(one, scope);
      if (known === undefined) open.add(key);
      else values.set(key, known.value);
      if (known?.isTainted === true) tainted.add(key);
    }
    return { values: Object.fromEntries(values), open, tainted };
  }

  /** `tainted`: beside the inputs. */
  #scope(self: Readonly<Record<string, unknown>> = {}, tainted: readonly string[] = []): Scope {
    const { values, tainted: inputs } = this.#inputs;
    return { inputs: values, self, ...this.#sources.scope, tainted: new Set([...taintedNames(inputs), ...tainted]) };
  }

  /** The value, where it is known before the run: undefined where it depends on data, also of another model's, on the time, or on what isn't known either. */
  async #evaluate(
    compiled: CompiledValue,
    scope: Scope | undefined,
  ): Promise<{ readonly value: unknown; readonly isTainted: boolean } | undefined> {
    if (!this.#isKnown(compiled, scope !== undefined)) return undefined;
    try {
      const known = await compiled.run(scope ?? this.#scope());
      return known.isVolatile ? undefined : known;
    } catch (error) {
      // What another model's arguments read may be made by this run.
      if (error instanceof FenError && readsModels(compiled)) return undefined;
      throw error;
    }
  }

  /** False where that is certain without evaluating anything. */
  #isKnown({ dependencies }: CompiledValue, isSelfKnown: boolean): boolean {
    if (dependencies.usesData || dependencies.usesTime) return false;
    if (!isSelfKnown && dependencies.self.size > 0) return false;
    const { open } = this.#inputs;
    return (
      open.size === 0 || (!dependencies.inputs.has("*") && [...dependencies.inputs].every((name) => !open.has(name)))
    );
  }
}

/** Names of inputs, as the scope of an expression has them. */
export function taintedNames(inputs: ReadonlySet<string>): Set<string> {
  return new Set([...inputs].map((name) => `inputs.${name}`));
}

/** True where it reads a definition that the run's data may change the outcome of. */
export function readsModels({ dependencies: { models, isOpen } }: CompiledValue): boolean {
  return models.size > 0 || isOpen;
}

/** What was planned for a step of a run; undefined where that wasn't known. */
export function plannedCallOf(plan: PlannedRun, state: RunState, step: StepState): PlannedCall | undefined {
  const calls = plan.steps[step.template ?? step.number]?.calls;
  if (step.template === undefined) return calls?.[0];
  const first = state.step(step.template).expansions?.[0] ?? 0;
  return calls?.[step.number - first];
}

/** The mode in which a method wants its model. */
export function modeOf(loaded: LoadedDefinition, kind: Parameters<typeof onlyReads>[0], method: string): LockMode {
  return onlyReads(loaded.definition.methods[method]?.kind ?? kind) ? "shared" : "exclusive";
}

/** A name that an expression gave. Throws `expression_failed` for anything else. */
export function asName(value: unknown, text: string, file: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw new FenError(
    "expression_failed",
    `${file}: ${text} gives ${value === "" ? "an empty text" : typeof value}, where a name is needed`,
    {
      hint: "Give the name of a model or workflow.",
      facts: { file, expression: text },
    },
  );
}

/** What a step calls, as it is named. */
export function targetOf(
  { file, text }: LoadedWorkflow,
  { task }: StepDefinition,
  { compiled, isTainted }: { readonly compiled: CompiledStep; readonly isTainted: boolean },
): NamedTarget {
  const [key, written] =
    task.type === "model_method" ? ["modelIdOrName", task.modelIdOrName] : ["workflowIdOrName", task.workflowIdOrName];
  return { file, source: text, path: [...compiled.path, "task", key], written, isTainted };
}

function containsExpressions(value: unknown): boolean {
  if (typeof value === "string") return hasExpression(value);
  if (Array.isArray(value)) return value.some(containsExpressions);
  return isRecord(value) && Object.values(value).some(containsExpressions);
}
