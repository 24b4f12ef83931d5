import fc from "fast-check";
import { tries } from "../../test/support/quick.ts";
import { describe, expect, test } from "vitest";
import { checkWorkflow } from "./check.ts";
import type { WorkflowDefinition } from "./definition.ts";
import { checkGraph, findCycle, namesOther, nestedWorkflows } from "./graph.ts";

const id = "9a0d6a52-6f5b-4a0c-9a2e-6b1f0e5d7c10";
const task = { type: "model_method", modelIdOrName: "web-01", methodName: "execute" };
const step = { name: "one", task };

function workflowOf(jobs: readonly object[]): WorkflowDefinition {
  const { workflow, findings } = checkWorkflow({ id, name: "x", jobs: jobs.map((job) => ({ steps: [step], ...job })) });
  if (workflow === undefined) throw new Error(JSON.stringify(findings));
  return workflow;
}

const told = (jobs: readonly object[]): string[] =>
  checkGraph(workflowOf(jobs)).map(
    ({ check, path, message, hint }) =>
      `${check} ${path.join(".")}: ${message}${hint === undefined ? "" : ` (${hint})`}`,
  );

const after = (job: string, condition: object = { type: "succeeded" }): object => ({ job, condition });
const afterStep = (other: string, condition: object = { type: "succeeded" }): object => ({ step: other, condition });

describe("what is wrong with a graph", () => {
  test("nothing, where everything has its name and its place", () => {
    expect(
      told([
        { name: "a", steps: [step, { ...step, name: "two", dependsOn: [afterStep("one")] }] },
        { name: "b", dependsOn: [after("a")] },
        { name: "c", dependsOn: [after("a", { type: "failed" }), after("b", { type: "skipped" })] },
      ]),
    ).toEqual([]);
  });

  test("two jobs or two steps of one name; steps of different jobs may share one", () => {
    expect(told([{ name: "a", steps: [step, step] }, { name: "b" }, { name: "a" }])).toEqual([
      "Unique job names jobs.2.name: two jobs are called a",
      "Unique step names per job jobs.0.steps.1.name: two steps of job a are called one",
    ]);
  });

  test("a name that nothing has, with the nearest that there is; a step of another job is nothing", () => {
    expect(
      told([
        { name: "patch", steps: [step, { ...step, name: "two", dependsOn: [afterStep("three")] }] },
        { name: "b", dependsOn: [after("pacth")], steps: [{ ...step, name: "three" }] },
      ]),
    ).toEqual([
      "Job references jobs.1.dependsOn.0.job: job b depends on pacth, but no job is called so (Did you mean patch?)",
      "Step references per job jobs.0.steps.1.dependsOn.0.step: step two depends on three, but no step of job patch is called so",
    ]);
  });

  test("circles, of jobs and of steps", () => {
    expect(
      told([
        { name: "a", dependsOn: [after("c")] },
        { name: "b", dependsOn: [after("a")], steps: [{ ...step, dependsOn: [afterStep("one")] }] },
        { name: "c", dependsOn: [after("b")] },
      ]),
    ).toEqual([
      "Job cycles jobs.0.dependsOn: jobs wait for each other: a -> c -> b -> a",
      "Step cycles per job jobs.1.steps.0.dependsOn: steps of job b wait for each other: one -> one",
    ]);
  });

  test("of a long circle the beginning and the end are told", () => {
    const jobs = Array.from({ length: 30 }, (_, n) => ({ name: `j${n}`, dependsOn: [after(`j${(n + 1) % 30}`)] }));
    expect(told(jobs)).toEqual([
      "Job cycles jobs.0.dependsOn: jobs wait for each other: j0 -> j1 -> j2 -> j3 -> j4 -> (20 more) -> j25 -> j26 -> j27 -> j28 -> j29 -> j0",
    ]);
  });

  test.each([
    ["not always", [{ type: "not", condition: { type: "always" } }]],
    ["and of two ends", [{ type: "and", conditions: [{ type: "failed" }, { type: "succeeded" }] }]],
    ["two conditions on one job", [{ type: "skipped" }, { type: "completed" }]],
  ])("conditions that can never hold: %s", (_what, conditions) => {
    expect(told([{ name: "a" }, { name: "b", dependsOn: conditions.map((one) => after("a", one)) }])).toEqual([
      "Conditions jobs.1.dependsOn.0: job b never runs: no end of a fits what it waits for",
    ]);
  });
});

describe("circles", () => {
  const graphs = fc
    .integer({ min: 1, max: 7 })
    .chain((size) => fc.array(fc.array(fc.nat(size), { maxLength: 3 }), { minLength: size, maxLength: size }));

  test("are found exactly where there are some", () => {
    let circles = 0;
    fc.assert(
      fc.property(graphs, (lists) => {
        const edges = new Map(lists.map((list, index) => [String(index), list.map(String)]));
        const found = findCycle(edges);
        // Taking away what leads nowhere leaves something only where there is a circle.
        const left = new Set(edges.keys());
        const isFree = (name: string): boolean => (edges.get(name) ?? []).every((next) => !left.has(next));
        for (let free = [...left].find(isFree); free !== undefined; free = [...left].find(isFree)) left.delete(free);
        expect(found !== undefined).toBe(left.size > 0);
        if (found === undefined) return;
        circles++;
        for (const [index, name] of found.entries())
          expect(edges.get(name)).toContain(found[(index + 1) % found.length]);
        expect(new Set(found).size).toBe(found.length);
      }),
      { numRuns: tries(3000) },
    );
    expect(circles).toBeGreaterThan(tries(100));
  });

  test("a chain of 100,000 is looked through", () => {
    const edges = new Map(Array.from({ length: 100_000 }, (_, index) => [String(index), [String(index + 1)]]));
    expect(findCycle(edges)).toBeUndefined();
    edges.set("100000", ["0"]);
    expect(findCycle(edges)).toHaveLength(100_001);
  });
});

test("whom a workflow names", () => {
  const nested = { name: "n", task: { type: "workflow", workflowIdOrName: "other" } };
  const workflow = workflowOf([{ name: "a", steps: [step, nested] }]);
  expect(nestedWorkflows(workflow)).toEqual(["other"]);
  expect(namesOther(workflow, "model", { name: "web-01", id })).toBe(true);
  expect(namesOther(workflow, "workflow", { name: "web-01", id })).toBe(false);
  expect(namesOther(workflow, "workflow", { name: "x", id: "OTHER".toLowerCase() })).toBe(true);
});
