/** Journals of runs that never were: by seed, of any size, with fan-outs, waits for locks, retries, failures, skipped and interrupted steps. Made by the real scheduler. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { JobDefinition, StepDefinition, WorkflowDefinition } from "../../src/workflow/definition.ts";
import type { JournalEntry } from "../../src/workflow/entries.ts";
import { RunState } from "../../src/workflow/run-state.ts";
import { type Decision, Scheduler } from "../../src/workflow/scheduler.ts";
import { Chance } from "./chance.ts";

export interface JournalOptions {
  readonly seed: number;
  /** About how many steps. */
  readonly steps: number;
  /** Steps at work at once. */
  readonly slots?: number;
  /** Of a step to fail; default 0.03. */
  readonly failing?: number;
  /** Milliseconds since the epoch. */
  readonly startedAt?: number;
  /** Part of the steps after which the process dies; undefined: never. */
  readonly diesAt?: number;
  /** Then another takes it up again. */
  readonly resumed?: boolean;
  readonly name?: string;
  readonly tags?: Readonly<Record<string, string>>;
}

export const author = { holder: "ann@desk", pid: 4711, command: "fen workflow run patch-fleet" };

export function journalOf(options: JournalOptions): JournalEntry[] {
  return new Simulation(options).run();
}

export function textOf(entries: readonly JournalEntry[]): string {
  return entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
}

export function stateOf([first, ...others]: readonly JournalEntry[]): RunState {
  if (first?.e !== "run") throw new Error("a journal begins with its run");
  const state = new RunState(first);
  for (const entry of others) state.apply(entry);
  return state;
}

/** Puts a journal into the datastore of a scratch repository, as if a run had left it. Gives its path. */
export function leaveJournal(root: string, entries: readonly JournalEntry[], more = ""): string {
  const [first] = entries;
  if (first?.e !== "run") throw new Error("a journal begins with its run");
  const path = join(root, ".swamp/workflow-runs", first.definition.id, `workflow-run-${first.run}.journal`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, textOf(entries) + more);
  return path;
}

function uuid(chance: Chance): string {
  const hex = (length: number) => Array.from({ length }, () => chance.below(16).toString(16)).join("");
  return `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`;
}

function definitionOf(chance: Chance, { steps, name = "patch-fleet", tags = {} }: JournalOptions): WorkflowDefinition {
  const jobs: JobDefinition[] = [];
  for (let left = steps, number = 1; left > 0; number++) {
    const size = Math.min(left, Math.max(1, Math.ceil(steps / 5)));
    left -= size;
    const isFanOut = size > 3 && number % 2 === 0;
    const one = (step: string, more: Partial<StepDefinition> = {}): StepDefinition => ({
      name: step,
      task: { type: "model_method", modelIdOrName: `web-${chance.below(500)}`, methodName: "execute", inputs: {} },
      dependsOn: [],
      weight: 0,
      allowFailure: chance.is(0.1),
      dataOutputOverrides: [],
      ...(chance.is(0.2) ? { retry: { attempts: 3, backoffMs: 200, on: ["failure", "timeout"] as const } } : {}),
      ...more,
    });
    const named = Array.from({ length: isFanOut ? 1 : size }, (_, at) =>
      one(`step-${number}-${at}`, {
        dependsOn:
          at > 0 && chance.is(0.2) ? [{ step: `step-${number}-${at - 1}`, condition: { type: "succeeded" } }] : [],
      }),
    );
    const fan = one(`fan-${number}-\${{ self.h }}`, { forEach: { item: "h", in: "${{ inputs.hosts }}" } });
    jobs.push({
      name: `job-${number}`,
      steps: isFanOut ? [...named, fan] : named,
      dependsOn: number > 1 ? [{ job: `job-${number - 1}`, condition: { type: "completed" } }] : [],
      weight: 0,
    });
  }
  return { id: uuid(chance), name, version: 1, tags, jobs, lock: "run" };
}

