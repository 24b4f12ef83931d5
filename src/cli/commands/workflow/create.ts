import { createWorkflow } from "../../../app/workflow-changes.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const document = await createWorkflow(context, { name: args[0] ?? "" });
  const { name, path } = document;
  return {
    document,
    text: () =>
      `${console.green("Made")} ${name}\n${path}\nNext: fen workflow edit ${name}   then: fen workflow run ${name}`,
  };
};
