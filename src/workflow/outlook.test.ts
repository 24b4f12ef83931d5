import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Carried, endsByLaw, graphs } from "../../test/support/random-graphs.ts";
import type { Condition, StepDefinition, WorkflowDefinition } from "./definition.ts";
import { outlookOf } from "./outlook.ts";
import { tries } from "../../test/support/quick.ts";

const runs = tries(2000);

const task: StepDefinition["task"] = { type: "model_method", modelIdOrName: "m", methodName: "x", inputs: {} };
const step = (name: string, dependsOn: StepDefinition["dependsOn"] = [], more: object = {}): StepDefinition => ({
  ...{ name, task, dependsOn, weight: 0, allowFailure: false, dataOutputOverrides: [] },
  ...more,
});
const after = (name: string, type: "always" | "succeeded" | "failed" | "completed" | "skipped") => ({
  ...{ step: name, condition: { type } },
});
const workflow = (...jobs: readonly WorkflowDefinition["jobs"][number][]): WorkflowDefinition => ({
  ...{ id: "", name: "w", version: 1, tags: {}, lock: "run", jobs },
});
const job = (name: string, steps: readonly StepDefinition[], dependsOn: readonly [string, Condition][] = []) => ({
  ...{ name, steps, weight: 0 },
  dependsOn: dependsOn.map(([other, condition]) => ({ job: other, condition })),
});
const outlooks = (one: WorkflowDefinition, empty: readonly number[] = []) =>
  outlookOf(one, (number) => empty.includes(number)).map(({ outlook, steps }) => [outlook, ...steps]);

describe("what runs", () => {
  test("a step whose conditions hold however others end surely runs; where an end decides it depends; where none fits it never does", () => {
    const steps = [
      step("a"),
      step("b", [after("a", "completed")]),
      step("c", [after("a", "failed")]),
      step("d", [after("a", "skipped")]),
      step("e", [after("c", "always"), after("d", "skipped")]),
      step("f", [after("a", "succeeded"), after("a", "failed")]),
    ];
    expect(outlooks(workflow(job("j", steps)))).toEqual([
      ["runs", "runs", "runs", "depends", "never", "runs", "never"],
    ]);
  });

  test("a fan-out over nothing can't fail, and a job whose steps may fail can't either", () => {
    const one = workflow(
      job("empty", [step("a")]),
      job("allowed", [step("a", [], { allowFailure: true })]),
      job("may-fail", [step("a")]),
      job("after-empty", [step("a")], [["empty", { type: "failed" }]]),
      job("after-allowed", [step("a")], [["allowed", { type: "succeeded" }]]),
      job("after-all", [step("a")], [["may-fail", { type: "not", condition: { type: "failed" } }]]),
    );
    expect(outlooks(one, [0]).map(([own]) => own)).toEqual(["runs", "runs", "runs", "never", "runs", "depends"]);
  });

  test("what a job waits for may stand behind it, and a chain of 50,000 steps isn't too long", () => {
    const first = job("first", [step("a")], [["second", { type: "completed" }]]);
    expect(outlooks(workflow(first, job("second", [step("a")])))).toEqual([
      ["runs", "runs"],
      ["runs", "runs"],
    ]);
    const chain = Array.from({ length: 50_000 }, (_, n) =>
      step(`s${n}`, n === 0 ? [] : [after(`s${n - 1}`, "always")]),
    );
    expect(outlooks(workflow(job("j", chain)))[0]?.at(-1)).toBe("runs");
  });
});

test(`in ${runs} random graphs what surely runs always ran, and what never does never did, whatever failed`, () => {
  const graph = graphs({ ...{ name: "w", jobs: 4, steps: 5 }, filling: () => fc.constant({ task }) });
  fc.assert(
    fc.property(graph, fc.func(fc.boolean()), (definition, chance) => {
      const carry = (number: number, { name }: StepDefinition): Carried => [
        { name, isFailed: chance(`${number}/${name}`) },
      ];
      const ends = endsByLaw(definition, carry);
      for (const [at, { outlook, steps }] of outlookOf(definition, () => false).entries()) {
        const own = definition.jobs[at];
        const isRun = ends.get(own?.name ?? "") !== "skipped";
        if (outlook !== "depends") expect(isRun).toBe(outlook === "runs");
        for (const [index, inside] of isRun ? steps.entries() : [])
          if (inside !== "depends")
            expect(ends.get(`${own?.name}/${own?.steps[index]?.name}`) !== "skipped").toBe(inside === "runs");
      }
    }),
    { numRuns: runs },
  );
});
