/** The text of a new workflow: one that works, with comments that say how to go on. */
import type { ModelDefinition } from "../model/definition.ts";
import { problemOf } from "../repo/findings.ts";
import type { Workspace } from "./workspace.ts";

/** So many models are looked at for one to call. */
const maxLooks = 50;

interface Call {
  readonly model: string;
  readonly method: string;
}

interface Sample {
  readonly text: string;
  /** It calls a model that is there. */
  readonly works: boolean;
}

export async function sampleWorkflow(
  workspace: Workspace,
  names: { readonly id: string; readonly name: string },
): Promise<Sample> {
  const call = await findCall(workspace);
  return { text: sampleText(names, call), works: call !== undefined };
}

function sampleText({ id, name }: { readonly id: string; readonly name: string }, call: Call | undefined): string {
  const { model, method } = call ?? { model: "example", method: "execute" };
  const missing = call === undefined ? "  # make it: fen model create command/shell example" : "";
  return `# A workflow calls methods of models, in jobs of steps.
# Check it after each change: fen workflow validate ${name}
# Run it:                     fen workflow run ${name}
id: ${id}
name: ${scalar(name)}
description: Calls a method, to start from
version: 1

# What a run may be given, with --input greeting=hello. A step gets it as \${{ inputs.greeting }}.
# inputs:
#   properties:
#     greeting: { type: string, default: hi }

jobs:
  - name: first
    description: Jobs start at once, unless they wait for others
    steps:
      - name: call
        description: Steps start at once, unless they wait for others of their job
        task:
          type: model_method
          modelIdOrName: ${scalar(model)}${missing}
          methodName: ${scalar(method)}
          # inputs: { greeting: "\${{ inputs.greeting }}" }
        # forEach: { item: host, in: "\${{ inputs.hosts }}" }   # once for each: self.host
        # retry: { attempts: 3, backoff: 5s }
        # timeout: 5m

  # - name: second
  #   dependsOn: [{ job: first, condition: { type: succeeded } }]
  #   steps:
  #     - name: another-workflow
  #       task: { type: workflow, workflowIdOrName: <name> }
`;
}

/** A method that can be called as it is configured, of the first model that has one. */
async function findCall({ definitions, types }: Workspace): Promise<Call | undefined> {
  const { definitions: all } = await definitions.list();
  for (const { file, type } of all.slice(0, maxLooks)) {
    if (!types.has(type)) continue;
    const { methods } = types.find(type);
    const loaded = await definitions.load(file).catch((error: unknown) => problemOf(error, file));
    if (!("definition" in loaded) || needsInputs(loaded.definition)) continue;
    const method = Object.keys(loaded.definition.methods).find((one) => methods[one] !== undefined);
    if (method !== undefined) return { model: loaded.definition.name, method };
  }
  return undefined;
}

function needsInputs({ inputs, driver }: ModelDefinition): boolean {
  const required = inputs?.["required"];
  return (driver !== undefined && driver !== "raw") || (Array.isArray(required) && required.length > 0);
}

/** As it is where YAML reads it as text, else quoted. */
function scalar(text: string): string {
  const isPlain = /^[A-Za-z][A-Za-z0-9_-]*$/.test(text) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(text);
  return isPlain ? text : JSON.stringify(text);
}
