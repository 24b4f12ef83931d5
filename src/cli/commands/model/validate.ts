import { type ModelValidation, validateModels } from "../../../app/model-changes.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const document = await validateModels(context, { model: args[0] });
  const one = (model: ModelValidation) => {
    const head = `${model.passed ? console.green("passed") : console.red("failed")} ${model.modelName}`;
    const errors = model.validations
      .filter((validation) => !validation.passed)
      .map((validation) => `  ${validation.name}: ${(validation.error ?? "").replaceAll("\n", "\n    ")}`);
    return [head, ...errors].join("\n");
  };
  const text = () =>
    "models" in document
      ? [...document.models.map(one), `${document.totalPassed} passed, ${document.totalFailed} failed`].join("\n")
      : one(document);
  return { document, exitCode: document.passed ? 0 : 1, text, paged: true };
};
