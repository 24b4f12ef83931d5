import { followRun } from "../../../app/follow-run.ts";
import type { Handler } from "../../command.ts";
import { viewed } from "../../render/run-view/index.ts";
import { showRunEnd } from "../../render/workflow-run.ts";

export const handler: Handler = async (invocation) => {
  const { args, console } = invocation;
  const document = await viewed(invocation, (context) => followRun(context, { id: args[0] ?? "" }));
  return {
    document,
    exitCode: document.status === "succeeded" ? 0 : 1,
    text: () => showRunEnd(document, console),
  };
};
