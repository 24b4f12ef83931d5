/** Whoever is told of a run's entries may fail: then the run ends, and nothing of it stays open. */
import { expect, test } from "vitest";
import { HandClock } from "../../test/support/hand-clock.ts";
import { memoryWorkspace } from "../../test/support/memory-workspace.ts";
import { systemMachine } from "../kernel/machine.ts";
import type { ModelType } from "../model/type.ts";
import type { WorkflowDefinition } from "../workflow/definition.ts";
import type { JournalEntry } from "../workflow/entries.ts";
import { planRun } from "../workflow/plan.ts";
import type { AppContext } from "./context.ts";
import { OpenRun } from "./open-run.ts";
import { authorOf, planSources } from "./workflow-planning.ts";
import { CancelWatch, carryOut, takeLocks } from "./workflow-run.ts";
import { makeSurroundings } from "./workflow-run-surroundings.ts";

const step = (name: string, dependsOn: WorkflowDefinition["jobs"][number]["steps"][number]["dependsOn"] = []) => ({
  ...{ name, dependsOn, weight: 0, allowFailure: false, dataOutputOverrides: [] },
  task: { type: "model_method" as const, modelIdOrName: "m0", methodName: "change", inputs: {} },
});
const after = (name: string) => [{ step: name, condition: { type: "succeeded" as const } }];
const workflow: WorkflowDefinition = {
  ...{ id: "b0000000-0000-4000-a000-000000000001", name: "w", version: 1, tags: {}, lock: "run" },
  jobs: [{ name: "j", dependsOn: [], weight: 0, steps: [step("a"), step("b", after("a"))] }],
};
const type: ModelType = {
  ...{ name: "test/nothing", version: "2026.01.01.1", description: "Nothing", resources: {}, files: {} },
  methods: {
    change: {
      ...{ description: "Nothing", kind: "action", arguments: { type: "object" } },
      execute: async () => ({ status: "succeeded" }),
    },
  },
};

test.each<[string, (entry: JournalEntry) => boolean]>([
  ["a job begins", ({ e }) => e === "job"],
  ["a step begins", ({ e }) => e === "start"],
  ["a step ends", ({ e }) => e === "end"],
  ["a job ends", (entry) => entry.e === "job" && entry.s === "succeeded"],
  ["the run ends", ({ e }) => e === "done"],
])("where it fails when %s", async (_, isIt) => {
  const system = systemMachine("test");
  const context: AppContext = {
    machine: { ...system, clock: new HandClock(), host: { ...system.host, env: {} } },
    signal: new AbortController().signal,
    lockTimeoutMs: undefined,
    emit: (event) => {
      if (event.event === "workflow.entry" && isIt(event.entry)) throw new Error("nobody listens");
    },
  };
  const workspace = memoryWorkspace(context, { type, models: ["m0"], workflows: [workflow] });
  const { workflows } = workspace;
  const surroundings = await makeSurroundings(context, workspace, { workflows, tags: {}, together: true });
  const plan = await planRun(planSources(surroundings), await workflows.find("w"), { inputs: {} });
  const first = { definition: plan.workflow.workflow, hash: "", inputs: {}, tags: {}, by: authorOf(context.machine) };
  const run = context.machine.random.uuid();
  const open = await OpenRun.begin(workspace, { e: "run", at: 0, run, ...first }, () => undefined);
  using cancel = new CancelWatch(surroundings, open);
  const waitedMs = await takeLocks(surroundings, plan, cancel);
  await expect(carryOut(surroundings, open, { plan, cancel, waitedMs })).rejects.toThrow("nobody listens");
  await surroundings.locks.release();
  expect(workspace.lockTable.held.size).toBe(0);
  expect([...workspace.files.files.keys()].filter((path) => path.endsWith(".owner"))).toEqual([]);
});
