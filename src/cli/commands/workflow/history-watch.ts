import { followRun } from "../../../app/follow-run.ts";
import type { Handler } from "../../command.ts";
import { showRunEnd } from "../../render/workflow-run.ts";
import { runViewFor } from "../../render/run-view/index.ts";

export const handler: Handler = async ({ context, args, flags, console, json }) => {
  const view = json ? undefined : runViewFor(console, context.machine.clock, { verbose: flags.on("verbose") });
  const watching = view === undefined ? context : { ...context, emit: view.event };
  // A line of the run's that nobody asked for would be no part of the one document.
  const quiet = flags.on("json") && !flags.on("stream") ? { ...watching, emit: () => undefined } : watching;
  try {
    const document = await followRun(quiet, { id: args[0] ?? "" });
    view?.finish();
    return {
      document,
      exitCode: document.status === "succeeded" ? 0 : 1,
      text: () => showRunEnd(document, console),
    };
  } finally {
    view?.finish();
  }
};
