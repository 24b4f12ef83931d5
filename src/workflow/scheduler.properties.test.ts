/** Random graphs through the real scheduler, held against the laws of the conditions, written anew. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Slots } from "./slots.ts";
import { dice, endsByLaw, endsOf, graphs, sorted } from "../../test/support/random-graphs.ts";
import type { WorkflowDefinition } from "./definition.ts";
import type { EndStatus, JournalEntry } from "./entries.ts";
import { RunState } from "./run-state.ts";
import { Scheduler } from "./scheduler.ts";
import { tries } from "../../test/support/quick.ts";

const runs = tries(10_000, 60);

// ------------------------------------------------------------------ graphs

const graph = graphs({
  ...{ name: "w", jobs: 4, steps: 5 },
  filling: (_, step) =>
    fc.nat(3).map((n) => ({
      task: { type: "model_method", modelIdOrName: `m${step % 3}`, methodName: "x", inputs: {} },
      ...(n === 0 ? { forEach: { item: "i", in: "${{ inputs.list }}" } } : {}),
    })),
});

interface World {
  readonly definition: WorkflowDefinition;
  readonly seed: number;
  readonly slots: number;
}

const world: fc.Arbitrary<World> = fc.record({
  definition: graph,
  seed: fc.nat(),
  slots: fc.integer({ min: 1, max: 4 }),
});

/** Whether a step fails, and how many expansions a fan-out has. */
const fails = (seed: number, name: string): boolean => dice(seed, "fails", name) < 300;
const sizeOf = (seed: number, name: string): number => dice(seed, "size", name) % 4;

// ------------------------------------------------------------------ a run

interface Outcome {
  readonly state: RunState;
  readonly entries: readonly JournalEntry[];
  /** Steps in the order in which they came to work. */
  readonly started: readonly number[];
  readonly most: number;
}

/** Carries out what the scheduler decides; of the steps at work, chance says which ends next. */
async function run({ definition, seed, slots: limit }: World, order: number): Promise<Outcome> {
  const first = {
    e: "run",
    at: 0,
    run: "r",
    definition,
    hash: "",
    inputs: {},
    tags: {},
    by: { holder: "", pid: 0, command: "" },
  } as const;
  const entries: JournalEntry[] = [first];
  const state = new RunState(first);
  const scheduler = new Scheduler(state);
  const slots = new Slots<number>(limit, (a, b) => scheduler.compare(a, b));
  const started: number[] = [];
  const atWork: { readonly number: number; end(): void }[] = [];
  let [most, isOver, at] = [0, false, 0];
  const write = (entry: JournalEntry): void => {
    if (isOver) throw new Error("something was decided after the end");
    entries.push(entry);
    state.apply(entry);
    scheduler.note(entry);
  };
  const begin = async (number: number): Promise<void> => {
    const slot = await slots.take(number, new AbortController().signal);
    started.push(number);
    write({ e: "start", at: ++at, n: number, a: 1 });
    const { definition: step, name } = state.step(number);
    const isFailed = fails(seed, `${state.step(number).job}/${name}`);
    atWork.push({
      number,
      end: () => {
        write({
          e: "end",
          at: ++at,
          n: number,
          s: isFailed ? "failed" : "succeeded",
          ...(isFailed && step.allowFailure ? { allowed: true as const } : {}),
        });
        slot.release();
      },
    });
    most = Math.max(most, atWork.length);
  };
  for (let turn = 0; !isOver; turn++) {
    for (let all = scheduler.decide(); all.length > 0; all = scheduler.decide())
      for (const decision of all)
        switch (decision.do) {
          case "start-job":
            write({ e: "job", at: ++at, j: decision.job, s: "running" });
            break;
          case "skip-job":
            write({ e: "job", at: ++at, j: decision.job, s: "skipped", why: decision.why });
            break;
          case "end-job":
            write({ e: "job", at: ++at, j: decision.job, s: decision.status });
            break;
          case "skip":
            write({ e: "end", at: ++at, n: decision.step, s: "skipped", why: decision.why });
            break;
          case "end-group":
            write({
              e: "end",
              at: ++at,
              n: decision.step,
              s: decision.status,
              ...(decision.status === "failed" && decision.allowed ? { allowed: true as const } : {}),
            });
            break;
          case "expand": {
            const { job, name } = state.step(decision.step);
            const names = Array.from({ length: sizeOf(seed, `${job}/${name}`) }, (_, n) => `${name}-${n}`);
            write({ e: "expand", at: ++at, n: decision.step, first: state.steps.length, names });
            break;
          }
          case "start":
            void begin(decision.step);
            break;
          case "end-run":
            write({ e: "done", at: ++at, s: decision.status });
            isOver = true;
        }
    await Promise.resolve();
    await Promise.resolve();
    if (isOver) break;
    const next = atWork.splice(dice(order, turn) % Math.max(1, atWork.length), 1)[0];
    if (next === undefined)
      throw new Error(`nothing is at work, and the run hasn't ended: ${JSON.stringify(state.counts)}`);
    next.end();
    await Promise.resolve();
    await Promise.resolve();
  }
  return { state, entries, started, most };
}

