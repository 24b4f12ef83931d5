import { searchData } from "../../../app/data-search.ts";
import { dateTime, size, table } from "../../render/table.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, flags, console }) => {
  const filters = {
    type: flags.text("type"),
    model: flags.text("model"),
    lifetime: flags.text("lifetime"),
    contentType: flags.text("content-type"),
    since: flags.text("since"),
    ownerType: flags.text("owner-type"),
    workflow: flags.text("workflow"),
    run: flags.text("run"),
    output: flags.text("output"),
    streaming: flags.on("streaming") || undefined,
  };
  const [query = "", tags] = [args[0], flags.list("tag")];
  const document = await searchData(context, { query, ...filters, tags, limit: flags.number("limit") ?? 50 });
  const isNarrowed = query !== "" || tags.length > 0 || Object.values(filters).some((one) => one !== undefined);
  const rows = document.results.map((item) => [
    item.modelName,
    item.name,
    String(item.version),
    size(item.size ?? 0),
    dateTime(item.createdAt),
  ]);
  const more = document.limited ? `\n${document.total - document.results.length} more: --limit ${document.total}` : "";
  const text = () =>
    rows.length === 0
      ? isNarrowed
        ? "No data matches. All there is: fen data search"
        : "No data yet. It is what methods leave: fen model search"
      : table(["MODEL", "NAME", "VERSION", "SIZE", "MADE (UTC)"], rows, (head) => console.dim(head)) + more;
  return { document, text, paged: true };
};
