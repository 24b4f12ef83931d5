import { editModel } from "../../../app/model-changes.ts";
import type { Handler } from "../../command.ts";
import { editWith } from "../../draft.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const [model = ""] = args;
  const document = await editWith(console, { what: "model", name: model }, (source) =>
    editModel(context, { model, source }),
  );
  return {
    document,
    text: () =>
      `${document.status === "unchanged" ? "Unchanged" : console.green("Updated")} ${document.name}\n${document.path}`,
  };
};
