import { searchOutputs } from "../../../app/outputs-use.ts";
import { dateTime, duration, table } from "../../render/table.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, flags, console }) => {
  const document = await searchOutputs(context, { query: args[0] ?? "", limit: flags.number("limit") ?? 50 });
  const rows = document.results.map((run) => [
    run.id.slice(0, 8),
    run.modelName,
    run.methodName,
    console.status(run.status),
    dateTime(run.startedAt),
    run.durationMs === undefined ? "" : duration(run.durationMs),
  ]);
  const text = () =>
    rows.length === 0
      ? "No runs."
      : table(["ID", "MODEL", "METHOD", "STATUS", "STARTED (UTC)", "TOOK"], rows, (head) => console.dim(head));
  return { document, text, paged: true };
};
