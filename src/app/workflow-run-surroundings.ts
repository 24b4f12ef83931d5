/** What all runs of one command share: the outermost one and those that it calls. */
import type { Cel } from "../expression/cel.ts";
import type { Scope } from "../expression/scope.ts";
import type { Machine } from "../kernel/machine.ts";
import type { PlannedCall } from "../workflow/plan.ts";
import type { Turns } from "../workflow/turns.ts";
import type { Workflows } from "../workflow/workflows.ts";
import type { AppContext, AppEvent } from "./context.ts";
import type { ModelIndex } from "./model-index.ts";
import type { PlannedUse, RunLocks } from "./run-locks.ts";
import type { Workspace } from "./workspace.ts";

export interface RunSurroundings {
  readonly context: AppContext;
  readonly machine: Machine;
  readonly workspace: Workspace;
  readonly models: ModelIndex;
  readonly workflows: Workflows;
  readonly cel: Cel;
  /** Of every expression, without inputs and `self`. */
  readonly scope: Omit<Scope, "inputs" | "self">;
  readonly locks: RunLocks;
  readonly turns: Turns;
  /** The lock that each planned call of a model wants. */
  readonly uses: ReadonlyMap<PlannedCall, PlannedUse>;
  /** Tags of the command line. */
  readonly tags: Readonly<Record<string, string>>;
  /** Models of which it is settled what former runs left, by type and id. */
  readonly settled: Set<string>;
  /** Numbers the runs of the command in the order of their start. */
  nextSequence(): number;
  emit(event: AppEvent): void;
}