// ------------------------------------------------------------------ the laws

/** How everything must end. */
function oracle({ definition, seed }: World): Map<string, EndStatus> {
  return endsByLaw(definition, (job, { name, forEach }) => {
    const names =
      forEach === undefined ? [name] : Array.from({ length: sizeOf(seed, `${job}/${name}`) }, (_, n) => `${name}-${n}`);
    return names.map((one) => ({ name: one, isFailed: fails(seed, `${job}/${one}`) }));
  });
}

test(`${runs} random graphs: every job and step ends as its conditions say, nothing is left, no limit is passed`, async () => {
  await fc.assert(
    fc.asyncProperty(world, fc.nat(), async (one, order) => {
      const { state, entries, started, most } = await run(one, order);
      expect(sorted(endsOf(state))).toEqual(sorted(oracle(one)));
      expect(most).toBeLessThanOrEqual(one.slots);
      expect(new Set(started).size).toBe(started.length);
      expect(state.status).toBe(state.jobs.some((job) => job.status === "failed") ? "failed" : "succeeded");
      expect(state.counts.pending + state.counts.waiting + state.counts.running).toBe(0);
      expect(state.steps.filter((step) => step.status === "skipped" && step.why === undefined)).toEqual([]);
      // Nothing began before all that it waits for had ended.
      const ended = new Map(entries.flatMap((entry) => (entry.e === "end" ? [[entry.n, entry.at] as const] : [])));
      for (const entry of entries) {
        if (entry.e !== "start") continue;
        const step = state.step(entry.n);
        for (const { step: name } of step.definition.dependsOn) {
          const before = state.steps.find(
            (other) => other.job === step.job && other.name === name && other.template === undefined,
          );
          expect(ended.get(before?.number ?? -1)).toBeLessThan(entry.at);
        }
      }
    }),
    { numRuns: runs },
  );
}, 120_000);

test("equal lines give equal decisions, and a run that is cut anywhere ends as it would have", async () => {
  await fc.assert(
    fc.asyncProperty(world, fc.nat(), fc.nat(), async (one, order, at) => {
      const whole = await run(one, order);
      expect((await run(one, order)).entries).toEqual(whole.entries);
      // Folded up to a line, what was at work set back: the rest is decided to the same ends.
      const cut = 1 + (at % whole.entries.length);
      const [first] = whole.entries;
      if (first?.e !== "run") throw new Error("no run");
      const state = new RunState(first);
      for (const entry of whole.entries.slice(1, cut)) state.apply(entry);
      if (state.status !== "running") return;
      for (const step of state.steps)
        if (step.status === "running" && step.expansions === undefined)
          state.apply({ e: "retry", at: 0, n: step.number, a: 1, error: "" });
      const scheduler = new Scheduler(state);
      finish(state, scheduler, one.seed);
      expect(sorted(endsOf(state))).toEqual(sorted(endsOf(whole.state)));
    }),
    { numRuns: tries(2000) },
  );
}, 120_000);

/** Carries out decisions at once, each step ending as soon as it begins. */
function finish(state: RunState, scheduler: Scheduler, seed: number): void {
  const write = (entry: JournalEntry): void => {
    state.apply(entry);
    scheduler.note(entry);
  };
  for (let all = scheduler.decide(); all.length > 0; all = scheduler.decide())
    for (const one of all) {
      if (one.do === "end-run") return write({ e: "done", at: 1, s: one.status });
      if (one.do === "start-job") write({ e: "job", at: 1, j: one.job, s: "running" });
      else if (one.do === "skip-job") write({ e: "job", at: 1, j: one.job, s: "skipped", why: one.why });
      else if (one.do === "end-job") write({ e: "job", at: 1, j: one.job, s: one.status });
      else if (one.do === "skip") write({ e: "end", at: 1, n: one.step, s: "skipped", why: one.why });
      else if (one.do === "end-group")
        write({
          e: "end",
          at: 1,
          n: one.step,
          s: one.status,
          ...(one.allowed && one.status === "failed" ? { allowed: true as const } : {}),
        });
      else {
        const { job, name, definition } = state.step(one.step);
        if (one.do === "expand") {
          const names = Array.from({ length: sizeOf(seed, `${job}/${name}`) }, (_, n) => `${name}-${n}`);
          write({ e: "expand", at: 1, n: one.step, first: state.steps.length, names });
          continue;
        }
        const isFailed = fails(seed, `${job}/${name}`);
        write({ e: "start", at: 1, n: one.step, a: 1 });
        write({
          e: "end",
          at: 1,
          n: one.step,
          s: isFailed ? "failed" : "succeeded",
          ...(isFailed && definition.allowFailure ? { allowed: true as const } : {}),
        });
      }
    }
  throw new Error("the run didn't end");
}
