import { setUpFolder } from "../../../app/datastore-setup.ts";
import { FenError } from "../../../kernel/errors.ts";
import { migrationFlags, setupText } from "./setup-text.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, flags, console }) => {
  const path = flags.text("path");
  if (path === undefined)
    throw new FenError("usage", "--path is missing.", { hint: "fen datastore setup filesystem --path <folder>" });
  const document = await setUpFolder(context, { path, ...migrationFlags(flags) });
  return { document, text: () => setupText(console, document) };
};
