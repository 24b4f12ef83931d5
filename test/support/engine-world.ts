/** Random workflows through the real engine, on a store in memory: what they are made of, what must come of them by the format, and who watches meanwhile. */
import fc from "fast-check";
import type { StepDefinition, Task, WorkflowDefinition } from "../../src/workflow/definition.ts";
import type { LockMode } from "../../src/store/contract.ts";
import { isEnded } from "../../src/workflow/scheduler.ts";
import type { RunState, StepState } from "../../src/workflow/run-state.ts";
import { type Carried, dice, endsByLaw, type Filling, graphs } from "./random-graphs.ts";

export const models = ["m0", "m1", "m2", "m3", "m4", "m5"];

/** A value in a run, and whether it is certain before the run what it will be. */
interface Said<T> {
  readonly value: T;
  readonly isKnown: boolean;
}
const known = <T>(value: T): Said<T> => ({ value, isKnown: true });
const open = <T>(value: T): Said<T> => ({ value, isKnown: false });

/** The inputs of a workflow. */
export interface Given {
  readonly pick: Said<string>;
  readonly list: Said<readonly number[]>;
}

export const givenFirst: Given = { pick: known("m1"), list: known([0, 2]) };

/** What depends on data is known to nobody before. */
const late = (value: string) => `\${{ data.latest("m0", "none") == null ? ${value} : null }}`;

/** What is written, and what it means. */
type Meanings<T> = Readonly<Record<string, (given: Given, self: number | undefined) => Said<T>>>;
const ofElement: Meanings<string> = {
  "m${{ self.i }}": (_, self) => (self === undefined ? open("") : known(`m${self}`)),
};
const targets: Meanings<string> = {
  m0: () => known("m0"),
  m1: () => known("m1"),
  m2: () => known("m2"),
  m3: () => known("m3"),
  "${{ inputs.pick }}": ({ pick }) => pick,
  [late('"m4"')]: () => open("m4"),
};
const lists: Meanings<readonly number[]> = {
  "${{ [] }}": () => known([]),
  "${{ [1] }}": () => known([1]),
  "${{ [0, 1, 5] }}": () => known([0, 1, 5]),
  "${{ inputs.list }}": ({ list }) => list,
  [late("[2, 5]")]: () => open([2, 5]),
};

function meaning<T>(meanings: Meanings<T>, written: unknown, given: Given, self?: number): Said<T> {
  const found = meanings[String(written)];
  if (found === undefined) throw new Error(`nobody knows what ${String(written)} means`);
  return found(given, self);
}

const targetOf = (written: string, given: Given, self?: number) =>
  meaning({ ...targets, ...ofElement }, written, given, self);
const listOf = (written: string, given: Given) => meaning(lists, written, given);

/** What a step gives to the workflow that it calls. */
const givenBy = ({ inputs }: Task, given: Given): Given => ({
  pick: meaning(targets, inputs["pick"], given),
  list: meaning(lists, inputs["list"], given),
});

// ------------------------------------------------------------------ workflows

export interface World {
  /** The first calls the others. */
  readonly workflows: readonly [WorkflowDefinition, ...WorkflowDefinition[]];
  readonly seed: number;
  readonly slots: number;
}

const modelTask = (at: string, isFanOut: boolean): fc.Arbitrary<Task> =>
  fc.record({
    type: fc.constant("model_method" as const),
    modelIdOrName: fc.constantFrom(...Object.keys(targets), ...(isFanOut ? Object.keys(ofElement) : [])),
    methodName: fc.constantFrom("change", "change", "look"),
    inputs: fc.constant({ at }),
  });

const nestedTask = (at: string, callees: readonly string[]): fc.Arbitrary<Task> =>
  fc.record({
    type: fc.constant("workflow" as const),
    workflowIdOrName: fc.constantFrom(...callees),
    inputs: fc.record({
      at: fc.constant(at),
      pick: fc.constantFrom(...Object.keys(targets)),
      list: fc.constantFrom(...Object.keys(lists)),
    }),
  });

const fillingFor =
  (callees: readonly string[]) =>
  (job: number, step: number): fc.Arbitrary<Filling> =>
    fc.tuple(fc.nat(3), fc.nat(4)).chain(([fan, nest]) => {
      const at = `\${{ inputs.at }}/j${job}/s${step}${fan === 0 ? "-${{ self.i }}" : ""}`;
      const isNested = nest === 0 && callees.length > 0;
      return fc.record(
        {
          task: isNested ? nestedTask(at, callees) : modelTask(at, fan === 0),
          ...(fan === 0
            ? {
                forEach: fc.record({ item: fc.constant("i"), in: fc.constantFrom(...Object.keys(lists)) }),
                concurrency: fc.constantFrom(1, 2),
              }
            : {}),
          ...(isNested
            ? {}
            : { retry: fc.constant({ attempts: 2, backoffMs: 1, on: ["failure" as const, "timeout" as const] }) }),
        },
        { requiredKeys: ["task", ...(fan === 0 ? (["forEach"] as const) : [])] },
      );
    });

