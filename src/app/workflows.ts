/** Reading workflows: get, search, the schemas of their files. Takes no lock. */
import type { JobDefinition, WorkflowDefinition } from "../workflow/definition.ts";
import { workflowSchemas } from "../workflow/schema.ts";
import type { LoadedWorkflow } from "../workflow/workflows.ts";
import type { AppContext } from "./context.ts";
import { warnOf } from "./editing.ts";
import { openWorkspace } from "./workspace.ts";

export type WorkflowGetResult = WorkflowDefinition & {
  readonly jobs: readonly JobDefinition[];
  readonly path: string;
  /** Belongs to an extension: can't be changed. */
  readonly isExtension: boolean;
};

/** The workflow with its defaults filled in. Throws `workflow_missing`, `workflow_ambiguous`, or what is wrong with its file. */
export async function getWorkflow(
  context: AppContext,
  options: { readonly workflow: string },
): Promise<WorkflowGetResult> {
  const { workflows } = await openWorkspace(context);
  const { workflow, file, warnings, isExtension } = await workflows.find(options.workflow);
  warnOf(context, warnings);
  return { ...workflow, path: file, isExtension };
}

export interface WorkflowSearchResult {
  readonly query: string;
  readonly results: readonly {
    readonly id: string;
    readonly name: string;
    readonly description?: string;
    readonly jobCount: number;
  }[];
}

/** Names, descriptions and ids that hold the query. Files that can't be read are warned of, not hidden. */
export async function searchWorkflows(
  context: AppContext,
  options: { readonly query: string },
): Promise<WorkflowSearchResult> {
  const { workflows, problems } = await (await openWorkspace(context)).workflows.list();
  warnOf(context, problems);
  const wanted = options.query.toLowerCase();
  const fits = ({ workflow }: LoadedWorkflow): boolean =>
    workflow.id === wanted ||
    [workflow.name, workflow.description ?? ""].some((text) => text.toLowerCase().includes(wanted));
  const results = workflows.filter(fits).map(({ workflow: { id, name, description, jobs } }) => ({
    id,
    name,
    ...(description === undefined ? {} : { description }),
    jobCount: jobs.length,
  }));
  return { query: options.query, results };
}

/** The format of workflow files as JSON Schemas, part by part. */
export async function describeWorkflowFiles(): Promise<ReturnType<typeof workflowSchemas>> {
  return workflowSchemas();
}
