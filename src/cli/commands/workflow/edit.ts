import { editWorkflow } from "../../../app/workflow-changes.ts";
import type { Handler } from "../../command.ts";
import { editWith } from "../../draft.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const [workflow = ""] = args;
  const document = await editWith(console, { what: "workflow", name: workflow }, (source) =>
    editWorkflow(context, { workflow, source }),
  );
  return {
    document,
    text: () =>
      `${document.status === "unchanged" ? "Unchanged" : console.green("Updated")} ${document.name}\n${document.path}`,
  };
};
