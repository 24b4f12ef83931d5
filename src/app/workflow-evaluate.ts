/** `workflow evaluate`: a workflow as it would run, written beside the data: names and inputs evaluated, fan-outs expanded. What depends on data, the environment or a vault stays as it is written. */
import type { CompiledValue } from "../expression/compile.ts";
import { ExpressionError } from "../expression/failure.ts";
import { InputsSchema } from "../expression/inputs-schema.ts";
import type { Scope } from "../expression/scope.ts";
import { FenError } from "../kernel/errors.ts";
import { stringifyYaml } from "../repo/yaml.ts";
import type { JobDefinition, StepDefinition, WorkflowDefinition } from "../workflow/definition.ts";
import { uniqueName } from "../workflow/expansion.ts";
import { type PlannedRun, type PlannedStep, planRun } from "../workflow/plan.ts";
import { unkeepable } from "../workflow/unkeepable.ts";
import type { LoadedWorkflow } from "../workflow/workflows.ts";
import type { AppContext } from "./context.ts";
import { type GivenInputs, parseInputs } from "./inputs.ts";
import { keepsElement, type StoredInputs, storedInputs, storedItems, storedValue } from "./stored-inputs.ts";
import { plannedUses, planSources } from "./workflow-planning.ts";
import { makeSurroundings, type RunSurroundings } from "./workflow-run-surroundings.ts";
import { openWorkspace } from "./workspace.ts";

export interface EvaluatedWorkflow {
  readonly id: string;
  readonly name: string;
  readonly hadExpressions: boolean;
  /** At least one fan-out became plain steps. */
  readonly forEachExpanded: boolean;
  readonly outputPath: string;
  readonly jobs: readonly { readonly name: string; readonly steps: readonly string[] }[];
}

export interface EvaluatedWorkflows {
  readonly items: readonly (
    | EvaluatedWorkflow
    | {
        readonly id: string;
        readonly name: string;
        readonly error: { readonly code: string; readonly message: string };
      }
  )[];
  readonly total: number;
  readonly evaluated: number;
}

/** Under the locks of its models. Throws what `workflow run` would before it begins. */
export async function evaluateWorkflow(
  context: AppContext,
  options: GivenInputs & { readonly workflow: string },
): Promise<EvaluatedWorkflow> {
  const workspace = await openWorkspace(context);
  const { workflows } = workspace;
  const inputs = await parseInputs(context.machine, options);
  const surroundings = await makeSurroundings(context, workspace, { workflows, tags: {}, together: true });
  const workflow = await workflows.find(options.workflow);
  const plan = await planRun(planSources(surroundings), workflow, { inputs });
  const requests = [...plannedUses(plan).values()].map(({ request }) => request);
  if (requests.length === 0) return evaluate(surroundings, plan);
  await using _lease = await workspace.lock(requests);
  return evaluate(
    surroundings,
    await planRun(planSources(surroundings), await workflows.load(workflow.file), { inputs }),
  );
}

/** All of them, under the datastore's lock. One that can't be evaluated (because it needs inputs, say) doesn't keep the others from being. */
export async function evaluateWorkflows(context: AppContext): Promise<EvaluatedWorkflows> {
  const workspace = await openWorkspace(context);
  const { workflows } = workspace;
  await using _lease = await workspace.lock([
    { resource: { kind: "datastore" }, mode: "exclusive", label: "the datastore" },
  ]);
  const surroundings = await makeSurroundings(context, workspace, { workflows, tags: {}, together: true });
  const items: EvaluatedWorkflows["items"][number][] = [];
  for (const loaded of (await workflows.list()).workflows) {
    const { id, name } = loaded.workflow;
    try {
      items.push(await evaluate(surroundings, await planRun(planSources(surroundings), loaded, { inputs: {} })));
    } catch (error) {
      if (!(error instanceof FenError)) throw error;
      items.push({ id, name, error: { code: error.code, message: error.message } });
    }
  }
  return { items, total: items.length, evaluated: items.filter((one) => !("error" in one)).length };
}

async function evaluate({ workspace, scope }: RunSurroundings, plan: PlannedRun): Promise<EvaluatedWorkflow> {
  const { workflow }: LoadedWorkflow = plan.workflow;
  const evaluator = new Evaluator(plan, { ...scope, storableOnly: true, inputs: plan.inputs.values });
  // For texts that stay as they are written.
  const inputs = new InputsSchema(workflow.inputs ?? {}).withDefaults(plan.inputs.values);
  const evaluated: WorkflowDefinition = { ...workflow, inputs, jobs: await evaluator.jobs() };
  const path = `workflows-evaluated/workflow-${workflow.id}.yaml`;
  const { files } = workspace.datastore;
  // A copy without shared parts, which would be written once and referred to.
  const plain: unknown = JSON.parse(JSON.stringify(withoutDefaults(evaluated)));
  await files.write(path, stringifyYaml(plain));
  return {
    id: workflow.id,
    name: workflow.name,
    hadExpressions: plan.steps.some(({ compiled }) =>
      [compiled.name, compiled.target, compiled.method, compiled.inputs, compiled.forEach].some(
        (one) => one?.hasExpressions === true,
      ),
    ),
    forEachExpanded: forEachCount(workflow.jobs) > forEachCount(evaluated.jobs),
    outputPath: files.locate(path),
    jobs: evaluated.jobs.map((job) => ({ name: job.name, steps: job.steps.map((step) => step.name) })),
  };
}

