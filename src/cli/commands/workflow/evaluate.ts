import { evaluateWorkflow, evaluateWorkflows } from "../../../app/workflow-evaluate.ts";
import { FenError } from "../../../kernel/errors.ts";
import type { Handler } from "../../command.ts";
import { givenInputs } from "../../inputs.ts";

export const handler: Handler = async ({ context, args, flags, console }) => {
  const [workflow] = args;
  if (flags.on("all") === (workflow !== undefined))
    throw new FenError("usage", "Name one workflow, or say --all.", {
      hint: "For example: fen workflow evaluate --all",
    });
  if (workflow === undefined) {
    const document = await evaluateWorkflows(context);
    const lines = document.items.map((one) =>
      "error" in one ? `failed ${one.name}: ${one.error.message}` : `${one.name}: ${one.outputPath}`,
    );
    return {
      document,
      exitCode: document.evaluated === document.total ? 0 : 1,
      text: () => [...lines, `${document.evaluated} of ${document.total} evaluated`].join("\n"),
    };
  }
  const document = await evaluateWorkflow(context, { workflow, ...givenInputs(flags, console) });
  return { document, text: () => document.outputPath };
};
