import { expect, test } from "vitest";
import type { StepDefinition } from "../workflow/definition.ts";
import { overridesOf } from "./step-overrides.ts";

const step = (override: object): StepDefinition => ({
  name: "s",
  task: { type: "model_method", modelIdOrName: "m", methodName: "x", inputs: {} },
  dependsOn: [],
  weight: 0,
  allowFailure: false,
  dataOutputOverrides: [{ specName: "result", ...override }],
});

test("says what differs, of the declared output alone; values of inputs become part of its name, in their order", () => {
  const of = overridesOf(step({ lifetime: "30d", garbageCollection: 3, tags: { a: "b" }, vary: ["host", "n"] }), {
    n: 2,
    host: "web 1",
  });
  expect(of("result")).toEqual({ lifetime: "30d", garbageCollection: 3, tags: { a: "b" }, suffix: "-web 1-2" });
  expect(of("log")).toBeUndefined();
  expect(overridesOf(step({}), {})("result")?.suffix).toBe("");
});

test("an input to vary by that is missing, or that leads out of the folder, is refused", () => {
  expect(() => overridesOf(step({ vary: ["host"] }), { other: 1 })).toThrow("varies its data by the input host");
  expect(() => overridesOf(step({ vary: ["host"] }), { host: null })).toThrow("varies its data by the input host");
  expect(() => overridesOf(step({ vary: ["host"] }), { host: "../../x" })).toThrow("can't be called");
});
