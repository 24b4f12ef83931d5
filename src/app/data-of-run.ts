/** The data that the steps of one run of a workflow left: what the run's record names, not what has the same name elsewhere. */
import { FenError } from "../kernel/errors.ts";
import { several } from "../kernel/several.ts";
import type { ModelRef } from "../data/layout.ts";
import type { DataVersion } from "../data/versions.ts";
import type { DefinitionSummary } from "../model/definitions.ts";
import type { DataReference } from "../workflow/entries.ts";
import type { RunRef } from "../workflow/run-files.ts";
import type { StepState } from "../workflow/run-state.ts";
import type { AppContext } from "./context.ts";
import { PastRuns, type PastStatus } from "./past-runs.ts";
import { unlessUnreadable } from "./unless-unreadable.ts";
import type { Workspace } from "./workspace.ts";

export interface RunChoice {
  /** Name or id. */
  readonly workflow: string;
  /** Id or its first digits; the newest run of the workflow where it is missing. */
  readonly run?: string | undefined;
}

/** A version and whose it is. */
export interface Left extends DataVersion {
  readonly modelName: string;
}

export interface RunData {
  readonly ref: RunRef;
  readonly workflowName: string;
  readonly status: PastStatus;
  /** In the order of the steps. */
  readonly left: readonly Left[];
  /** What the run left and was deleted since. */
  readonly gone: readonly { readonly model: string; readonly name: string; readonly version: number }[];
}

const atOnce = 8;
/** More names don't help. */
const shown = 5;

/** Throws `workflow_missing`, `run_missing`, `id_ambiguous`. Versions that can't be read are warned of. */
export async function dataOfRun(context: AppContext, workspace: Workspace, choice: RunChoice): Promise<RunData> {
  const runs = new PastRuns(workspace);
  const { ref, state, status } = await runs.read(await runs.findOf(choice.workflow, choice.run));
  const named = state.steps.flatMap((step) => (step.data ?? []).map((reference) => ({ step, reference })));
  const found: (Left | "gone" | undefined)[] = [];
  const models = new ModelsOfSteps(workspace);
  await several(named.entries(), atOnce, async ([at, { step, reference }]) => {
    found[at] = await unlessUnreadable(context, async () => (await models.version(step, reference)) ?? "gone");
  });
  return {
    ref,
    workflowName: state.definition.name,
    status,
    left: found.filter((one): one is Left => typeof one === "object"),
    gone: named.flatMap(({ step, reference: [, name, version] }, at) =>
      found[at] === "gone" ? [{ model: step.model ?? "", name, version }] : [],
    ),
  };
}

/** The newest version of that name, or the one that is asked for. Throws `data_missing`, and `usage` where several models have it. */
export function findInRun(
  { ref, workflowName, left, gone }: RunData,
  { name, version }: { readonly name: string; readonly version?: number | undefined },
): Left {
  const fits = (one: { readonly name: string; readonly number: number }) =>
    one.name === name && (version === undefined || one.number === version);
  const found = left.filter(fits).sort((a, b) => b.number - a.number);
  const [first] = found;
  if (first === undefined) {
    const deleted = gone.find((one) => fits({ ...one, number: one.version }));
    const what = `${name}${version === undefined ? "" : ` version ${version}`}`;
    throw new FenError(
      "data_missing",
      deleted === undefined
        ? `The run ${ref.id} of ${workflowName} left no data ${what}.`
        : `The data ${what} that the run ${ref.id} of ${workflowName} left has been deleted.`,
      {
        hint:
          deleted !== undefined && deleted.model !== ""
            ? `See what is left: fen data versions ${deleted.model} ${name}`
            : `See what it left: fen data list --workflow ${workflowName} --run ${ref.id}`,
        facts: { name, ...(version === undefined ? {} : { version }) },
      },
    );
  }
  const models = new Map(found.toReversed().map((one) => [one.modelName, one]));
  if (models.size === 1) return first;
  const names = [...models.keys()].sort();
  const one = models.get(names[0] ?? "") ?? first;
  throw new FenError(
    "usage",
    `${models.size} models have data ${name} of the run ${ref.id}: ${names.slice(0, shown).join(", ")}${names.length > shown ? ", ..." : ""}.`,
    { hint: `Say which: fen data get ${one.modelName} ${name} --version ${one.number}` },
  );
}

/** Finds the model that a step called, as it was then: the id of its data tells whether another has its name now. */
class ModelsOfSteps {
  readonly #workspace: Workspace;
  #known: Promise<ReadonlyMap<string, DefinitionSummary>> | undefined;

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
  }

  /** Undefined where it was deleted since. */
  async version(step: StepState, [dataId, name, number]: DataReference): Promise<Left | undefined> {
    const ofName = (await this.#models()).get(step.model ?? "");
    return (
      (ofName && (await this.#read(ofName, { dataId, name, number }))) ??
      (await this.#byRecord(step, { dataId, name, number }))
    );
  }

  /** By the record of the call, where the model has another name now, or none. */
  async #byRecord(
    step: StepState,
    data: { readonly dataId: string; readonly name: string; readonly number: number },
  ): Promise<Left | undefined> {
    if (step.output === undefined) return undefined;
    const output = await this.#workspace.outputs.find(step.output).catch((error: unknown) => {
      if (error instanceof FenError && error.code === "output_missing") return undefined;
      throw error;
    });
    return output && this.#read({ type: output.type, id: output.record.definitionId }, data);
  }

  async #read(
    model: ModelRef,
    { dataId, name, number }: { readonly dataId: string; readonly name: string; readonly number: number },
  ): Promise<Left | undefined> {
    const metadata = await this.#workspace.data.store.metadata({ model, name, number });
    if (metadata === undefined || metadata.id !== dataId) return undefined;
    const modelName = (await this.#models()).get(model.id)?.name ?? metadata.tags["modelName"] ?? "";
    return { model, name, number, metadata, modelName };
  }

  /** By id and by name. */
  #models(): Promise<ReadonlyMap<string, DefinitionSummary>> {
    this.#known ??= this.#workspace.definitions
      .list()
      .then(
        ({ definitions }) =>
          new Map([
            ...definitions.map((one) => [one.id, one] as const),
            ...definitions.map((one) => [one.name, one] as const),
          ]),
      );
    return this.#known;
  }
}
