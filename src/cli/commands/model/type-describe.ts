import { describeType, type MethodDescription } from "../../../app/models.ts";
import type { Handler } from "../../command.ts";
import type { Console } from "../../console.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const document = await describeType(context, { type: args[0] ?? "" });
  const text = () =>
    [
      `${console.bold(document.type.normalized)}  ${document.description}  ${console.dim(document.version)}`,
      ...document.methods.map((method) => methodText(console, method)),
    ].join("\n");
  return { document, text, paged: true };
};

export function methodText(console: Console, method: MethodDescription): string {
  const properties = Object.entries(asMap(method.arguments["properties"]));
  const required = Array.isArray(method.arguments["required"]) ? method.arguments["required"] : [];
  const args = properties.map(([name, schema]) => {
    const { type, description } = asMap(schema);
    return `    ${name}${required.includes(name) ? " (required)" : ""}  ${console.dim(String(type ?? ""))}  ${String(description ?? "")}`;
  });
  const outputs = method.dataOutputSpecs.map(
    (spec) => `    ${spec.specName}  ${console.dim(`${spec.type}, ${spec.contentType}`)}  ${spec.description}`,
  );
  return [`  ${console.cyan(method.name)}  ${method.description}`, "  arguments", ...args, "  data", ...outputs].join(
    "\n",
  );
}

function asMap(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