class Evaluator {
  readonly #plan: PlannedRun;
  readonly #scope: Scope;

  constructor(plan: PlannedRun, scope: Scope) {
    this.#plan = plan;
    this.#scope = scope;
  }

  async jobs(): Promise<JobDefinition[]> {
    const jobs: JobDefinition[] = [];
    let number = 0;
    for (const job of this.#plan.workflow.workflow.jobs) {
      const steps: StepDefinition[] = [];
      const renamed = new Map<string, readonly string[]>();
      // A run tells steps apart by their numbers, a file only by their names.
      const taken = new Map(job.steps.map(({ name }) => [name, 1]));
      for (const step of job.steps) {
        const planned = this.#plan.steps[number++];
        const evaluated = planned === undefined ? [step] : await this.#steps(planned);
        const isExpanded = step.forEach !== undefined && evaluated[0]?.forEach === undefined;
        const expanded = isExpanded
          ? evaluated.map((one) => ({ ...one, name: uniqueName(one.name, taken) }))
          : evaluated;
        renamed.set(
          step.name,
          expanded.map((one) => one.name),
        );
        steps.push(...expanded);
      }
      jobs.push({ ...job, steps: steps.map((step) => ({ ...step, dependsOn: afterExpansion(step, renamed) })) });
    }
    return jobs;
  }

  async #steps(planned: PlannedStep): Promise<StepDefinition[]> {
    const { definition, calls = [], compiled } = planned;
    const { forEach, task } = definition;
    if (forEach === undefined) return [{ ...definition, task: await this.#task(planned, {}) }];
    const items = planned.calls === undefined ? undefined : await storedItems(planned, this.#scope);
    const keeps = [compiled.target, compiled.method].some((one) => keepsElement(one, undefined));
    if (items === undefined || keeps || keepsElement(compiled.inputs, task.inputs)) return [definition];
    const { forEach: _forEach, ...rest } = definition;
    const steps: StepDefinition[] = [];
    for (const [index, { name }] of calls.entries())
      steps.push({ ...rest, name, task: await this.#task(planned, { [forEach.item]: items[index] }) });
    return steps;
  }

  async #task(planned: PlannedStep, self: Readonly<Record<string, unknown>>): Promise<StepDefinition["task"]> {
    const { compiled, definition } = planned;
    const { task } = definition;
    const scope = { ...this.#scope, self };
    const text = async (of: CompiledValue | undefined, raw: string) =>
      String((await storedValue(of, raw, scope)).value);
    const { values: inputs } = await storedInputs(planned, scope);
    refuseUnkeepable(planned, inputs);
    if (task.type === "workflow")
      return { ...task, workflowIdOrName: await text(compiled.target, task.workflowIdOrName), inputs };
    return {
      ...task,
      modelIdOrName: await text(compiled.target, task.modelIdOrName),
      methodName: await text(compiled.method, task.methodName),
      inputs,
    };
  }
}

/** A file would say null in its place. */
function refuseUnkeepable({ definition, compiled }: PlannedStep, inputs: StoredInputs["values"]): void {
  const found = unkeepable(inputs);
  if (found === undefined) return;
  let at: CompiledValue | undefined = compiled.inputs;
  for (const key of found) at = at?.entry(String(key)) ?? at;
  const text = `the input ${found.join(".")} of step ${definition.name} gives a number that is infinite or none, which no file can keep`;
  const hint = "Give another number, or text: ${{ string(...) }}";
  const where = at?.expressions[0]?.where;
  throw where === undefined
    ? new FenError("expression_failed", text, { hint })
    : new ExpressionError("expression_failed", where, { text, hint });
}

function forEachCount(jobs: readonly JobDefinition[]): number {
  return jobs.flatMap(({ steps }) => steps).filter(({ forEach }) => forEach !== undefined).length;
}

/** Who depends on a fan-out depends on all of its expansions. */
function afterExpansion(
  { dependsOn }: StepDefinition,
  renamed: ReadonlyMap<string, readonly string[]>,
): StepDefinition["dependsOn"] {
  return dependsOn.flatMap(({ step, condition }) =>
    (renamed.get(step) ?? [step]).map((name) => ({ step: name, condition })),
  );
}

/** As it is written in a file. */
function withoutDefaults(workflow: WorkflowDefinition): Record<string, unknown> {
  const { lock, jobs, ...rest } = workflow;
  return {
    ...rest,
    ...(lock === "run" ? {} : { lock }),
    jobs: jobs.map((job) => ({ ...job, steps: job.steps.map(fileOf) })),
  };
}

function fileOf(step: StepDefinition): Record<string, unknown> {
  const { timeoutMs, retry, ...rest } = step;
  return {
    ...rest,
    ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }),
    ...(retry === undefined ? {} : { retry: { attempts: retry.attempts, backoff: retry.backoffMs, on: retry.on } }),
  };
}
