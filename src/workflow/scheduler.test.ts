import { describe, expect, test } from "vitest";
import type { Condition, JobDefinition, StepDefinition, WorkflowDefinition } from "./definition.ts";
import type { JournalEntry } from "./entries.ts";
import { RunState } from "./run-state.ts";
import { type Decision, Scheduler } from "./scheduler.ts";

const step = (name: string, more: Partial<StepDefinition> = {}): StepDefinition => ({
  name,
  task: { type: "model_method", modelIdOrName: "m", methodName: "x", inputs: {} },
  dependsOn: [],
  weight: 0,
  allowFailure: false,
  dataOutputOverrides: [],
  ...more,
});
const job = (name: string, steps: readonly StepDefinition[], more: Partial<JobDefinition> = {}): JobDefinition => ({
  name,
  steps,
  dependsOn: [],
  weight: 0,
  ...more,
});
const on = (name: string, type: Exclude<Condition["type"], "and" | "or" | "not">) => ({
  step: name,
  condition: { type },
});

/** A run whose journal a test writes by hand. */
class Hand {
  readonly state: RunState;
  readonly scheduler: Scheduler;

  constructor(jobs: readonly JobDefinition[]) {
    const definition: WorkflowDefinition = { id: "i", name: "w", version: 1, tags: {}, jobs, lock: "run" };
    const by = { holder: "", pid: 0, command: "" };
    this.state = new RunState({ e: "run", at: 0, run: "r", definition, hash: "", inputs: {}, tags: {}, by });
    this.scheduler = new Scheduler(this.state);
  }

  write(entry: JournalEntry): this {
    this.state.apply(entry);
    this.scheduler.note(entry);
    return this;
  }

  end(n: number, s: "succeeded" | "failed" | "skipped" = "succeeded"): this {
    return this.write({ e: "end", at: 1, n, s });
  }

  /** Carries jobs out; gives what is decided of steps and of the run, in short. */
  decide(): string[] {
    const said: string[] = [];
    for (let all = this.scheduler.decide(); all.length > 0; all = this.scheduler.decide())
      for (const one of all) {
        said.push(short(one, this.state));
        if (one.do === "start-job") this.write({ e: "job", at: 1, j: one.job, s: "running" });
        if (one.do === "skip-job") this.write({ e: "job", at: 1, j: one.job, s: "skipped", why: one.why });
        if (one.do === "end-job") this.write({ e: "job", at: 1, j: one.job, s: one.status });
        if (one.do === "skip") this.write({ e: "end", at: 1, n: one.step, s: "skipped", why: one.why });
        if (one.do === "end-group") this.write({ e: "end", at: 1, n: one.step, s: one.status });
      }
    return said;
  }
}

function short(one: Decision, state: RunState): string {
  switch (one.do) {
    case "start-job":
      return `job ${state.job(one.job).name}`;
    case "skip-job":
      return `skip job ${state.job(one.job).name}: ${one.why}`;
    case "end-job":
      return `job ${state.job(one.job).name} ${one.status}`;
    case "end-run":
      return `run ${one.status}`;
    case "skip":
      return `skip ${state.step(one.step).name}: ${one.why}`;
    case "end-group":
      return `${state.step(one.step).name} ${one.status}${one.allowed ? " allowed" : ""}`;
    default:
      return `${one.do} ${state.step(one.step).name}`;
  }
}

describe("the order of starting", () => {
  test("is weight, then name by code point, then number; the job's comes first", () => {
    const hand = new Hand([
      job("z", [step("a", { weight: -9 })]),
      job("b", [step("b"), step("B"), step("a", { weight: 1 }), step("c", { weight: -1 })]),
      job("light", [step("x")], { weight: -1 }),
    ]);
    expect(hand.decide()).toEqual([
      "job light",
      "job b",
      "job z",
      "start x",
      "start c",
      "start B",
      "start b",
      "start a",
      "start a",
    ]);
  });

  test("expansions start in the order of the list", () => {
    const hand = new Hand([job("j", [step("f", { forEach: { item: "i", in: "" } })])]);
    expect(hand.decide()).toEqual(["job j", "expand f"]);
    hand.write({ e: "expand", at: 1, n: 0, first: 1, names: ["f-9", "f-10", "f-a"] });
    expect(hand.decide()).toEqual(["start f-9", "start f-10", "start f-a"]);
  });
});

