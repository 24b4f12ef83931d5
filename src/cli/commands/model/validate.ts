import { validateModels } from "../../../app/model-changes.ts";
import type { Handler } from "../../command.ts";
import { validationText } from "../../render/validation.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const document = await validateModels(context, { model: args[0] });
  const [all, totals] = "models" in document ? [document.models, document] : [[document]];
  const checked = all.map((one) => ({ ...one, name: one.modelName }));
  return {
    document,
    exitCode: document.passed ? 0 : 1,
    text: () => validationText(console, checked, totals),
    paged: true,
  };
};
