import { setUpFolder } from "../../../app/datastore-setup.ts";
import { FenError } from "../../../kernel/errors.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, flags, console }) => {
  const path = flags.text("path");
  if (path === undefined)
    throw new FenError("usage", "--path is missing.", { hint: "fen datastore setup filesystem --path <folder>" });
  const document = await setUpFolder(context, { path });
  return { document, text: () => `${console.green("set up")}  The datastore is ${document.path} now.` };
};
