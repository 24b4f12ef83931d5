/** Plans of random workflows, nested ones too: the models, and how each is wanted, against a plain walk of what would be called. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lockPlan, plannedUses } from "../app/workflow-planning.ts";
import { Cel } from "../expression/cel.ts";
import { type MethodKind, ModelTypes } from "../model/type.ts";
import { resourceKey } from "../store/contract.ts";
import type { StepDefinition, WorkflowDefinition } from "./definition.ts";
import { planRun, type PlanSources } from "./plan.ts";
import { isQuick, tries } from "../../test/support/quick.ts";

const runs = tries(1000);
const method = (kind: MethodKind) => ({
  description: "",
  kind,
  arguments: { type: "object" },
  execute: async () => ({ status: "succeeded" as const }),
});
const types = new ModelTypes([
  {
    name: "t",
    version: "1",
    description: "",
    methods: { change: method("action"), look: method("read") },
    resources: {},
    files: {},
  },
]);

/** A call as the test knows it: of a model, in one of three ways of writing its name, or of a later workflow. */
interface Call {
  readonly model: number;
  readonly method: "change" | "look";
  readonly how: "literal" | "input" | "fan-out";
  readonly workflow: boolean;
}

const call = fc.record<Call>({
  model: fc.nat(5),
  method: fc.constantFrom("change", "look"),
  how: fc.constantFrom("literal", "input", "fan-out"),
  workflow: fc.nat(3).map((n) => n === 0),
});
/** Each workflow calls only the one after it. */
const world = fc.array(fc.array(call, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 4 });

const sizeOfFan = 3;

function stepOf(
  { model, method: called, how, workflow }: Call,
  at: number,
  index: number,
  isLast: boolean,
): StepDefinition {
  const name =
    how === "input" ? `\${{ inputs.prefix + '${model}' }}` : how === "fan-out" ? "m${{ self.n }}" : `m${model}`;
  const inputs = { prefix: "${{ inputs.prefix }}" };
  return {
    name: `s${index}`,
    task:
      workflow && !isLast
        ? { type: "workflow", workflowIdOrName: how === "input" ? `\${{ 'w' + '${at + 1}' }}` : `w${at + 1}`, inputs }
        : { type: "model_method", modelIdOrName: name, methodName: called, inputs: {} },
    dependsOn: [],
    weight: 0,
    allowFailure: false,
    dataOutputOverrides: [],
    ...(how === "fan-out" ? { forEach: { item: "n", in: `\${{ [${model}, ${model} + 1, ${model}] }}` } } : {}),
  };
}

function sourcesOf(calls: readonly (readonly Call[])[], cel: Cel): PlanSources {
  return {
    cel,
    types,
    scope: {},
    model: async (name) => ({
      definition: { id: name, name, version: 1, type: "t", tags: {}, globalArguments: {}, methods: {} },
      file: `${name}.yaml`,
      text: "",
      warnings: [],
      hash: () => "",
    }),
    check: async () => undefined,
    pause: async () => undefined,
    workflow: async (name) => {
      const at = Number(name.slice(1));
      const steps = (calls[at] ?? []).map((one, index) => stepOf(one, at, index, at === calls.length - 1));
      const workflow: WorkflowDefinition = {
        id: name,
        name,
        version: 1,
        tags: {},
        inputs: { properties: { prefix: { type: "string" } } },
        jobs: [{ name: "j", steps, dependsOn: [], weight: 0 }],
        lock: "run",
      };
      return { workflow, file: `${name}.yaml`, text: "", warnings: [], isExtension: false };
    },
  };
}

/** Every model that a run of workflow `at` calls, and how. */
function* touched(
  calls: readonly (readonly Call[])[],
  at = 0,
): Generator<{ model: string; mode: "shared" | "exclusive" }> {
  for (const one of calls[at] ?? []) {
    const times = one.how === "fan-out" ? sizeOfFan : 1;
    if (one.workflow && at < calls.length - 1) for (let n = 0; n < times; n++) yield* touched(calls, at + 1);
    else
      for (const model of one.how === "fan-out" ? [one.model, one.model + 1, one.model] : [one.model])
        yield { model: `m${model}`, mode: one.method === "look" ? "shared" : "exclusive" };
  }
}

test(`the locks of ${runs} random workflows are exactly the models that their steps call, each in the strongest mode, in code point order`, async () => {
  const cel = await Cel.load();
  await fc.assert(
    fc.asyncProperty(world, async (calls) => {
      const sources = sourcesOf(calls, cel);
      const plan = await planRun(sources, await sources.workflow("w0"), { inputs: { prefix: "m" } });
      const wanted = new Map<string, string>();
      let count = 0;
      for (const { model, mode } of touched(calls)) {
        count++;
        if (wanted.get(model) !== "exclusive") wanted.set(model, mode);
      }
      const { locks, open } = lockPlan(plan);
      expect(open).toEqual([]);
      expect(locks.map(({ model, mode }) => [model, mode])).toEqual([...wanted].sort(([a], [b]) => (a < b ? -1 : 1)));
      expect(locks.reduce((sum, lock) => sum + lock.steps.length, 0)).toBe(count);
      // A use for each call: the last one that ends lets the model go.
      const uses = [...plannedUses(plan).values()];
      expect(uses).toHaveLength(count);
      expect(new Set(uses.map(({ request }) => resourceKey(request.resource)))).toEqual(
        new Set([...wanted.keys()].map((model) => `t/${model}`)),
      );
    }),
    { numRuns: runs },
  );
}, 60_000);

describe("workflows that call each other several times", () => {
  /** Of `deep` workflows each calls the next so many times. */
  const multiplying = (times: number, deep: number): (readonly Call[])[] =>
    Array.from({ length: deep }, () =>
      Array.from({ length: times }, () => ({ model: 0, method: "change", how: "literal", workflow: true })),
    );
  const plan = async (calls: readonly (readonly Call[])[], pause: PlanSources["pause"]) => {
    const sources = { ...sourcesOf(calls, await Cel.load()), pause };
    return planRun(sources, await sources.workflow("w0"), { inputs: { prefix: "m" } });
  };

  test.skipIf(isQuick)(
    "are refused where they multiply beyond all measure, before that takes long",
    async () => {
      await expect(plan(multiplying(8, 10), async () => undefined)).rejects.toMatchObject({
        ...{ code: "workflow_invalid", message: expect.stringContaining("more than 200000 calls: w0 -> w1") },
      });
    },
    60_000,
  );

  test("leave others the thread now and then, and end with the command", async () => {
    let pauses = 0;
    await plan(multiplying(8, 4), async () => void pauses++);
    expect(pauses).toBe(Math.floor((8 + 64 + 512 + 4096) / 500));
    const reason = new Error("to end");
    await expect(plan(multiplying(8, 4), () => Promise.reject(reason))).rejects.toBe(reason);
  });
});
