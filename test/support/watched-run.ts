/** One run through the real engine in a random world, watched: what it holds while nothing moves, what works beside what, when it begins and lets go. */
import { type Call, fails, givenFirst, type Law, lawOf, models, wanted, type World } from "./engine-world.ts";
import { HandClock } from "./hand-clock.ts";
import { type MemoryWorkspace, memoryWorkspace } from "./memory-workspace.ts";
import { endsOf, sorted } from "./random-graphs.ts";
import { Cel } from "../../src/expression/cel.ts";
import { FenError } from "../../src/kernel/errors.ts";
import { systemMachine } from "../../src/kernel/machine.ts";
import type { MethodContext, MethodResult, MethodSpec, ModelType } from "../../src/model/type.ts";
import type { LockMode } from "../../src/store/contract.ts";
import type { JournalEntry } from "../../src/workflow/entries.ts";
import { planRun } from "../../src/workflow/plan.ts";
import { RunState } from "../../src/workflow/run-state.ts";
import { isEnded } from "../../src/workflow/scheduler.ts";
import type { AppContext, AppEvent } from "../../src/app/context.ts";
import { OpenRun } from "../../src/app/open-run.ts";
import { authorOf, planSources } from "../../src/app/workflow-planning.ts";
import { CancelWatch, carryOut, takeLocks } from "../../src/app/workflow-run.ts";
import { makeSurroundings } from "../../src/app/workflow-run-surroundings.ts";

const typeName = "test/nothing";
const system = systemMachine("test");
const cel = await Cel.load();
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

interface Work extends Call {
  end(result: MethodResult): void;
}

/** One run in a world, and what is wrong with it. */
export class Watched {
  readonly world: World;
  /** Of all runs that have begun, the first one also as "first". */
  readonly states = new Map<string, RunState>();
  readonly calls: Call[] = [];
  readonly wrong: string[] = [];
  readonly workspace: MemoryWorkspace;
  readonly #law: Law;
  readonly #clock = new HandClock();
  readonly #stop = new AbortController();
  readonly #context: AppContext;
  #atWork: Work[] = [];
  /** Steps, by their paths, whose methods won't be called again. */
  readonly #done = new Set<string>();
  /** Read locks that were given back to be taken again for writing. */
  readonly #stronger = new Set<string>();
  readonly #keys = new Map<string, string>();

