import { validateModels } from "../../../app/model-changes.ts";
import type { Handler } from "../../command.ts";
import { validationText } from "../../render/validation.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const document = await validateModels(context, { model: args[0] });
  const text = () =>
    "models" in document
      ? [
          ...document.models.map((one) => validationText(console, { name: one.modelName, ...one })),
          `${document.totalPassed} passed, ${document.totalFailed} failed`,
        ].join("\n")
      : validationText(console, { name: document.modelName, ...document });
  return { document, exitCode: document.passed ? 0 : 1, text, paged: true };
};
