import { previewRun } from "../../../app/workflow-preview.ts";
import { runWorkflow } from "../../../app/workflow-run.ts";
import type { Handler } from "../../command.ts";
import { givenInputs } from "../../inputs.ts";
import { viewed } from "../../render/run-view/index.ts";
import { showPreview } from "../../render/workflow-preview.ts";
import { showRunEnd } from "../../render/workflow-run.ts";

export const handler: Handler = async (invocation) => {
  const { context, args, flags, console } = invocation;
  const [workflow = ""] = args;
  const options = {
    workflow,
    ...givenInputs(flags, console),
    tag: flags.list("tag"),
    concurrency: flags.number("concurrency"),
    lastEvaluated: flags.on("last-evaluated"),
  };
  if (flags.on("explain") || flags.on("dry-run")) {
    const document = await previewRun(context, options);
    return { document, text: () => showPreview(document, console, { locksOnly: flags.on("explain") }) };
  }
  const document = await viewed(invocation, (watched) => runWorkflow(watched, options));
  return {
    document,
    exitCode: document.status === "succeeded" ? 0 : 1,
    text: () => showRunEnd(document, console),
  };
};
