import { deleteData } from "../../../app/data-use.ts";
import { size } from "../../render/table.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, flags, console, json }) => {
  const [model = "", name = ""] = args;
  const document = await deleteData(context, {
    model,
    name,
    version: flags.number("version"),
    force: flags.on("force"),
    confirm: (question) => (json ? Promise.resolve(true) : console.confirm(question)),
  });
  const text = () =>
    "cancelled" in document
      ? "Nothing was deleted."
      : `Deleted ${document.dataName} of ${document.modelName}: version ${document.versionsDeleted.join(", ")} (${size(document.bytesReclaimed)}).`;
  return { document, text };
};
