import { outputData } from "../../../app/outputs-use.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, flags }) => {
  const document = await outputData(context, {
    id: args[0] ?? "",
    name: flags.text("name"),
    field: flags.text("field"),
    version: flags.number("version"),
  });
  return {
    document,
    text: () => (typeof document.data === "string" ? document.data : JSON.stringify(document.data, undefined, 2)),
    verbatim: true,
    paged: true,
  };
};
