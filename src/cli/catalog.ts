/** All commands: their place in the tree and their words. Help, completions and the docs are made from this; handlers load when they run. */
import { dataCommands } from "./catalog/data.ts";
import { generalCommands } from "./catalog/general.ts";
import { modelsCommands } from "./catalog/models.ts";
import { workflowsCommands } from "./catalog/workflows.ts";
import type { CommandSpec } from "./command.ts";

export const groups: Readonly<Record<string, string>> = {
  repo: "Repositories",
  model: "Models: what is automated, each a YAML file",
  "model type": "Types that models can be of",
  "model method": "Methods: what models can do",
  "model method history": "Past runs",
  "model output": "Records of runs, their data and logs",
  workflow: "Workflows: methods of many models, in jobs of steps",
  "workflow history": "Past runs of workflows, and those that go on",
  data: "Versioned data that runs leave behind",
  datastore: "Where data lives and who holds its locks",
  "datastore setup": "Where the datastore is to be",
  "datastore lock": "Locks: who holds which, and the last resort",
};

export const catalog: readonly CommandSpec[] = [
  ...generalCommands,
  ...modelsCommands,
  ...workflowsCommands,
  ...dataCommands,
];
