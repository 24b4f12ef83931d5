import { getModel } from "../../../app/models.ts";
import { fields } from "../../render/table.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const document = await getModel(context, { model: args[0] ?? "" });
  const { name, type, id, version, tags, globalArguments, path } = document;
  const methods = document.methods.map((method) => {
    const configured = Object.entries(method.configured ?? {}).map(
      ([key, value]) => `    ${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`,
    );
    return [`  ${console.cyan(method.name)}  ${method.description}`, ...configured].join("\n");
  });
  const text = () =>
    [
      console.bold(name),
      fields([
        ["type", type],
        ["id", id],
        ["version", version],
        ["tags", tags],
        ["globalArguments", globalArguments],
        ["inputs", document.inputs],
        ["file", path],
      ]),
      "methods",
      ...methods,
    ].join("\n");
  return { document, text, paged: true };
};
