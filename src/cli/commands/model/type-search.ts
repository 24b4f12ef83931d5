import { searchTypes } from "../../../app/models.ts";
import { table } from "../../render/table.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const document = await searchTypes(context, { query: args[0] ?? "" });
  const text = () =>
    document.results.length === 0
      ? "No type matches."
      : table(
          ["TYPE", "DESCRIPTION"],
          document.results.map((type) => [type.normalized, type.description]),
          (head) => console.dim(head),
        );
  return { document, text };
};
