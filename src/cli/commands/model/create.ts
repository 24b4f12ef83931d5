import { createModel } from "../../../app/model-changes.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, flags, console }) => {
  const [type = "", name = ""] = args;
  const document = await createModel(context, { type, name, globalArgs: flags.list("global-arg") });
  const method = document.methods[0]?.name ?? "<method>";
  return {
    document,
    text: () =>
      `${console.green("Made")} ${document.name} (${document.type})\n${document.path}\nNext: fen model edit ${name}   then: fen model method run ${name} ${method}`,
  };
};
