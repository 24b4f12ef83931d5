import { evaluateAllModels, evaluateModel } from "../../../app/evaluate-models.ts";
import { FenError } from "../../../kernel/errors.ts";
import type { Handler } from "../../command.ts";
import { givenInputs } from "../../inputs.ts";

export const handler: Handler = async ({ context, args, flags, console }) => {
  const [model] = args;
  const given = givenInputs(flags, console);
  const isAll = flags.on("all");
  if (isAll === (model !== undefined)) throw usage("Name a model, or say --all.");
  if (isAll && (given.input.length > 0 || given.inputFile !== undefined))
    throw usage("Inputs are for one model, not for --all.");
  if (model === undefined) {
    const document = await evaluateAllModels(context);
    const { total, evaluated } = document;
    const text = () => `Evaluated ${total} model${total === 1 ? "" : "s"}, ${evaluated} of them with expressions.`;
    return { document, text };
  }
  const document = await evaluateModel(context, { model, ...given });
  const { name, hadExpressions, outputPath } = document;
  const what = hadExpressions ? "Evaluated" : "No expressions in";
  return { document, text: () => `${what} ${console.bold(name)}\n${outputPath}` };
};

function usage(message: string): FenError {
  return new FenError("usage", message, { hint: "fen model evaluate web-01   or: fen model evaluate --all" });
}
