/** A run as it stands: the fold of its journal. Everything that shows or continues a run is made from this. */
import type { StepDefinition, WorkflowDefinition } from "./definition.ts";
import type { Author, DataReference, JobEnd, JournalEntry, RunEnd } from "./entries.ts";

export type StepStatus = "pending" | "waiting" | "running" | "succeeded" | "failed" | "skipped" | "cancelled";

export interface StepState {
  readonly number: number;
  readonly job: number;
  /** The step of the file; expansions of a fan-out share it. */
  readonly definition: StepDefinition;
  /** The fan-out that it is an expansion of. */
  readonly template?: number;
  /** Numbers of its expansions, once it is expanded. */
  expansions?: readonly number[];
  name: string;
  item?: unknown;
  /** The list comes from the environment or a vault: no journal keeps its elements. */
  isItemTainted?: true;
  status: StepStatus;
  attempt: number;
  /** What it waits for, while it does. */
  waitsFor?: { readonly model: string; readonly by?: string };
  waitingSince?: number;
  startedAt?: number;
  /** When the last attempt began. */
  attemptAt?: number;
  /** When the last attempt failed, while the step pauses before the next. */
  failedAt?: number;
  endedAt?: number;
  model?: string;
  output?: string;
  child?: string;
  error?: string;
  why?: string;
  allowed?: true;
  data?: readonly DataReference[];
}

export interface JobState {
  readonly number: number;
  readonly name: string;
  /** Steps of the file and, after them, expansions. */
  readonly steps: number[];
  status: "pending" | "running" | JobEnd;
  startedAt?: number;
  endedAt?: number;
  why?: string;
}

export class RunState {
  readonly id: string;
  readonly definition: WorkflowDefinition;
  readonly hash: string;
  /** Of a nested run that is at work, also those that its journal doesn't keep. */
  inputs: Readonly<Record<string, unknown>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly parent?: { readonly run: string; readonly step: number };
  /** Its models run as they were evaluated last. */
  readonly isEvaluated: boolean;
  readonly startedAt: number;
  readonly jobs: JobState[] = [];
  readonly steps: StepState[] = [];
  /** Who runs it now. */
  by: Author;
  /** Milliseconds that the run waited for its locks. */
  waitedMs = 0;
  locksAt?: number;
  status: "running" | RunEnd = "running";
  endedAt?: number;
  /** How many steps (templates of fan-outs not counted) have each status. */
  readonly counts: Record<StepStatus, number> = {
    pending: 0,
    waiting: 0,
    running: 0,
    succeeded: 0,
    failed: 0,
    skipped: 0,
    cancelled: 0,
  };

  /** When nobody carried it out: from its last sign of life, or its end, to the resume. */
  readonly #pauses: { readonly from: number; readonly to: number }[] = [];
  #lastAt: number;

  constructor(first: Extract<JournalEntry, { e: "run" }>) {
    this.id = first.run;
    this.definition = first.definition;
    this.hash = first.hash;
    this.inputs = first.inputs;
    this.tags = first.tags;
    if (first.parent !== undefined) this.parent = first.parent;
    this.isEvaluated = first.evaluated === true;
    this.startedAt = first.at;
    this.#lastAt = first.at;
    this.by = first.by;
    for (const [number, job] of first.definition.jobs.entries()) {
      const steps = job.steps.map((definition) => this.#add({ job: number, definition, name: definition.name }));
      this.jobs.push({ number, name: job.name, steps, status: "pending" });
    }
  }

  apply(entry: JournalEntry): void {
    if (entry.e === "resume" && entry.at > this.#lastAt) this.#pauses.push({ from: this.#lastAt, to: entry.at });
    this.#lastAt = entry.at;
    switch (entry.e) {
      case "run":
        return;
      case "resume":
        this.by = entry.by;
        this.status = "running";
        delete this.endedAt;
        return;
      case "locks":
        this.waitedMs += entry.waitedMs;
        this.locksAt = entry.at;
        return;
      case "job":
        return this.#applyJob(entry);
      case "expand":
        return this.#expand(entry);
      case "again":
        return this.#again(entry);
      case "done":
        this.status = entry.s;
        this.endedAt = entry.at;
        return;
      default:
        return this.#applyStep(entry);
    }
  }

  /** When it said something last. */
  get lastAt(): number {
    return this.#lastAt;
  }

  /** Milliseconds that it has been carried out, until its end or `until`. */
  duration(until = this.startedAt): number {
    return this.elapsed(this.endedAt ?? until);
  }

  /** Milliseconds that it had been carried out at that time. */
  elapsed(at: number): number {
    return Math.max(0, at - this.startedAt - this.paused(at));
  }

  /** Milliseconds before that time in which nobody carried it out. */
  paused(at: number): number {
    return this.#pauses.reduce((sum, { from, to }) => sum + Math.max(0, Math.min(at, to) - from), 0);
  }

  /** Milliseconds that a job or step has been carried out, until its end or `until`. Undefined where it hasn't begun, or goes on. */
  durationOf(
    { startedAt, endedAt }: { readonly startedAt?: number; readonly endedAt?: number },
    until?: number,
  ): number | undefined {
    const end = endedAt ?? until;
    if (startedAt === undefined || end === undefined) return undefined;
    return Math.max(0, this.elapsed(end) - this.elapsed(startedAt));
  }

  step(number: number): StepState {
    const step = this.steps[number];
    if (step === undefined) throw new Error(`the run has no step ${number}`);
    return step;
  }

  job(number: number): JobState {
    const job = this.jobs[number];
    if (job === undefined) throw new Error(`the run has no job ${number}`);
    return job;
  }

  /** Steps that do something: not the templates of fan-outs. */
  get work(): readonly StepState[] {
    return this.steps.filter((step) => step.definition.forEach === undefined || step.template !== undefined);
  }

  #add(step: Omit<StepState, "number" | "status" | "attempt">): number {
    const number = this.steps.length;
    this.steps.push({ number, ...step, status: "pending", attempt: 0 }); // not the spread first: V8 is slow at whatever is added to such an object
    if (step.definition.forEach === undefined || step.template !== undefined) this.counts.pending++;
    return number;
  }

  #set(step: StepState, status: StepStatus): void {
    if (step.definition.forEach === undefined || step.template !== undefined) {
      this.counts[step.status]--;
      this.counts[status]++;
    }
    step.status = status;
  }

