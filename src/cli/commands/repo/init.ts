import { initRepository } from "../../../repo/repository.ts";
import type { Handler } from "../../command.ts";
import { version } from "../../main.ts";

export const handler: Handler = async ({ context, args, flags, console }) => {
  const { created, ...document } = await initRepository(context.machine, args[0] ?? context.repoDir ?? ".", {
    force: flags.on("force"),
    version,
  });
  const tool = flags.text("tool");
  // What scripts for the older program read: nothing of the kind is made here.
  const older = { skillsCopied: [], instructionsFileCreated: false, settingsCreated: false };
  return {
    document: { ...document, ...older, ...(tool === undefined ? {} : { tool }) },
    text: () =>
      created
        ? `${console.green("Made")} a repository in ${document.path}\nNext: fen model create command/shell web-01`
        : `The repository in ${document.path} is complete (made ${document.initializedAt}).`,
  };
};
