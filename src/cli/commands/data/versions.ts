import { listVersions } from "../../../app/data-use.ts";
import { dateTime, size, table } from "../../render/table.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const document = await listVersions(context, { model: args[0] ?? "", name: args[1] ?? "" });
  const rows = document.versions.map((one) => [
    String(one.version),
    dateTime(one.createdAt),
    one.size === undefined ? "" : size(one.size),
    (one.checksum ?? "").slice(0, 12),
    one.renamedTo === undefined ? (one.lifecycle ?? (one.isLatest ? "latest" : "")) : `renamed to ${one.renamedTo}`,
  ]);
  return {
    document,
    text: () => table(["VERSION", "MADE (UTC)", "SIZE", "SHA-256", ""], rows, (head) => console.dim(head)),
    paged: true,
  };
};
