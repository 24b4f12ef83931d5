import { describeMethod } from "../../../app/models.ts";
import type { Handler } from "../../command.ts";
import { methodText } from "./type-describe.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const document = await describeMethod(context, { model: args[0] ?? "", method: args[1] ?? "" });
  return {
    document,
    text: () =>
      `${console.bold(document.modelName)}  ${console.dim(document.modelType)}\n${methodText(console, document.method)}`,
  };
};
