/** `--last-evaluated`: definitions and workflows run as `evaluate` wrote them last, not as they are in the repository now. */
import { InputsSchema } from "../expression/inputs-schema.ts";
import { FenError } from "../kernel/errors.ts";
import type { LoadedDefinition } from "../model/definitions.ts";
import type { LoadedWorkflow } from "../workflow/workflows.ts";
import type { Workspace } from "./workspace.ts";

const maxBytes = 16 * 1024 * 1024;

/** Where a run finds the definitions that it runs. */
export interface RunModels {
  /** By name or id. Throws `model_missing`. */
  find(nameOrId: string): Promise<LoadedDefinition>;
  /** The same definition as it is now, for use under its lock. Throws `model_missing` where it is gone or another. */
  reread(before: LoadedDefinition): Promise<LoadedDefinition>;
}

/** As they were evaluated; a model must still be in the repository. Throws `evaluation_missing` beside what others throw. */
export class EvaluatedModels implements RunModels {
  readonly #workspace: Workspace;
  readonly #models: Pick<RunModels, "find">;
  readonly #found = new Map<string, Promise<LoadedDefinition>>();
  /** As they are in the repository, by the evaluated one. */
  readonly #now = new WeakMap<LoadedDefinition, LoadedDefinition>();

  /** `models`: as they are in the repository. */
  constructor(workspace: Workspace, models: Pick<RunModels, "find">) {
    this.#workspace = workspace;
    this.#models = models;
  }

  find(nameOrId: string): Promise<LoadedDefinition> {
    const found = this.#found.get(nameOrId) ?? this.#find(nameOrId);
    this.#found.set(nameOrId, found);
    return found;
  }

  async #find(nameOrId: string): Promise<LoadedDefinition> {
    return this.#evaluated(await this.#models.find(nameOrId), undefined);
  }

  async reread(before: LoadedDefinition): Promise<LoadedDefinition> {
    const now = this.#now.get(before);
    if (now === undefined) throw new Error("it was not found here");
    return this.#evaluated(await this.#workspace.definitions.reread(now), before);
  }

  /** `before`: kept where it is the same still. */
  async #evaluated(now: LoadedDefinition, before: LoadedDefinition | undefined): Promise<LoadedDefinition> {
    const { type, id, name } = now.definition;
    const path = `definitions-evaluated/${type}/${id}.yaml`;
    const text = await readStored(this.#workspace, path);
    if (text === undefined) throw missing("model", name);
    if (text === before?.text) return before;
    const loaded = await this.#workspace.definitions.parse(text, this.#workspace.datastore.files.locate(path));
    this.#now.set(loaded, now);
    return loaded;
  }
}

/** A workflow as it was evaluated: what its inputs were is in it, as their defaults, so none is asked for, checked or completed. Throws `evaluation_missing`. */
export async function evaluatedWorkflow(workspace: Workspace, now: LoadedWorkflow): Promise<LoadedWorkflow> {
  const { id, name } = now.workflow;
  const path = `workflows-evaluated/workflow-${id}.yaml`;
  const text = await readStored(workspace, path);
  if (text === undefined) throw missing("workflow", name);
  const loaded = await workspace.workflows.parse(text, workspace.datastore.files.locate(path));
  const inputs = new InputsSchema(loaded.workflow.inputs ?? {}).onlyDefaults();
  return { ...loaded, workflow: { ...loaded.workflow, inputs }, evaluatedFrom: now.file };
}

async function readStored({ datastore }: Workspace, path: string): Promise<string | undefined> {
  const bytes = await datastore.files.read(path, { maxBytes });
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

function missing(kind: "model" | "workflow", name: string): FenError {
  return new FenError("evaluation_missing", `The ${kind} ${name} hasn't been evaluated yet.`, {
    hint: `Evaluate it: fen ${kind} evaluate ${name}   Or run it as it is, without --last-evaluated.`,
    facts: kind === "model" ? { model: name } : { workflow: name },
  });
}
