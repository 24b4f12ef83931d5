import { historyLogs } from "../../../app/outputs-use.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, flags }) => {
  const document = await historyLogs(context, { id: args[0] ?? "", tail: flags.number("tail", 0) });
  return { document, text: () => document.lines.join("\n"), verbatim: true, paged: true };
};
