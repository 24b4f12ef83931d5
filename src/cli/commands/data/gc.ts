import { collectGarbage } from "../../../app/data-use.ts";
import { size, table } from "../../render/table.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, flags, console, json }) => {
  const document = await collectGarbage(context, {
    dryRun: flags.on("dry-run"),
    force: flags.on("force"),
    confirm: (question) => (json ? Promise.resolve(true) : console.confirm(question)),
  });
  const text = () => {
    if ("cancelled" in document) return "Nothing was deleted.";
    const rows = document.expiredEntries.map((entry) => [
      `${entry.type}/${entry.modelId}`,
      entry.dataName,
      String(entry.versionCount),
      entry.reason,
    ]);
    const sum = `${document.dryRun ? "Would delete" : "Deleted"} ${document.versionsDeleted} versions (${size(document.bytesReclaimed)}).`;
    return rows.length === 0
      ? "Nothing has expired."
      : `${table(["MODEL", "DATA", "VERSIONS", "WHY"], rows, (head) => console.dim(head))}\n${sum}${document.dryRun ? " Do it: fen data gc" : ""}`;
  };
  return { document, text, paged: true };
};
