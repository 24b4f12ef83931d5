import { validateWorkflows } from "../../../app/workflow-validate.ts";
import type { Handler } from "../../command.ts";
import { validationText } from "../../render/validation.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const document = await validateWorkflows(context, { workflow: args[0] });
  const [all, totals] = "workflows" in document ? [document.workflows, document] : [[document]];
  const checked = all.map((one) => ({ ...one, name: one.workflowName }));
  return {
    document,
    exitCode: document.passed ? 0 : 1,
    text: () => validationText(console, checked, totals),
    paged: true,
  };
};
