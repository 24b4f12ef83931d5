import { deleteModel } from "../../../app/model-changes.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, flags, console, json }) => {
  const document = await deleteModel(context, {
    model: args[0] ?? "",
    force: flags.on("force"),
    confirm: (question) => (json ? Promise.resolve(true) : console.confirm(question)),
  });
  const text = () =>
    "cancelled" in document
      ? "Nothing was deleted."
      : `Deleted ${document.deleted.name}: its definition, ${document.dataDeleted} data, ${document.outputsDeleted} outputs.`;
  return { document, text };
};