  #applyJob({ j, s, at, why }: Extract<JournalEntry, { e: "job" }>): void {
    const job = this.job(j);
    job.status = s;
    if (s === "running") job.startedAt = at;
    else job.endedAt = at;
    if (why !== undefined) job.why = why;
  }

  #expand({ n, first, names, items, at }: Extract<JournalEntry, { e: "expand" }>): void {
    const template = this.step(n);
    const job = this.job(template.job);
    if (names.length > 0 && first !== this.steps.length && this.steps[first]?.template !== n)
      throw new Error(`the expansions of step ${n} can't have the numbers from ${first} on`);
    template.startedAt = at;
    template.status = "running";
    template.expansions = names.map((name, index) => {
      if (this.steps[first + index] !== undefined) return first + index; // expanded again after a crash
      const number = this.#add({ job: template.job, definition: template.definition, template: n, name });
      job.steps.push(number);
      return number;
    });
    for (const [index, number] of template.expansions.entries())
      if (items === undefined) this.step(number).isItemTainted = true;
      else this.step(number).item = items[index];
  }

  #applyStep(entry: Extract<JournalEntry, { e: "wait" | "start" | "retry" | "end" }>): void {
    const step = this.step(entry.n);
    switch (entry.e) {
      case "wait":
        step.waitsFor = { model: entry.model, ...(entry.by === undefined ? {} : { by: entry.by }) };
        step.waitingSince ??= entry.at;
        return this.#set(step, "waiting");
      case "start":
        step.attempt = entry.a;
        step.startedAt ??= entry.at;
        step.attemptAt = entry.at;
        delete step.waitsFor;
        delete step.failedAt;
        if (entry.model !== undefined) step.model = entry.model;
        if (entry.out !== undefined) step.output = entry.out;
        if (entry.child !== undefined) step.child = entry.child;
        return this.#set(step, "running");
      case "retry":
        step.error = entry.error;
        step.failedAt = entry.at;
        return this.#set(step, "pending");
      case "end":
        step.endedAt = entry.at;
        delete step.waitsFor;
        delete step.failedAt;
        delete step.error;
        if (entry.error !== undefined) step.error = entry.error;
        if (entry.why !== undefined) step.why = entry.why;
        if (entry.allowed !== undefined) step.allowed = entry.allowed;
        if (entry.data !== undefined) step.data = entry.data;
        return this.#set(step, entry.s);
    }
  }

  #again({ steps, jobs }: Extract<JournalEntry, { e: "again" }>): void {
    for (const number of steps) {
      const step = this.step(number);
      this.#set(step, "pending");
      step.attempt = 0;
      for (const key of [
        "startedAt",
        "attemptAt",
        "failedAt",
        "endedAt",
        "waitingSince",
        "output",
        "error",
        "why",
        "allowed",
        "data",
        "waitsFor",
      ] as const)
        delete step[key];
    }
    for (const number of jobs) {
      const job = this.job(number);
      job.status = "pending";
      delete job.endedAt;
      delete job.why;
    }
  }
}
