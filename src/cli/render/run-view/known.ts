/** What a view knows of a run and of the runs that it calls: the fold of their events, kept so that a picture costs what it shows, not what the run has. */
import type { AppEvent } from "../../../app/context.ts";
import type { WaitNotice } from "../../../lock/manager.ts";
import type { JournalEntry } from "../../../workflow/entries.ts";
import { RunState, type StepState, type StepStatus } from "../../../workflow/run-state.ts";

/** A step, with where it is and what it said last. */
export interface ShownStep {
  /** `job/step`, behind those of the steps that lead to its run. */
  readonly label: string;
  readonly state: StepState;
  readonly run: RunState;
  readonly lines: string[];
}

/** Lines of a step's output that are kept. */
const keptLines = 3;
/** Failed steps whose lines are kept. */
const keptFailures = 50;

export class KnownRun {
  /** The outermost run; undefined until it has begun. */
  #root: RunState | undefined;
  #since: number | undefined;
  readonly #runs = new Map<string, RunState>();
  /** Labels of the steps that called the other runs. */
  readonly #prefixes = new Map<string, string>();
  /** Steps at work and waiting, in the order in which they began to. */
  readonly #working = new Map<string, ShownStep>();
  readonly #waiting = new Map<string, ShownStep>();
  /** Between two attempts. */
  readonly #pausing = new Map<string, ShownStep>();
  readonly #failed = new Map<string, ShownStep>();
  /** Before the first step: the lock that the run waits for. */
  #notice: WaitNotice | undefined;

  get root(): RunState | undefined {
    return this.#root;
  }

  /** When it began, or was taken up again. */
  get since(): number | undefined {
    return this.#since;
  }

  get notice(): WaitNotice | undefined {
    return this.#notice;
  }

  get working(): Iterable<ShownStep> & { readonly size: number } {
    return sized(this.#working);
  }

  get waiting(): Iterable<ShownStep> & { readonly size: number } {
    return sized(this.#waiting);
  }

  get pausing(): Iterable<ShownStep> & { readonly size: number } {
    return sized(this.#pausing);
  }

  /** Oldest first; of very many only the newest. */
  get failed(): readonly ShownStep[] {
    return [...this.#failed.values()];
  }

  /** Steps of all runs by status. Those that call a run are counted by the steps of that run. */
  get counts(): Readonly<Record<StepStatus, number>> {
    const counts = { pending: 0, waiting: 0, running: 0, succeeded: 0, failed: 0, skipped: 0, cancelled: 0 };
    for (const run of this.#runs.values()) {
      for (const status of statuses) counts[status] += run.counts[status];
      const { parent } = run;
      const caller = parent === undefined ? undefined : this.#runs.get(parent.run)?.steps[parent.step];
      if (caller !== undefined) counts[caller.status]--;
    }
    return counts;
  }

  step(run: string, number: number): ShownStep | undefined {
    const state = this.#runs.get(run);
    const step = state?.steps[number];
    if (state === undefined || step === undefined) return undefined;
    const label = `${this.#prefixes.get(run) ?? ""}${state.jobs[step.job]?.name ?? ""}/${step.name}`;
    return { label, state: step, run: state, lines: [] };
  }

  note(event: AppEvent): void {
    switch (event.event) {
      case "workflow.entry":
        return this.#note(event.run, event.entry);
      case "workflow.output":
        return this.#say(`${event.run}/${event.step}`, event.line);
      case "lock.waiting":
        this.#notice = event.notice;
        return;
      case "lock.granted":
        this.#notice = undefined;
        return;
      default:
        return;
    }
  }

  #note(run: string, entry: JournalEntry): void {
    const state = this.#runs.get(run);
    if (state === undefined) {
      if (entry.e === "run") this.#begin(entry);
      return;
    }
    state.apply(entry);
    if (entry.e === "resume" && state === this.#root) this.#since = entry.at;
    if (entry.e === "again") for (const number of entry.steps) this.#sort(run, number);
    else if (entry.e === "resume") for (const { number } of state.steps) this.#sort(run, number);
    else if ("n" in entry) this.#sort(run, entry.n);
  }

  #begin(entry: Extract<JournalEntry, { e: "run" }>): void {
    const state = new RunState(entry);
    this.#root ??= state;
    this.#since ??= entry.at;
    this.#runs.set(entry.run, state);
    this.#notice = undefined;
    const { parent } = entry;
    const caller = parent === undefined ? undefined : this.step(parent.run, parent.step);
    if (parent === undefined || caller === undefined) return;
    this.#prefixes.set(entry.run, `${caller.label} › `);
    this.#working.delete(`${parent.run}/${parent.step}`); // its steps are shown instead
  }

  /** Puts a step where it belongs by now. */
  #sort(run: string, number: number): void {
    const key = `${run}/${number}`;
    const shown = this.step(run, number);
    if (shown === undefined) return;
    const { status, definition, template, failedAt } = shown.state;
    const isWork = definition.forEach === undefined || template !== undefined;
    const said = this.#working.get(key)?.lines ?? [];
    place(this.#working, key, shown, status === "running" && isWork);
    place(this.#waiting, key, shown, status === "waiting");
    place(this.#pausing, key, shown, status === "pending" && failedAt !== undefined);
    place(this.#failed, key, { ...shown, lines: said }, status === "failed" && isWork);
    for (const old of this.#failed.keys()) {
      if (this.#failed.size <= keptFailures) break;
      this.#failed.delete(old);
    }
  }

  #say(key: string, line: string): void {
    const lines = (this.#working.get(key) ?? this.#failed.get(key))?.lines;
    lines?.push(line);
    if (lines !== undefined && lines.length > keptLines) lines.shift();
  }
}

const statuses = ["pending", "waiting", "running", "succeeded", "failed", "skipped", "cancelled"] as const;

function place(steps: Map<string, ShownStep>, key: string, shown: ShownStep, belongs: boolean): void {
  if (!belongs) steps.delete(key);
  else if (!steps.has(key)) steps.set(key, shown);
}

function sized(steps: ReadonlyMap<string, ShownStep>): Iterable<ShownStep> & { readonly size: number } {
  return { size: steps.size, [Symbol.iterator]: () => steps.values() };
}
