/** A workspace of which nothing is on the disk: for thousands of runs through the real engine, in this process. */
import { lockWith, type Workspace } from "../../src/app/workspace.ts";
import type { AppContext } from "../../src/app/context.ts";
import { FolderVersions } from "../../src/data/folders.ts";
import { Outputs } from "../../src/data/outputs.ts";
import { DataVersions } from "../../src/data/versions.ts";
import { FenError } from "../../src/kernel/errors.ts";
import { LockManager } from "../../src/lock/manager.ts";
import { Definitions, type LoadedDefinition } from "../../src/model/definitions.ts";
import { type ModelType, ModelTypes } from "../../src/model/type.ts";
import { layoutOf, type Repository } from "../../src/repo/repository.ts";
import type { WorkflowDefinition } from "../../src/workflow/definition.ts";
import { type LoadedWorkflow, Workflows } from "../../src/workflow/workflows.ts";
import { MemoryFiles } from "./memory-files.ts";
import { MemoryLocks } from "./memory-locks.ts";

const layout = layoutOf("/memory");
const repository: Repository = {
  layout,
  marker: { raw: {} },
  datastore: { kind: "filesystem", root: layout.runtimeDir, exclude: [] },
  workflowExtensionsDir: "/memory/extensions",
};

export interface MemoryWorkspace extends Workspace {
  readonly files: MemoryFiles;
  readonly lockTable: MemoryLocks;
}

export function memoryWorkspace(
  context: AppContext,
  parts: {
    readonly type: ModelType;
    readonly models: readonly string[];
    readonly workflows: readonly WorkflowDefinition[];
  },
): MemoryWorkspace {
  const files = new MemoryFiles();
  const lockTable = new MemoryLocks();
  const locks = new LockManager(lockTable, context.machine);
  return {
    ...{ repository, files, lockTable, locks, sync: undefined },
    datastore: {
      ...{ kind: "memory", location: "/memory", lookEveryMs: 100 },
      ...{ files, local: files, journals: files, locks: lockTable },
    },
    types: new ModelTypes([parts.type]),
    definitions: new MemoryDefinitions(parts.models, parts.type.name),
    workflows: new MemoryWorkflows(parts.workflows),
    data: new DataVersions(new FolderVersions(files)),
    outputs: new Outputs(files),
    lock: (requests, options) => lockWith(context, locks, { requests, ...options }),
  };
}

const idOf = (number: number) => `a0000000-0000-4000-a000-${String(number).padStart(12, "0")}`;

class MemoryDefinitions extends Definitions {
  readonly #loaded: ReadonlyMap<string, LoadedDefinition>;

  constructor(names: readonly string[], type: string) {
    super(layout);
    this.#loaded = new Map(
      names.map((name, number) => [
        name,
        {
          definition: { id: idOf(number), name, version: 1, type, tags: {}, globalArguments: {}, methods: {} },
          ...{ file: name, text: "", warnings: [], hash: () => "" },
        },
      ]),
    );
  }

  override async list(): ReturnType<Definitions["list"]> {
    const definitions = [...this.#loaded.values()].map(({ definition, file }) => ({ ...definition, file }));
    return { definitions, problems: [] };
  }

  override async load(file: string): Promise<LoadedDefinition> {
    const found = this.#loaded.get(file);
    if (found === undefined) throw new FenError("model_missing", `No model is called ${file}.`);
    return found;
  }

  override find(name: string): Promise<LoadedDefinition> {
    return this.load(name);
  }

  override async reread(before: LoadedDefinition): Promise<LoadedDefinition> {
    return before;
  }
}

class MemoryWorkflows extends Workflows {
  readonly #workflows: readonly WorkflowDefinition[];

  constructor(workflows: readonly WorkflowDefinition[]) {
    super(repository);
    this.#workflows = workflows;
  }

  override async find(name: string): Promise<LoadedWorkflow> {
    const workflow = this.#workflows.find((one) => one.name === name);
    if (workflow === undefined) throw new FenError("workflow_missing", `No workflow is called ${name}.`);
    return { workflow, file: name, text: "", warnings: [], isExtension: false };
  }
}
