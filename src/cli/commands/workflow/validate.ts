import { validateWorkflows } from "../../../app/workflow-validate.ts";
import type { Handler } from "../../command.ts";
import { validationText } from "../../render/validation.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const document = await validateWorkflows(context, { workflow: args[0] });
  const text = () =>
    "workflows" in document
      ? [
          ...document.workflows.map((one) => validationText(console, { name: one.workflowName, ...one })),
          `${document.totalPassed} passed, ${document.totalFailed} failed`,
        ].join("\n")
      : validationText(console, { name: document.workflowName, ...document });
  return { document, exitCode: document.passed ? 0 : 1, text, paged: true };
};
