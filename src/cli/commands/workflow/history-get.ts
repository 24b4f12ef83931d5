import { getRun } from "../../../app/workflow-history.ts";
import type { Handler } from "../../command.ts";
import { showRun } from "../../render/past-run.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const document = await getRun(context, { id: args[0] ?? "" });
  return { document, text: () => showRun(document, console), paged: true };
};
