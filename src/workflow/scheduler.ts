/**
 * What may happen next in a run. Pure: it looks at the run's state, is told of every line that the journal gets, and gives decisions; whoever carries
 * them out writes the lines. Equal lines give equal decisions. The cost of a decision doesn't grow with the number of steps that aren't concerned.
 */
import { compareCodePoints } from "../kernel/order.ts";
import { holds, type Judged } from "./conditions.ts";
import type { EndStatus, JournalEntry, RunEnd } from "./entries.ts";
import type { JobState, RunState, StepState } from "./run-state.ts";

export type Decision =
  | { readonly do: "start-job"; readonly job: number }
  | { readonly do: "skip-job"; readonly job: number; readonly why: string }
  | { readonly do: "end-job"; readonly job: number; readonly status: EndStatus }
  /** Evaluate the fan-out's list and write its expansions. */
  | { readonly do: "expand"; readonly step: number }
  | { readonly do: "start"; readonly step: number }
  | { readonly do: "skip"; readonly step: number; readonly why: string }
  /** All expansions have ended: this is how the fan-out is judged. */
  | { readonly do: "end-group"; readonly step: number; readonly status: EndStatus; readonly allowed: boolean }
  | { readonly do: "end-run"; readonly status: RunEnd };

export class Scheduler {
  readonly #state: RunState;
  readonly #jobs: ReadonlyMap<string, number>;
  /** Steps of the file by job and name. */
  readonly #steps: ReadonlyMap<string, number>;
  readonly #jobsAfter = new Map<number, number[]>();
  readonly #stepsAfter = new Map<number, number[]>();
  /** What has to be looked at. */
  readonly #dirtyJobs = new Set<number>();
  readonly #dirtySteps = new Set<number>();
  /** Handed out, and not forgotten since. */
  readonly #given = new Set<number>();
  /** Of each job, how many steps (templates included) haven't ended; of each fan-out, how many expansions. */
  readonly #openSteps = new Map<number, number>();
  readonly #openExpansions = new Map<number, number>();
  #ended = false;