  constructor(world: World) {
    this.world = world;
    this.#law = lawOf(world);
    let ids = 0;
    this.#context = {
      machine: {
        ...{ ...system, clock: this.#clock, host: { ...system.host, env: {} } },
        random: { ...system.random, uuid: () => `c0000000-0000-4000-a000-${String(++ids).padStart(12, "0")}` },
      },
      signal: this.#stop.signal,
      lockTimeoutMs: undefined,
      emit: (event) => this.#hear(event),
    };
    this.workspace = memoryWorkspace(this.#context, { type: this.#type(), models, workflows: world.workflows });
    this.workspace.lockTable.onRelease = (key, mode) => this.#released(this.#keys.get(key) ?? key, mode);
  }

  /** Carries it out: of the calls at work, chance says which ends next. With `stopAt` Ctrl-C comes after so many. */
  async run(order: number, stopAt = Infinity): Promise<void> {
    const { running } = await this.#begin();
    let outcome: { readonly error?: unknown } | undefined;
    running.then(
      () => (outcome = {}),
      (error: unknown) => (outcome = { error }),
    );
    for (let turn = 0; ; turn++) {
      this.#clock.turn(1);
      await settle();
      if (outcome !== undefined) break;
      if (turn === stopAt) this.#stop.abort(new FenError("interrupted", "Interrupted."));
      this.#look();
      const [next] = this.#atWork.splice((order + turn * 7919) % Math.max(1, this.#atWork.length), 1);
      next?.end(this.#resultOf(next));
      if (next === undefined && turn > 200) throw new Error("nothing is at work, and the run hasn't ended");
    }
    if (outcome.error !== undefined && !this.#stop.signal.aborted) throw outcome.error;
    if (this.held().length > 0) this.wrong.push(`held after the end: ${this.held().join(" ")}`);
    const left = [...this.workspace.files.files.keys()].filter((path) => path.startsWith(".fen/"));
    if (left.length > 0) this.wrong.push(`left after the end: ${left.join(" ")}`);
  }

  /** Names of the models whose locks are held. */
  held(): string[] {
    return [...this.workspace.lockTable.held.keys()].map((key) => this.#keys.get(key) ?? key).sort();
  }

  async #begin(): Promise<{ readonly running: Promise<unknown> }> {
    const { workspace, world } = this;
    for (const { name, type, id } of (await workspace.definitions.list()).definitions)
      this.#keys.set(`${type}/${id}`, name);
    const [{ name, lock }] = world.workflows;
    const { workflows } = workspace;
    const surroundings = await makeSurroundings(this.#context, workspace, {
      ...{ workflows, tags: {}, together: lock === "run", cel },
    });
    const inputs = { at: "", pick: givenFirst.pick.value, list: givenFirst.list.value };
    const plan = await planRun(planSources(surroundings), await workflows.find(name), { inputs });
    const { machine, emit } = this.#context;
    const { workflow: definition } = plan.workflow;
    const first = { definition, hash: "", inputs, tags: {}, by: authorOf(machine) };
    const open = await OpenRun.begin(workspace, { e: "run", at: 0, run: machine.random.uuid(), ...first }, emit);
    const cancel = new CancelWatch(surroundings, open);
    await takeLocks(surroundings, plan, cancel);
    const taken = new Map([...workspace.lockTable.held].map(([key, mode]) => [this.#keys.get(key) ?? key, mode]));
    const expected = wanted(world, this.states);
    if (JSON.stringify(sorted(taken)) !== JSON.stringify(sorted(expected)))
      this.wrong.push(`taken before the first step: ${told(taken)}, not ${told(expected)}`);
    const running = carryOut(surroundings, open, { plan, cancel, waitedMs: 0, concurrency: world.slots }).finally(
      () => {
        cancel[Symbol.dispose]();
        return surroundings.locks.release();
      },
    );
    return { running };
  }

  #type(): ModelType {
    const method = (kind: MethodSpec["kind"], mode: LockMode): MethodSpec => ({
      ...{ description: "Nothing", kind, arguments: { type: "object" } },
      execute: (args, { model }: MethodContext) => this.#work({ at: String(args["at"]), model: model.name, mode }),
    });
    return {
      ...{ name: typeName, version: "2026.01.01.1", description: "Nothing", resources: {}, files: {} },
      methods: { change: method("action", "exclusive"), look: method("read", "shared") },
    };
  }

  /** A method is at work until chance ends it. */
  #work(call: Call): Promise<MethodResult> {
    const { at, model, mode } = call;
    const others = this.#atWork.filter((one) => one.model === model);
    if (others.some((one) => one.mode === "exclusive" || mode === "exclusive"))
      this.wrong.push(`${at} works on ${model} beside ${others.map((one) => one.at).join(" ")}`);
    if (this.#stop.signal.aborted) this.wrong.push(`${at} began after the interrupt`);
    this.calls.push(call);
    return new Promise((end) => {
      this.#atWork.push({ ...call, end });
      this.#expectHeld(call);
      if (this.#atWork.length > this.world.slots) this.wrong.push(`${this.#atWork.length} at work`);
    });
  }

  #resultOf({ at }: Call): MethodResult {
    const attempt = this.calls.filter((one) => one.at === at).length;
    if (attempt === this.#law.calls.filter((one) => one.at === at).length) this.#done.add(at);
    return fails(this.world, at, attempt) ? { status: "failed", message: "no" } : { status: "succeeded" };
  }

  #expectHeld({ at, model, mode }: Call): void {
    const [key] = [...this.#keys].find(([, name]) => name === model) ?? [];
    const held = this.workspace.lockTable.held.get(key ?? "");
    if (held !== "exclusive" && held !== mode) this.wrong.push(`${at} works on ${model}, which is held ${held}`);
  }

  /** Nothing moves: what is held is what calls that are known will have, and what is at work. */
  #look(): void {
    for (const work of this.#atWork) this.#expectHeld(work);
    if (this.#stop.signal.aborted) return;
    const expected = [
      ...new Set([...wanted(this.world, this.states).keys(), ...this.#atWork.map((one) => one.model)]),
    ].sort();
    if (this.held().join() !== expected.join())
      this.wrong.push(`held: ${this.held().join(" ")}; wanted or at work: ${expected.join(" ")}`);
    this.#stronger.clear();
  }

  #released(model: string, mode: LockMode): void {
    const isDone = (at: string) => this.#done.has(at);
    if (this.#stop.signal.aborted || !wanted(this.world, this.states, isDone).has(model)) return;
    // Only to be taken for writing, by one whose name wasn't known before.
    if (mode === "exclusive" || this.#stronger.has(model)) this.wrong.push(`${model} was let go too early`);
    this.#stronger.add(model);
  }

  #hear(event: AppEvent): void {
    if (event.event !== "workflow.entry") return;
    const { run, entry } = event;
    if (entry.e === "run") {
      const state = new RunState(entry);
      this.states.set(run, state);
      if (entry.parent === undefined) this.states.set("first", state);
      return;
    }
    const state = this.states.get(run);
    if (state === undefined) throw new Error("a run that hasn't begun");
    if (entry.e === "start") this.#expectTurn(state, entry);
    state.apply(entry);
  }

  /** Nothing begins before all that it waits for has ended. */
  #expectTurn(state: RunState, { n }: Extract<JournalEntry, { e: "start" }>): void {
    const { job, definition, name } = state.step(n);
    const own = state.job(job).steps.map((number) => state.step(number));
    const before = [
      ...definition.dependsOn.map((one) => own.find((other) => other.name === one.step)?.status),
      ...(state.definition.jobs[job]?.dependsOn ?? []).map(
        (one) => state.jobs.find((other) => other.name === one.job)?.status,
      ),
    ];
    if (!before.every(isEnded)) this.wrong.push(`${name} began before what it waits for had ended`);
  }
}

const told = (locks: ReadonlyMap<string, LockMode>) => sorted(locks).flat().join(" ") || "nothing";

/** How all runs have ended, by the path of the step that called them. */
export function endsOfAll({ states }: Watched): Law["ends"] {
  const pathOf = ({ parent }: RunState): string => {
    const caller = states.get(parent?.run ?? "");
    if (caller === undefined || parent === undefined) return "";
    const { job, name } = caller.step(parent.step);
    return `${pathOf(caller)}/${caller.job(job).name}/${name}`;
  };
  return new Map([...states.values()].map((state) => [pathOf(state), endsOf(state)]));
}