describe("a step", () => {
  test("waits for all that it depends on, and is skipped by the first that doesn't hold, with its end", () => {
    const hand = new Hand([
      job("j", [step("a"), step("b"), step("c", { dependsOn: [on("a", "succeeded"), on("b", "failed")] })]),
    ]);
    hand.decide();
    hand.end(0, "failed");
    expect(hand.decide()).toEqual([]);
    hand.end(1, "succeeded");
    expect(hand.decide()).toEqual(["skip c: step a failed", "job j failed", "run failed"]);
  });

  test("that waits for a skipped one is told so", () => {
    const hand = new Hand([
      job("j", [
        step("a"),
        step("b", { dependsOn: [on("a", "failed")] }),
        step("c", { dependsOn: [on("b", "completed")] }),
        step("d", { dependsOn: [on("b", "always")] }),
      ]),
    ]);
    hand.decide();
    hand.end(0);
    expect(hand.decide()).toEqual(["skip b: step a succeeded", "skip c: step b was skipped", "start d"]);
  });

  test("is decided once, however often it is looked at; after `again` once more", () => {
    const hand = new Hand([job("j", [step("a"), step("b")])]);
    expect(hand.decide()).toEqual(["job j", "start a", "start b"]);
    hand.write({ e: "start", at: 1, n: 0, a: 1 });
    expect(hand.decide()).toEqual([]);
    hand.end(0, "failed").end(1);
    expect(hand.decide()).toEqual(["job j failed", "run failed"]);
    expect(hand.decide()).toEqual([]);
    hand.write({ e: "again", at: 1, steps: [0], jobs: [0] });
    expect(hand.decide()).toEqual(["job j", "start a"]);
    hand.end(0);
    expect(hand.decide()).toEqual(["job j succeeded", "run succeeded"]);
  });
});

describe("a fan-out", () => {
  const fan = (more: Partial<StepDefinition> = {}) =>
    new Hand([
      job("j", [
        step("f", { forEach: { item: "i", in: "" }, ...more }),
        step("z", { dependsOn: [on("f", "succeeded")] }),
      ]),
    ]);
  const expanded = (count: number, more?: Partial<StepDefinition>) => {
    const hand = fan(more);
    hand.decide();
    hand.write({ e: "expand", at: 1, n: 0, first: 2, names: Array.from({ length: count }, (_, n) => `f-${n}`) });
    hand.decide();
    return hand;
  };

  test("over nothing has succeeded", () => {
    const hand = fan();
    hand.decide();
    hand.write({ e: "expand", at: 1, n: 0, first: 2, names: [] });
    expect(hand.decide()).toEqual(["f succeeded allowed", "start z"]);
  });

  test("is judged when the last expansion has ended, by all of them", () => {
    const hand = expanded(3).end(4).end(2);
    expect(hand.decide()).toEqual([]);
    hand.end(3, "failed");
    expect(hand.decide()).toEqual(["f failed", "skip z: step f failed", "job j failed", "run failed"]);
  });

  test("whose failures were allowed doesn't fail its job", () => {
    const hand = expanded(2, { allowFailure: true });
    hand.write({ e: "end", at: 1, n: 2, s: "failed", allowed: true }).end(3);
    expect(hand.decide()[0]).toBe("f failed allowed");
  });
});

describe("jobs", () => {
  test("one that is skipped takes its steps with it, with its reason, and is itself a condition", () => {
    const wait = (name: string, type: "succeeded" | "skipped") => ({ dependsOn: [{ job: name, condition: { type } }] });
    const hand = new Hand([
      job("a", [step("a1")]),
      job("b", [step("b1"), step("b2")], wait("a", "succeeded")),
      job("c", [step("c1")], wait("b", "skipped")),
      job("d", [step("d1")], wait("b", "succeeded")),
    ]);
    expect(hand.decide()).toEqual(["job a", "start a1"]);
    hand.end(0, "failed");
    expect(hand.decide()).toEqual([
      "job a failed",
      "skip job b: job a failed",
      "skip b1: job a failed",
      "skip b2: job a failed",
      "job c",
      "skip job d: job b was skipped",
      "skip d1: job b was skipped",
      "start c1",
    ]);
    hand.end(3);
    expect(hand.decide()).toEqual(["job c succeeded", "run failed"]);
  });

  test("a run of which everything was skipped has succeeded", () => {
    const hand = new Hand([job("a", [step("x")]), job("b", [step("y", { dependsOn: [] })])]);
    hand.decide();
    hand.end(0, "skipped").end(1, "skipped");
    expect(hand.decide().at(-1)).toBe("run succeeded");
  });
});
