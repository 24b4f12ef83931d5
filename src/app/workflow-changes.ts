/** Changing workflows: create, edit, delete. */
import { FenError } from "../kernel/errors.ts";
import type { Datastore } from "../store/contract.ts";
import { runFiles, runsFolder } from "../workflow/run-files.ts";
import type { LoadedWorkflow } from "../workflow/workflows.ts";
import type { AppContext } from "./context.ts";
import { claimName, claimWorkflow, type EditSource, keepIdentity, refuseNewName, warnOf } from "./editing.ts";
import { listRuns } from "./find-run.ts";
import { sampleWorkflow } from "./sample-workflow.ts";
import { openWorkspace, type Workspace } from "./workspace.ts";

export interface WorkflowCreateResult {
  readonly id: string;
  readonly name: string;
  readonly path: string;
  readonly jobs: readonly {
    readonly name: string;
    readonly description?: string;
    readonly steps: readonly { readonly name: string; readonly description?: string; readonly taskType: string }[];
  }[];
}

/** Writes a workflow that can be run, if there is a model that it can call. Throws `name_invalid`, `workflow_exists`. */
export async function createWorkflow(
  context: AppContext,
  { name }: { readonly name: string },
): Promise<WorkflowCreateResult> {
  refuseNewName("workflow", name);
  const workspace = await openWorkspace(context);
  const id = context.machine.random.uuid();
  const { text, works } = await sampleWorkflow(workspace, { id, name });
  const claim = (file: string) => claimName(context, name, file);
  const { workflow, file } = await workspace.workflows.create(text, claim, { id, name });
  const hidden = await workspace.workflows.extension(name);
  if (hidden !== undefined)
    context.emit({ event: "warning", message: `${name} takes the place of an extension's workflow: ${hidden.file}` });
  if (!works)
    context.emit({
      event: "warning",
      message: "No model is there that it could call; it names one that you can make.",
      hint: "fen model create command/shell example",
    });
  return {
    id,
    name,
    path: file,
    jobs: workflow.jobs.map((job) => ({
      ...named(job),
      steps: job.steps.map((step) => ({ ...named(step), taskType: step.task.type })),
    })),
  };
}

function named({ name, description }: { readonly name: string; readonly description?: string }): {
  readonly name: string;
  readonly description?: string;
} {
  return { name, ...(description === undefined ? {} : { description }) };
}

export interface WorkflowEditResult {
  readonly path: string;
  readonly editor?: string;
  readonly status: "updated" | "unchanged";
  readonly name: string;
  readonly editType: "workflow";
}

/** The new text is checked before it replaces the old one, which stays where the check fails. */
export async function editWorkflow(
  context: AppContext,
  options: { readonly workflow: string; readonly source: EditSource },
): Promise<WorkflowEditResult> {
  const workspace = await openWorkspace(context);
  const { workflows } = workspace;
  const before = await workflows.find(options.workflow);
  refuseExtension(before);
  const given = options.source.text ?? (await options.source.edit(before.text));
  const text = await keepIdentity(given, { file: before.file, id: before.workflow.id });
  const { workflow, warnings } = await workflows.parse(text, before.file);
  warnOf(context, warnings);
  if (workflow.id !== before.workflow.id)
    throw new FenError("workflow_invalid", "The id of a workflow can't be changed.", {
      hint: `Keep id: ${before.workflow.id}`,
    });
  await changing(context, workspace, before, async () => {
    const claim = await claimName(context, workflow.name, workflows.claimPath(workflow.name));
    try {
      if (workflow.name !== before.workflow.name) await workflows.refuseTaken(workflow.name, before.file);
      if (text !== before.text) await workflows.replace(before.file, text);
    } finally {
      claim.release();
    }
  });
  return {
    path: before.file,
    ...(options.source.text === undefined ? { editor: options.source.editor } : {}),
    status: text === before.text ? "unchanged" : "updated",
    name: workflow.name,
    editType: "workflow",
  };
}

/** Does something with a workflow that nobody else changes meanwhile. Throws where it has been changed since it was read. */
async function changing<T>(
  context: AppContext,
  workspace: Workspace,
  before: LoadedWorkflow,
  work: () => Promise<T>,
): Promise<T> {
  const claim = await claimWorkflow(context, workspace, before.workflow);
  try {
    const now = await workspace.workflows.load(before.file);
    if (now.text !== before.text)
      throw new FenError("workflow_invalid", `Somebody else changed the workflow meanwhile: ${before.file}`, {
        hint: "Look at it and run the command again.",
      });
    return await work();
  } finally {
    claim.release();
  }
}

function refuseExtension({ workflow, file, isExtension }: LoadedWorkflow): void {
  if (isExtension)
    throw new FenError("workflow_read_only", `${workflow.name} belongs to an extension: ${file}`, {
      hint: "Make one of the same name in workflows/, which then takes its place.",
      facts: { workflow: workflow.name, file },
    });
}

export interface WorkflowDeleteResult {
  readonly deleted: { readonly id: string; readonly name: string; readonly workflowPath: string };
  readonly runsDeleted: number;
}

/**
 * With its runs and its evaluated copy; data of models stays. Throws `workflow_read_only`, `workflow_in_use` where another workflow names it,
 * `workflow_running` while a run of it is alive.
 */
export async function deleteWorkflow(
  context: AppContext,
  options: { readonly workflow: string; readonly force: boolean; confirm(question: string): Promise<boolean> },
): Promise<WorkflowDeleteResult | { readonly cancelled: true }> {
  const workspace = await openWorkspace(context);
  const before = await workspace.workflows.find(options.workflow);
  const { workflow, file } = before;
  refuseExtension(before);
  await refuseDelete(workspace, before);
  if (!options.force && !(await options.confirm(`Delete the workflow ${workflow.name} (${file})?`)))
    return { cancelled: true };
  return changing(context, workspace, before, async () => {
    await refuseDelete(workspace, before);
    const { files } = workspace.datastore;
    const runsDeleted = await removeRuns(workspace.datastore, workflow.id);
    await files.remove(`workflows-evaluated/workflow-${workflow.id}.yaml`);
    // The definition goes last: a crash in between leaves a workflow that can be deleted again.
    workspace.workflows.remove(file);
    return { deleted: { id: workflow.id, name: workflow.name, workflowPath: file }, runsDeleted };
  });
}

async function refuseDelete(workspace: Workspace, { workflow, file }: LoadedWorkflow): Promise<void> {
  const { name, id } = workflow;
  const other = (await workspace.workflows.naming("workflow", workflow)).find((one) => one !== file);
  if (other !== undefined)
    throw new FenError("workflow_in_use", `A workflow names ${name}: ${other}`, {
      hint: "Take the step out of that workflow first.",
      facts: { workflow: name, file: other },
    });
  const { files, journals } = workspace.datastore;
  for (const run of await listRuns(files, id)) {
    if ((await journals.owner(runFiles(run).owner)) === "alive")
      throw new FenError("workflow_running", `A run of ${name} is going on: ${run.id}`, {
        hint: `Wait for it, or end it: fen workflow cancel ${run.id.slice(0, 8)}`,
        facts: { workflow: name, id: run.id },
      });
  }
}

async function removeRuns({ files, journals }: Datastore, workflowId: string): Promise<number> {
  const runs = await listRuns(files, workflowId);
  await files.remove(`${runsFolder}/${workflowId}`);
  for (const run of runs) {
    const { owner, cancel } = runFiles(run);
    await journals.remove(owner);
    await files.remove(cancel);
  }
  return runs.length;
}
