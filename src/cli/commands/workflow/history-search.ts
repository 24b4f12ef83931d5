import { searchRuns } from "../../../app/workflow-history.ts";
import type { Handler } from "../../command.ts";
import { dateTime, duration, table } from "../../render/table.ts";

export const handler: Handler = async ({ context, args, flags, console }) => {
  const document = await searchRuns(context, {
    query: args[0] ?? "",
    limit: flags.number("limit") ?? 50,
    since: flags.text("since"),
    status: flags.text("status"),
    workflow: flags.text("workflow"),
    tag: flags.list("tag"),
  });
  const rows = document.results.map((run) => [
    run.runId.slice(0, 8),
    run.workflowName,
    console.status(run.status),
    dateTime(run.startedAt),
    run.duration === undefined ? "" : duration(run.duration),
  ]);
  const head = ["ID", "WORKFLOW", "STATUS", "STARTED (UTC)", "TOOK"];
  return {
    document,
    text: () => (rows.length === 0 ? "No runs." : table(head, rows, (text) => console.dim(text))),
    paged: true,
  };
};
