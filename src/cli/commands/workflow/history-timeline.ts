import { statSync } from "node:fs";
import { resolve } from "node:path";
import { type RunTimeline, runTimeline } from "../../../app/workflow-history.ts";
import { FenError } from "../../../kernel/errors.ts";
import { writeFileAtomic } from "../../../kernel/files.ts";
import type { Handler, Invocation } from "../../command.ts";
import { timelinePage } from "../../render/timeline-page/page.ts";
import { showTimeline } from "../../render/timeline-text.ts";

export const handler: Handler = async (invocation) => {
  const { context, args, flags, console } = invocation;
  const timeline = await runTimeline(context, { id: args[0] ?? "" });
  const file = flags.text("html");
  if (file === undefined) return { document: timeline, text: () => showTimeline(timeline, console), paged: true };
  const html = await writePage(invocation, timeline, file);
  return {
    document: { ...timeline, html },
    text: () =>
      `${html}\n${console.dim(`Open it in a browser: ${timeline.steps.length} steps of ${timeline.workflowName}`)}`,
  };
};

/** Gives the absolute path. Folders that are missing are made. */
async function writePage({ context }: Invocation, timeline: RunTimeline, file: string): Promise<string> {
  const path = resolve(context.machine.host.cwd, file);
  if (file === "" || /[/\\]$/.test(file) || isNoFile(path))
    throw new FenError("usage", `--html needs the name of a file, not of a folder or a device: ${path}`, {
      hint: "For example: --html run.html",
    });
  await writeFileAtomic(path, timelinePage(timeline));
  return path;
}

/** True where something else is: a device that is replaced by a file is lost. */
function isNoFile(path: string): boolean {
  try {
    return !statSync(path).isFile();
  } catch {
    return false; // what there is to say is said when it is written
  }
}