  /** The state is that of a journal so far; the same object must get every further line before `note` does. */
  constructor(state: RunState) {
    this.#state = state;
    this.#jobs = new Map(state.jobs.map((job) => [job.name, job.number]));
    const ofFile = state.steps.filter((step) => step.template === undefined);
    this.#steps = new Map(ofFile.map((step) => [keyOf(step.job, step.name), step.number]));
    for (const job of state.jobs) for (const before of this.#jobsBefore(job)) push(this.#jobsAfter, before, job.number);
    for (const step of ofFile)
      for (const before of this.#stepsBefore(step)) push(this.#stepsAfter, before, step.number);
    this.#recount();
  }

  /** A line that was written since. */
  note(entry: JournalEntry): void {
    switch (entry.e) {
      case "job":
        this.#dirtyJobs.add(entry.j);
        if (entry.s === "running") for (const step of this.#state.job(entry.j).steps) this.#dirtySteps.add(step);
        else for (const after of this.#jobsAfter.get(entry.j) ?? []) this.#dirtyJobs.add(after);
        return;
      case "expand":
        return this.#noteExpansion(entry.n);
      case "end":
        return this.#noteEnd(entry.n);
      case "again":
        for (const step of entry.steps) this.#given.delete(step);
        this.#ended = false;
        return this.#recount();
      default:
        return;
    }
  }

  /** What is to be done now, in the order of starting; each thing is said once. */
  decide(): Decision[] {
    const jobs = [...this.#dirtyJobs].sort((a, b) => this.#compareJobs(a, b));
    this.#dirtyJobs.clear();
    const decisions = jobs.flatMap((job) => this.#decideJob(this.#state.job(job)));
    const steps = [...this.#dirtySteps].sort((a, b) => this.compare(a, b));
    this.#dirtySteps.clear();
    decisions.push(...steps.flatMap((step) => this.#decideStep(this.#state.step(step))));
    if (!this.#ended && this.#state.jobs.every((job) => isEnded(job.status))) {
      this.#ended = true;
      decisions.push({ do: "end-run", status: runStatus(this.#state.jobs) });
    }
    return decisions;
  }

  /** Which of two steps starts first where both may: weight, then name, then number; of the job, then of the step. */
  compare(a: number, b: number): number {
    const [one, two] = [this.#state.step(a), this.#state.step(b)];
    return (
      this.#compareJobs(one.job, two.job) ||
      one.definition.weight - two.definition.weight ||
      compareCodePoints(one.definition.name, two.definition.name) ||
      a - b
    );
  }

  #compareJobs(a: number, b: number): number {
    if (a === b) return 0;
    const { jobs } = this.#state.definition;
    const [one, two] = [jobs[a], jobs[b]];
    return (one?.weight ?? 0) - (two?.weight ?? 0) || compareCodePoints(one?.name ?? "", two?.name ?? "") || a - b;
  }

  #decideJob(job: JobState): Decision[] {
    if (job.status === "pending") {
      const dependsOn = this.#state.definition.jobs[job.number]?.dependsOn ?? [];
      const judged = dependsOn.map(({ job: name, condition }) => ({
        name,
        condition,
        status: this.#state.jobs[this.#jobs.get(name) ?? -1]?.status,
      }));
      if (judged.some(({ status }) => !isEnded(status))) return [];
      const failing = judged.find((one) => !holds(one.condition, endOf(one.status)));
      if (failing !== undefined) return [{ do: "skip-job", job: job.number, why: reason("job", failing) }];
      return [{ do: "start-job", job: job.number }];
    }
    if (isEnded(job.status) && job.status !== "running") return this.#skipRest(job);
    if ((this.#openSteps.get(job.number) ?? 0) > 0) return [];
    return [{ do: "end-job", job: job.number, status: jobStatus(job, this.#state) }];
  }

  /** Steps of a job that was skipped. */
  #skipRest(job: JobState): Decision[] {
    const why = job.why ?? `the job ${job.name} was ${job.status}`;
    return job.steps.flatMap((number) => {
      if (isEnded(this.#state.step(number).status) || this.#given.has(number)) return [];
      this.#given.add(number);
      return [{ do: "skip" as const, step: number, why }];
    });
  }

  #decideStep(step: StepState): Decision[] {
    const { number, template, expansions } = step;
    if (isEnded(step.status)) return [];
    if (this.#state.job(step.job).status !== "running") return [];
    if (template === undefined && expansions !== undefined) return this.#decideGroup(step, expansions);
    if (this.#given.has(number)) return [];
    if (template !== undefined) return this.#give(number, { do: "start", step: number });
    const judged = step.definition.dependsOn.map(({ step: name, condition }) => {
      const before = this.#state.steps[this.#steps.get(keyOf(step.job, name)) ?? -1];
      return { name, condition, status: before?.status };
    });
    if (judged.some(({ status }) => !isEnded(status))) return [];
    const failing = judged.find((one) => !holds(one.condition, endOf(one.status)));
    if (failing !== undefined) return this.#give(number, { do: "skip", step: number, why: reason("step", failing) });
    const isGroup = step.definition.forEach !== undefined;
    return this.#give(number, { do: isGroup ? "expand" : "start", step: number });
  }

  #decideGroup(step: StepState, expansions: readonly number[]): Decision[] {
    if ((this.#openExpansions.get(step.number) ?? 0) > 0) return [];
    const states = expansions.map((number) => this.#state.step(number));
    const failed = states.filter((one) => one.status === "failed");
    const status = groupStatus(states);
    return [{ do: "end-group", step: step.number, status, allowed: failed.every((one) => one.allowed === true) }];
  }

  #give(number: number, decision: Decision): Decision[] {
    this.#given.add(number);
    return [decision];
  }

  #noteExpansion(number: number): void {
    const { expansions = [], job } = this.#state.step(number);
    const open = expansions.filter((one) => !isEnded(this.#state.step(one).status));
    this.#openExpansions.set(number, open.length);
    this.#openSteps.set(job, (this.#openSteps.get(job) ?? 0) + open.length);
    this.#dirtySteps.add(number);
    for (const one of expansions) this.#dirtySteps.add(one);
  }

  #noteEnd(number: number): void {
    const { job, template } = this.#state.step(number);
    const open = (this.#openSteps.get(job) ?? 0) - 1;
    this.#openSteps.set(job, open);
    if (open <= 0) this.#dirtyJobs.add(job);
    if (template !== undefined) {
      const left = (this.#openExpansions.get(template) ?? 0) - 1;
      this.#openExpansions.set(template, left);
      if (left <= 0) this.#dirtySteps.add(template);
    }
    for (const after of this.#stepsAfter.get(number) ?? []) this.#dirtySteps.add(after);
  }

  /** Looks at everything anew. */
  #recount(): void {
    this.#openSteps.clear();
    this.#openExpansions.clear();
    for (const job of this.#state.jobs) {
      this.#dirtyJobs.add(job.number);
      this.#openSteps.set(job.number, job.steps.filter((step) => !isEnded(this.#state.step(step).status)).length);
    }
    for (const step of this.#state.steps) {
      this.#dirtySteps.add(step.number);
      if (step.expansions !== undefined)
        this.#openExpansions.set(
          step.number,
          step.expansions.filter((one) => !isEnded(this.#state.step(one).status)).length,
        );
    }
  }

  #jobsBefore({ number }: JobState): number[] {
    return (this.#state.definition.jobs[number]?.dependsOn ?? []).flatMap(({ job }) => this.#jobs.get(job) ?? []);
  }

  #stepsBefore({ job, definition }: StepState): number[] {
    return definition.dependsOn.flatMap(({ step }) => this.#steps.get(keyOf(job, step)) ?? []);
  }
}

/** True for a job or step that nothing more happens to. */
export function isEnded(status: string | undefined): boolean {
  return status === "succeeded" || status === "failed" || status === "skipped" || status === "cancelled";
}

function endOf(status: string | undefined): EndStatus {
  return status === "succeeded" || status === "failed" || status === "skipped" ? status : "cancelled";
}

function groupStatus(states: readonly StepState[]): EndStatus {
  if (states.some((one) => one.status === "failed")) return "failed";
  if (states.some((one) => one.status === "cancelled")) return "cancelled";
  return states.length > 0 && states.every((one) => one.status === "skipped") ? "skipped" : "succeeded";
}

function jobStatus(job: JobState, state: RunState): EndStatus {
  const steps = job.steps.map((number) => state.step(number));
  if (steps.some((one) => one.status === "failed" && one.allowed !== true)) return "failed";
  return steps.some((one) => one.status === "cancelled") ? "cancelled" : "succeeded";
}

function runStatus(jobs: readonly JobState[]): RunEnd {
  if (jobs.some((job) => job.status === "failed")) return "failed";
  return jobs.some((job) => job.status === "cancelled") ? "cancelled" : "succeeded";
}

function reason(kind: "job" | "step", { name, status }: Judged): string {
  return `${kind} ${name} ${status === undefined ? "doesn't exist" : status === "succeeded" || status === "failed" ? status : `was ${status}`}`;
}

function keyOf(job: number, step: string): string {
  return `${job}/${step}`;
}

function push(map: Map<number, number[]>, key: number, value: number): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
