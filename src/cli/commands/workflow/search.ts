import { getWorkflow, searchWorkflows } from "../../../app/workflows.ts";
import { table } from "../../render/table.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, console, json }) => {
  const document = await searchWorkflows(context, { query: args[0] ?? "" });
  const [only] = document.results;
  // Scripts know it so: a query that names exactly one workflow gives the workflow.
  if (json && args[0] !== undefined && document.results.length === 1 && only !== undefined)
    return { document: await getWorkflow(context, { workflow: only.name }), text: () => "" };
  const text = () => {
    if (document.results.length === 0)
      return args[0] === undefined
        ? "No workflows yet. Make one: fen workflow create patch-fleet"
        : `No workflow matches ${args[0]}.`;
    return table(
      ["NAME", "JOBS", "DESCRIPTION"],
      document.results.map(({ name, jobCount, description = "" }) => [name, String(jobCount), firstLine(description)]),
      (head) => console.dim(head),
    );
  };
  return { document, text, paged: true };
};

function firstLine(text: string): string {
  return (text.split("\n")[0] ?? "").slice(0, 100);
}
