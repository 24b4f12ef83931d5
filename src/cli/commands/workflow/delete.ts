import { deleteWorkflow } from "../../../app/workflow-changes.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, flags, console, json }) => {
  const document = await deleteWorkflow(context, {
    workflow: args[0] ?? "",
    force: flags.on("force"),
    confirm: (question) => (json ? Promise.resolve(true) : console.confirm(question)),
  });
  const text = () =>
    "cancelled" in document
      ? "Nothing was deleted."
      : `Deleted ${document.deleted.name} and ${document.runsDeleted === 1 ? "1 run" : `${document.runsDeleted} runs`} of it.`;
  return { document, text };
};
