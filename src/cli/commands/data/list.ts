import { listData } from "../../../app/data-use.ts";
import { size, table } from "../../render/table.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, flags, console }) => {
  const type = flags.text("type");
  const document = await listData(context, { model: args[0] ?? "", type });
  const rows = document.groups.flatMap((group) =>
    group.items.map((item) => [
      item.name,
      group.type,
      String(item.version),
      size(item.size ?? 0),
      item.createdAt.slice(0, 19).replace("T", " "),
    ]),
  );
  const text = () =>
    rows.length === 0
      ? type !== undefined
        ? `${document.modelName} has no data of type ${type}.`
        : `${document.modelName} has no data. Run it: fen model method run ${document.modelName} <method>`
      : table(["NAME", "TYPE", "VERSION", "SIZE", "MADE (UTC)"], rows, (head) => console.dim(head));
  return { document, text, paged: true };
};
