/** What a plan of a run is made from, and the locks that it wants. */
import { compareCodePoints } from "../kernel/order.ts";
import { resourceKey } from "../store/contract.ts";
import { asSchema } from "../expression/schema.ts";
import { resolveArguments } from "../expression/resolve.ts";
import { checkArguments } from "../model/runner.ts";
import { findMethod } from "../model/type.ts";
import type { Machine } from "../kernel/machine.ts";
import type { Author } from "../workflow/entries.ts";
import type { LoadedWorkflow } from "../workflow/workflows.ts";
import type { KnownCall, PlannedCall, PlannedRun, PlannedStep, PlanSources } from "../workflow/plan.ts";
import type { PlannedUse } from "./run-locks.ts";
import type { RunSurroundings } from "./workflow-run-surroundings.ts";
import { modelLock } from "./workspace.ts";

export function planSources(
  surroundings: Pick<RunSurroundings, "cel" | "scope" | "models" | "workflows" | "workspace" | "context">,
): PlanSources {
  const { cel, scope, models, workflows, workspace, context } = surroundings;
  // A fan-out may call one a thousand times: the files are looked through once for each name.
  const found = new Map<string, Promise<LoadedWorkflow>>();
  return {
    cel,
    scope,
    types: workspace.types,
    model: (nameOrId) => models.find(nameOrId),
    workflow: (nameOrId) => {
      const finding = found.get(nameOrId) ?? workflows.find(nameOrId);
      found.set(nameOrId, finding);
      return finding;
    },
    pause: () => context.machine.clock.sleep(0, context.signal),
    check: (call) => checkCall(surroundings, call),
  };
}

/** Definitions that read something which the run may change are checked when it is read. */
const mayChange = /\b(?:data|file)\.|\bnow\(|\bmodel[.[]/;

async function checkCall(
  { cel, scope, workspace }: Pick<RunSurroundings, "cel" | "scope" | "workspace">,
  { loaded, method, inputs, workflowInputs, taintedInputs }: KnownCall,
): Promise<void> {
  if (mayChange.test(loaded.text)) return;
  const type = workspace.types.find(loaded.definition.type);
  const argumentNames = Object.keys(asSchema(findMethod(type, method).arguments["properties"]));
  const { models, data, now, env = {} } = scope;
  const { arguments: args } = await resolveArguments({
    definition: loaded.definition,
    file: loaded.file,
    text: loaded.text,
    method,
    inputs,
    workflowInputs,
    taintedInputs,
    argumentNames,
    env,
    cel,
    sources: { models, data, now },
  });
  checkArguments({ type, method, arguments: args });
}

/** A use for each call of a model that is known; `wanted` may leave steps of the outermost run out (those that have ended). */
export function plannedUses(
  plan: PlannedRun,
  wanted: (step: number, index: number) => boolean = () => true,
): Map<PlannedCall, PlannedUse> {
  const uses = new Map<PlannedCall, PlannedUse>();
  const add = (call: PlannedCall): void => {
    if (call.target.kind === "model")
      uses.set(call, { request: modelLock(call.target.loaded, call.target.mode), isOver: false });
    if (call.target.kind === "workflow")
      for (const step of call.target.plan.steps) for (const one of callsOf(step)) add(one);
  };
  for (const [number, step] of plan.steps.entries())
    for (const [index, call] of callsOf(step).entries()) if (wanted(number, index)) add(call);
  return uses;
}

export function callsOf({ calls, any }: PlannedStep): readonly PlannedCall[] {
  return calls ?? (any === undefined ? [] : [any]);
}

/** One model that a run would lock, and why. */
export interface PlannedLock {
  readonly model: string;
  readonly resource: string;
  readonly mode: "shared" | "exclusive";
  /** `job/step`, of nested workflows behind the step that calls them. */
  readonly steps: readonly string[];
}

export interface LockPlan {
  readonly locks: readonly PlannedLock[];
  /** Steps whose model is known only when they start. */
  readonly open: readonly { readonly step: string; readonly expression: string }[];
}

/** Locks in the order in which they are taken. */
export function lockPlan(plan: PlannedRun): LockPlan {
  const locks = new Map<string, { model: string; mode: "shared" | "exclusive"; steps: string[] }>();
  const open: { step: string; expression: string }[] = [];
  const visit = (run: PlannedRun, prefix: string): void => {
    let number = 0;
    for (const job of run.workflow.workflow.jobs)
      for (const _step of job.steps) {
        const step = run.steps[number++];
        if (step === undefined) continue;
        for (const { name, target } of callsOf(step)) {
          const path = `${prefix}${job.name}/${name}`;
          if (target.kind === "workflow") visit(target.plan, `${path} > `);
          else if (target.kind === "open") open.push({ step: path, expression: target.text });
          else {
            const key = resourceKey(modelLock(target.loaded).resource);
            const lock = locks.get(key) ?? { model: target.loaded.definition.name, mode: target.mode, steps: [] };
            if (target.mode === "exclusive") lock.mode = "exclusive";
            lock.steps.push(path);
            locks.set(key, lock);
          }
        }
      }
  };
  visit(plan, "");
  const ordered = [...locks].sort(([a], [b]) => compareCodePoints(a, b));
  return { locks: ordered.map(([resource, lock]) => ({ resource, ...lock })), open };
}

export function authorOf({ host }: Machine): Author {
  return { holder: `${host.user}@${host.hostname}`, pid: host.pid, command: host.command };
}
