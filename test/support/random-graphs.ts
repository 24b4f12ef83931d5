/** Random graphs of jobs and steps, and how each of their parts must end: written anew from the text of the format. */
import fc from "fast-check";
import type { Condition, JobDefinition, StepDefinition, WorkflowDefinition } from "../../src/workflow/definition.ts";
import type { EndStatus } from "../../src/workflow/entries.ts";
import type { RunState } from "../../src/workflow/run-state.ts";

const condition: fc.Arbitrary<Condition> = fc.letrec<{ any: Condition; plain: Condition }>((tie) => ({
  plain: fc.constantFrom(
    ...(["always", "succeeded", "failed", "completed", "skipped"] as const).map((type) => ({ type })),
  ),
  any: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    tie("plain"),
    fc.record({
      type: fc.constantFrom("and" as const, "or" as const),
      conditions: fc.array(tie("any"), { minLength: 2, maxLength: 3 }),
    }),
    fc.record({ type: fc.constant("not" as const), condition: tie("any") }),
  ),
})).any;

/** Each may wait for those before it: no circles. */
const waits = (index: number) =>
  fc.uniqueArray(fc.record({ on: fc.nat(Math.max(0, index - 1)), condition }), {
    maxLength: index === 0 ? 0 : 3,
    selector: ({ on }) => on,
  });

/** What a step does; the rest of it is the graph's. */
export type Filling = Pick<StepDefinition, "task" | "forEach" | "retry" | "concurrency">;

export interface GraphOptions {
  readonly name: string;
  readonly jobs: number;
  readonly steps: number;
  filling(job: number, step: number): fc.Arbitrary<Filling>;
}

/** Workflows of jobs `j0`, `j1`, ... with steps `s0`, `s1`, ... */
export function graphs(options: GraphOptions): fc.Arbitrary<WorkflowDefinition> {
  const rest = { id: "00000000-0000-4000-a000-000000000001", version: 1, tags: {}, lock: "run" as const };
  return severalOf(options.jobs, (index) => jobOf(options, index)).map((jobs) => ({
    ...{ ...rest, name: options.name },
    jobs,
  }));
}

function severalOf<T>(most: number, one: (index: number) => fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc
    .integer({ min: 1, max: most })
    .chain((count) => fc.tuple(...Array.from({ length: count }, (_, index) => one(index))));
}

function jobOf(options: GraphOptions, index: number): fc.Arbitrary<JobDefinition> {
  return fc
    .record({
      weight: fc.constantFrom(0, 0, 1),
      steps: severalOf(options.steps, (step) => stepOf(options, index, step)),
      waits: waits(index),
    })
    .map(({ waits: before, ...job }) => ({
      ...{ name: `j${index}`, ...job },
      dependsOn: before.map((one) => ({ job: `j${one.on}`, condition: one.condition })),
    }));
}

function stepOf(options: GraphOptions, job: number, index: number): fc.Arbitrary<StepDefinition> {
  return fc
    .record({
      weight: fc.constantFrom(0, 0, 0, -1, 2),
      allowFailure: fc.boolean(),
      waits: waits(index),
      filling: options.filling(job, index),
    })
    .map(({ waits: before, filling, ...step }) => ({
      ...{ name: `s${index}`, ...step, ...filling, dataOutputOverrides: [] },
      dependsOn: before.map((one) => ({ step: `s${one.on}`, condition: one.condition })),
    }));
}

/** A number below 1000 that is the same for the same seed and words. */
export function dice(seed: number, ...words: readonly (number | string)[]): number {
  let hash = seed >>> 0;
  for (const one of words.join("/")) hash = Math.imul(hash ^ one.charCodeAt(0), 2654435761) >>> 0;
  return (hash >>> 8) % 1000;
}

// ------------------------------------------------------------------ the laws

/** Expansions of a step, or the step itself, and whether each fails where it runs. */
export type Carried = readonly { readonly name: string; readonly isFailed: boolean }[];

/** How everything must end: a job's or step's end depends on nothing but the ends of what it waits for. Steps are `<job>/<step>`. */
export function endsByLaw(
  { jobs }: WorkflowDefinition,
  carry: (job: number, step: StepDefinition) => Carried,
): Map<string, EndStatus> {
  const ends = new Map<string, EndStatus>();
  for (const [j, job] of jobs.entries()) {
    const runs = job.dependsOn.every((one) => fits(one.condition, ends.get(one.job) ?? ""));
    let isFailed = false;
    for (const step of job.steps) {
      const own = `${job.name}/${step.name}`;
      if (!runs || !step.dependsOn.every((one) => fits(one.condition, ends.get(`${job.name}/${one.step}`) ?? ""))) {
        ends.set(own, "skipped");
        continue;
      }
      const carried = carry(j, step);
      for (const one of carried) ends.set(`${job.name}/${one.name}`, one.isFailed ? "failed" : "succeeded");
      ends.set(own, carried.some((one) => one.isFailed) ? "failed" : "succeeded");
      if (ends.get(own) === "failed" && !step.allowFailure) isFailed = true;
    }
    ends.set(job.name, runs ? (isFailed ? "failed" : "succeeded") : "skipped");
  }
  return ends;
}

function fits(wanted: Condition, end: string): boolean {
  if (wanted.type === "and")
    return wanted.conditions.filter((one) => fits(one, end)).length === wanted.conditions.length;
  if (wanted.type === "or") return wanted.conditions.find((one) => fits(one, end)) !== undefined;
  if (wanted.type === "not") return !fits(wanted.condition, end);
  if (wanted.type === "completed") return ["failed", "succeeded"].includes(end);
  return wanted.type === "always" || wanted.type === end;
}

/** How everything of a run has ended, in the same words. */
export function endsOf(state: RunState): Map<string, string> {
  return new Map([
    ...state.jobs.map((job) => [job.name, job.status] as const),
    ...state.steps.map((step) => [`${state.job(step.job).name}/${step.name}`, step.status] as const),
  ]);
}

export const sorted = (ends: ReadonlyMap<string, string>) => [...ends].sort(([a], [b]) => (a < b ? -1 : 1));
