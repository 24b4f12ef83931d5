/** One run through the real engine, on a store in memory, on a clock that stands still. */
import type { AppContext, AppEvent } from "../../src/app/context.ts";
import { OpenRun } from "../../src/app/open-run.ts";
import { authorOf, planSources } from "../../src/app/workflow-planning.ts";
import { CancelWatch, carryOut, takeLocks } from "../../src/app/workflow-run.ts";
import { makeSurroundings } from "../../src/app/workflow-run-surroundings.ts";
import { systemMachine } from "../../src/kernel/machine.ts";
import type { ModelType } from "../../src/model/type.ts";
import type { StepDefinition, WorkflowDefinition } from "../../src/workflow/definition.ts";
import { planRun } from "../../src/workflow/plan.ts";
import { HandClock } from "./hand-clock.ts";
import { type MemoryWorkspace, memoryWorkspace } from "./memory-workspace.ts";

/** A step that calls `change` on the model m0. */
export function stepOf(name: string, more: Partial<StepDefinition> = {}): StepDefinition {
  return {
    ...{ name, dependsOn: [], weight: 0, allowFailure: false, dataOutputOverrides: [] },
    task: { type: "model_method", modelIdOrName: "m0", methodName: "change", inputs: {} },
    ...more,
  };
}

export const after = (name: string) => [{ step: name, condition: { type: "succeeded" as const } }];

export function workflowOf(steps: readonly StepDefinition[], lock: WorkflowDefinition["lock"] = "run") {
  const id = "b0000000-0000-4000-a000-000000000001";
  return { ...{ id, name: "w", version: 1, tags: {}, lock }, jobs: [{ name: "j", dependsOn: [], weight: 0, steps }] };
}

export const nothing: ModelType = {
  ...{ name: "test/nothing", version: "2026.01.01.1", description: "Nothing", resources: {}, files: {} },
  methods: {
    change: {
      ...{ description: "Nothing", kind: "action", arguments: { type: "object" } },
      execute: async () => ({ status: "succeeded" }),
    },
  },
};

/** A workflow on a model called m0; `run` resolves when it is over and its locks are given back. */
export function memoryRun(
  workflow: WorkflowDefinition,
  parts: { readonly type: ModelType; readonly signal?: AbortSignal; emit(event: AppEvent): void },
): { readonly clock: HandClock; readonly workspace: MemoryWorkspace; run(): Promise<unknown> } {
  const system = systemMachine("test");
  const clock = new HandClock();
  const context: AppContext = {
    machine: { ...system, clock, host: { ...system.host, env: {} } },
    signal: parts.signal ?? new AbortController().signal,
    lockTimeoutMs: undefined,
    emit: parts.emit,
  };
  const workspace = memoryWorkspace(context, { type: parts.type, models: ["m0"], workflows: [workflow] });
  const run = async () => {
    const { workflows } = workspace;
    const together = workflow.lock === "run";
    const surroundings = await makeSurroundings(context, workspace, { workflows, tags: {}, together });
    const plan = await planRun(planSources(surroundings), await workflows.find("w"), { inputs: {} });
    const first = { definition: plan.workflow.workflow, hash: "", inputs: {}, tags: {}, by: authorOf(context.machine) };
    const entry = { e: "run" as const, at: 0, run: context.machine.random.uuid(), ...first };
    const open = await OpenRun.begin(workspace, entry, () => undefined);
    using cancel = new CancelWatch(surroundings, open);
    const waitedMs = await takeLocks(surroundings, plan, cancel);
    try {
      return await carryOut(surroundings, open, { plan, cancel, waitedMs });
    } finally {
      await surroundings.locks.release();
    }
  };
  return { clock, workspace, run };
}
