import { renameData } from "../../../app/data-rename.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args }) => {
  const [model = "", from = "", to = ""] = args;
  const document = await renameData(context, { model, from, to });
  return {
    document,
    text: () =>
      `Renamed ${document.oldName} to ${document.newName} (version ${document.copiedVersion} is now ${document.newVersion}). ${document.warning}`,
  };
};