/** Carries out what the scheduler decides, on a clock that is turned from event to event. */
class Simulation {
  readonly #options: JournalOptions;
  readonly #chance: Chance;
  readonly #entries: JournalEntry[] = [];
  readonly #state: RunState;
  readonly #scheduler: Scheduler;
  readonly #later: { at: number; task: () => void }[] = [];
  readonly #ready: number[] = [];
  #free: number;
  #now: number;
  #ended = 0;

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#chance = new Chance(options.seed);
    this.#now = options.startedAt ?? Date.UTC(2026, 5, 1, 12);
    this.#free = options.slots ?? 8;
    const definition = definitionOf(this.#chance, options);
    const first: JournalEntry = {
      e: "run",
      at: this.#now,
      run: uuid(this.#chance),
      definition,
      hash: "0".repeat(64),
      inputs: {},
      tags: definition.tags,
      by: author,
    };
    this.#entries.push(first);
    this.#state = new RunState(first);
    this.#scheduler = new Scheduler(this.#state);
  }

  run(): JournalEntry[] {
    this.#write({ e: "locks", at: this.#now, models: 100, waitedMs: this.#chance.below(4000) });
    const { diesAt, steps, resumed = false } = this.#options;
    const deadline = diesAt === undefined ? Infinity : diesAt * steps;
    this.#decide();
    while (this.#later.length > 0) {
      if (this.#ended >= deadline) {
        if (resumed) this.#resume();
        return this.#entries;
      }
      const next = this.#later.shift();
      if (next === undefined) break;
      this.#now = next.at;
      next.task();
      this.#decide();
    }
    return this.#entries;
  }

  /** What was at work is cancelled, the rest is skipped: enough to look at. */
  #resume(): void {
    this.#now += 60_000;
    this.#write({ e: "resume", at: this.#now, by: { ...author, pid: 4712 } });
    for (const step of this.#state.steps.filter(({ status }) => status === "running" || status === "waiting"))
      this.#write({ e: "end", at: ++this.#now, n: step.number, s: "cancelled", error: "not taken up again" });
    this.#write({ e: "done", at: this.#now, s: "cancelled" });
  }

  #write(entry: JournalEntry): void {
    this.#entries.push(entry);
    this.#state.apply(entry);
    this.#scheduler.note(entry);
  }

  #after(ms: number, task: () => void): void {
    const at = this.#now + Math.max(1, Math.round(ms));
    let low = 0;
    let high = this.#later.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#later[middle]?.at ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    this.#later.splice(low, 0, { at, task });
  }

  #decide(): void {
    for (let all = this.#scheduler.decide(); all.length > 0; all = this.#scheduler.decide())
      for (const decision of all) this.#carryOut(decision);
    while (this.#free > 0 && this.#ready.length > 0) {
      this.#free--;
      this.#begin(this.#ready.shift() ?? 0);
    }
  }

  #carryOut(decision: Decision): void {
    const at = this.#now;
    switch (decision.do) {
      case "start-job":
        return this.#write({ e: "job", at, j: decision.job, s: "running" });
      case "skip-job":
        return this.#write({ e: "job", at, j: decision.job, s: "skipped", why: decision.why });
      case "end-job":
        return this.#write({ e: "job", at, j: decision.job, s: decision.status });
      case "skip":
        this.#ended++;
        return this.#write({ e: "end", at, n: decision.step, s: "skipped", why: decision.why });
      case "end-group":
        return this.#write({ e: "end", at, n: decision.step, s: decision.status });
      case "expand": {
        const count = Math.max(1, Math.ceil(this.#options.steps / 5) - 1);
        const job = this.#state.step(decision.step).job + 1;
        const names = Array.from({ length: count }, (_, index) => `fan-${job}-host-${index}`);
        return this.#write({ e: "expand", at, n: decision.step, first: this.#state.steps.length, names, items: names });
      }
      case "start":
        this.#ready.push(decision.step);
        return;
      case "end-run":
        return this.#write({ e: "done", at, s: decision.status });
    }
  }

  #begin(n: number): void {
    const model = `web-${this.#chance.below(500)}`;
    if (!this.#chance.is(0.1)) return this.#start(n, model);
    this.#write({ e: "wait", at: this.#now, n, model, by: "bob@ci (pid 99)" });
    this.#after(this.#chance.between(50, 3000), () => this.#start(n, model));
  }

  #start(n: number, model: string): void {
    const a = this.#state.step(n).attempt + 1;
    this.#write({ e: "start", at: this.#now, n, a, model, out: uuid(this.#chance) });
    this.#after(this.#chance.between(20, 1500), () => this.#end(n, { attempt: a, model }));
  }

  #end(n: number, { attempt, model }: { readonly attempt: number; readonly model: string }): void {
    const { retry, allowFailure } = this.#state.step(n).definition;
    const at = this.#now;
    const fails = this.#chance.is(this.#options.failing ?? 0.03);
    if (fails && retry !== undefined && attempt < retry.attempts) {
      this.#write({ e: "retry", at, n, a: attempt, error: "Command exited with code 3" });
      this.#after(retry.backoffMs * 2 ** (attempt - 1), () => this.#start(n, model));
      return;
    }
    this.#ended++;
    this.#free++;
    if (fails) {
      const error = "Command exited with code 3: no route to host";
      this.#write({ e: "end", at, n, s: "failed", ...(allowFailure ? { allowed: true as const } : {}), error });
    } else {
      const data = ["result", "log"].map((name) => [uuid(this.#chance), name, 1 + this.#chance.below(9)] as const);
      this.#write({ e: "end", at, n, s: "succeeded", data });
    }
  }
}
