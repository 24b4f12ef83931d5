import { type DataListResult, listData, listRunData, type RunDataListResult } from "../../../app/data-use.ts";
import type { Console } from "../../console.ts";
import type { Handler } from "../../command.ts";
import { dateTime, size, table } from "../../render/table.ts";
import { runChoice } from "./of-run.ts";

export const handler: Handler = async ({ context, args, flags, console }) => {
  const type = flags.text("type");
  const run = runChoice(flags);
  if (run !== undefined) {
    const document = await listRunData(context, { ...run, type });
    return { document, text: () => textOfRun(document, type, console), paged: true };
  }
  const document = await listData(context, { model: args[0] ?? "", type });
  return { document, text: () => textOfModel(document, type, console), paged: true };
};

function textOfModel(document: DataListResult, type: string | undefined, console: Console): string {
  const { modelName, groups, total } = document;
  if (total === 0 && type !== undefined) return `${modelName} has no data of type ${type}.`;
  if (total === 0) return `${modelName} has no data. Run it: fen model method run ${modelName} <method>`;
  const rows = groups.flatMap((group) => group.items.map((item) => [item.name, group.type, ...more(item)]));
  return table(["NAME", "TYPE", "VERSION", "SIZE", "MADE (UTC)"], rows, (head) => console.dim(head));
}

function textOfRun(document: RunDataListResult, type: string | undefined, console: Console): string {
  const { workflowName, runId, runStatus, groups, total } = document;
  const what = `run ${runId.slice(0, 8)} of ${workflowName} (${console.status(runStatus)})`;
  const kind = type === undefined ? "" : ` of type ${type}`;
  if (total === 0)
    return `No step of ${what} left data${kind} that is there. See what it did: fen workflow history get ${runId}`;
  const rows = groups.flatMap((group) =>
    group.items.map((item) => [item.modelName, item.name, group.type, ...more(item)]),
  );
  const head = ["MODEL", "NAME", "TYPE", "VERSION", "SIZE", "MADE (UTC)"];
  return `Data of ${what}\n${table(head, rows, (text) => console.dim(text))}`;
}

function more({ version, size: bytes, createdAt }: DataListResult["groups"][number]["items"][number]): string[] {
  return [String(version), size(bytes ?? 0), dateTime(createdAt)];
}
