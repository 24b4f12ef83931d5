/** What all runs of one command share: the outermost one and those that it calls. */
import { Cel } from "../expression/cel.ts";
import type { Scope } from "../expression/scope.ts";
import type { Lease } from "../lock/lease.ts";
import type { Machine } from "../kernel/machine.ts";
import type { LoadedDefinition } from "../model/definitions.ts";
import type { PlannedCall } from "../workflow/plan.ts";
import type { RunState } from "../workflow/run-state.ts";
import type { JournalEntry } from "../workflow/entries.ts";
import { Turns } from "../workflow/turns.ts";
import type { Workflows } from "../workflow/workflows.ts";
import type { AppContext, AppEvent } from "./context.ts";
import { DurableLater } from "./durable-later.ts";
import { expressionSources } from "./expression-sources.ts";
import { EvaluatedModels, type RunModels } from "./last-evaluated.ts";
import { ModelIndex } from "./model-index.ts";
import { type PlannedUse, RunLocks } from "./run-locks.ts";
import type { Workspace } from "./workspace.ts";

export interface RunSurroundings {
  readonly context: AppContext;
  readonly machine: Machine;
  readonly workspace: Workspace;
  /** Those that are run. */
  readonly models: RunModels;
  readonly workflows: Workflows;
  readonly cel: Cel;
  /** Of every expression, without inputs and `self`. */
  readonly scope: Omit<Scope, "inputs" | "self">;
  readonly locks: RunLocks;
  readonly turns: Turns;
  /** Of the last step that worked on a model: resolves when its end is in the journal. */
  readonly endings: Map<string, Promise<void>>;
  /** The lock that each planned call of a model wants. */
  readonly uses: Map<PlannedCall, PlannedUse>;
  /** Tags of the command line. */
  readonly tags: Readonly<Record<string, string>>;
  /** Runs of nested workflows that go on where they were, with what must be said in their journals first. */
  readonly takenUp: Map<string, TakenUp>;
  /** Records that aren't durable yet. */
  readonly records: DurableLater;
  /** Leases under which it is settled what former runs left. */
  readonly settled: WeakSet<Lease>;
  /** Numbers the runs of the command in the order of their start. */
  nextSequence(): number;
  emit(event: AppEvent): void;
}

export interface TakenUp {
  readonly state: RunState;
  /** So many bytes of its journal say so. */
  readonly size: number;
  readonly entries: readonly JournalEntry[];
}

/** `together`: the run holds all its models at once (`lock: run`). */
export async function makeSurroundings(
  context: AppContext,
  workspace: Workspace,
  run: {
    readonly workflows: Workflows;
    readonly tags: Readonly<Record<string, string>>;
    readonly together: boolean;
    /** Models run as they were evaluated last. */
    readonly isEvaluated?: boolean | undefined;
    /** To save loading it again. */
    readonly cel?: Cel | undefined;
  },
): Promise<RunSurroundings> {
  const { machine } = context;
  const { workflows, tags, together } = run;
  let sequence = 0;
  const index = new ModelIndex(workspace.definitions);
  const models =
    run.isEvaluated === true
      ? new EvaluatedModels(workspace, index)
      : {
          find: (nameOrId: string) => index.find(nameOrId),
          reread: (before: LoadedDefinition) => workspace.definitions.reread(before),
        };
  const cel = run.cel ?? (await Cel.load());
  return {
    context,
    machine,
    workspace,
    workflows,
    tags,
    models,
    cel,
    scope: { env: machine.host.env, ...expressionSources(machine, workspace, { models: index, cel }) },
    locks: new RunLocks((requests, options) => workspace.lock(requests, options), { together }),
    turns: new Turns(),
    endings: new Map(),
    uses: new Map(),
    takenUp: new Map(),
    records: new DurableLater(workspace.datastore.files),
    settled: new WeakSet(),
    nextSequence: () => sequence++,
    emit: (event) => context.emit(event),
  };
}
