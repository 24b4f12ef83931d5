import { getModel, searchModels } from "../../../app/models.ts";
import { table } from "../../render/table.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, console, json }) => {
  const document = await searchModels(context, { query: args[0] ?? "" });
  const [only] = document.results;
  // Scripts know it so: a query that names exactly one model gives the model.
  if (json && args[0] !== undefined && document.results.length === 1 && only !== undefined)
    return { document: await getModel(context, { model: only.id }), text: () => "" };
  const text = () => {
    if (document.results.length === 0)
      return args[0] === undefined
        ? "No models yet. Make one: fen model create command/shell web-01"
        : `No model matches ${args[0]}.`;
    return table(
      ["NAME", "TYPE", "ID"],
      document.results.map(({ name, type, id }) => [name, type, id]),
      (head) => console.dim(head),
    );
  };
  return { document, text, paged: true };
};