/** A workflow that calls two others, of which one calls the other. */
export function worldsOf(...locks: readonly WorkflowDefinition["lock"][]): fc.Arbitrary<World> {
  return fc
    .record({
      main: graphs({ name: "main", jobs: 3, steps: 4, filling: fillingFor(["inner", "outer"]) }),
      outer: graphs({ name: "outer", jobs: 2, steps: 2, filling: fillingFor(["inner"]) }),
      inner: graphs({ name: "inner", jobs: 2, steps: 2, filling: fillingFor([]) }),
      lock: fc.constantFrom(...locks),
      seed: fc.nat(),
      slots: fc.integer({ min: 1, max: 4 }),
    })
    .map(({ main, outer, inner, lock, seed, slots }) => ({
      workflows: [{ ...main, lock }, outer, inner],
      seed,
      slots,
    }));
}

function callee({ workflows }: World, task: Task): WorkflowDefinition {
  const found = workflows.find((one) => task.type === "workflow" && one.name === task.workflowIdOrName);
  if (found === undefined) throw new Error("no such workflow");
  return found;
}

// ------------------------------------------------------------------ what must come of them

export interface Call {
  /** Path of the step, `/<job>/<step>`, behind that of the step that calls its workflow. */
  readonly at: string;
  readonly model: string;
  readonly mode: LockMode;
}

/** Whether a call fails: the same in every run. */
export const fails = ({ seed }: World, at: string, attempt: number): boolean => dice(seed, at, attempt) < 300;

export interface Law {
  /** Of each run, by the path of the step that calls it (of the first ""), how its parts end. */
  readonly ends: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** All calls of models, in no order. */
  readonly calls: readonly Call[];
}

/** Everything that must happen in a run. */
export function lawOf(world: World): Law {
  const ends = new Map<string, ReadonlyMap<string, string>>();
  const calls: Call[] = [];
  const visit = (workflow: WorkflowDefinition, at: string, given: Given): boolean => {
    const own = endsByLaw(workflow, (job, step) => carry(step, { at: `${at}/j${job}`, given }));
    ends.set(at, own);
    return workflow.jobs.some(({ name }) => own.get(name) === "failed");
  };
  const carry = ({ name, task, forEach, retry }: StepDefinition, run: { at: string; given: Given }): Carried => {
    const items = forEach === undefined ? [undefined] : listOf(forEach.in, run.given).value;
    return items.map((item) => {
      const own = item === undefined ? name : `${name}-${item}`;
      const at = `${run.at}/${own}`;
      if (task.type === "workflow")
        return { name: own, isFailed: visit(callee(world, task), at, givenBy(task, run.given)) };
      const { value: model } = targetOf(task.modelIdOrName, run.given, item);
      for (let attempt = 1; attempt <= (retry?.attempts ?? 1); attempt++) {
        calls.push({ at, model, mode: modeOf(task) });
        if (!fails(world, at, attempt)) return { name: own, isFailed: false };
      }
      return { name: own, isFailed: true };
    });
  };
  visit(world.workflows[0], "", givenFirst);
  return { ends, calls };
}

function modeOf(task: Task): LockMode {
  return task.type === "model_method" && task.methodName === "look" ? "shared" : "exclusive";
}

/**
 * The models that calls which are known before the run, and haven't ended, will have or may have: in the stronger mode. `states`: of the runs that have begun, the
 * first one by "first"; `isDone`: asks, by its path, whether a step has done its work and hasn't ended yet.
 */
export function wanted(
  world: World,
  states: ReadonlyMap<string, RunState>,
  isDone: (at: string) => boolean = () => false,
): Map<string, LockMode> {
  const found = new Map<string, LockMode>();
  const visit = ({ jobs }: WorkflowDefinition, state: RunState | undefined, { given, at }: Visit): void => {
    const steps = jobs.flatMap((job) => job.steps.map((step) => ({ step, job: job.name })));
    for (const [number, { step, job }] of steps.entries()) {
      const path = `${at}/${job}/${step.name}`;
      const own = state?.steps[number];
      if (isEnded(own?.status)) continue;
      const list = step.forEach === undefined ? undefined : listOf(step.forEach.in, given);
      if (list === undefined) add(step, own, { given, at: path });
      else if (!list.isKnown) add(step, undefined, { given, at: path });
      else
        for (const [index, self] of list.value.entries()) {
          const one = state?.steps[own?.expansions?.[index] ?? -1];
          if (!isEnded(one?.status)) add(step, one, { given, at: `${path}-${self}`, self });
        }
    }
  };
  const add = (
    { task }: StepDefinition,
    own: StepState | undefined,
    { given, at, self }: Visit & { readonly self?: number },
  ): void => {
    if (task.type === "workflow")
      return visit(callee(world, task), states.get(own?.child ?? ""), { given: givenBy(task, given), at });
    if (isDone(at)) return;
    const model = targetOf(task.modelIdOrName, given, self);
    if (model.isKnown && found.get(model.value) !== "exclusive") found.set(model.value, modeOf(task));
  };
  if (world.workflows[0].lock === "run") visit(world.workflows[0], states.get("first"), { given: givenFirst, at: "" });
  return found;
}

interface Visit {
  readonly given: Given;
  readonly at: string;
}
