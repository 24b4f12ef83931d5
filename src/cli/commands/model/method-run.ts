import { runMethod } from "../../../app/run-method.ts";
import { duration } from "../../render/table.ts";
import type { Handler } from "../../command.ts";
import { givenInputs } from "../../inputs.ts";

export const handler: Handler = async ({ context, args, flags, console }) => {
  const [model = "", method = ""] = args;
  const document = await runMethod(context, {
    model,
    method,
    ...givenInputs(flags, console),
    tag: flags.list("tag"),
    lastEvaluated: flags.on("last-evaluated"),
  });
  const failed = document.status !== "succeeded";
  if (failed && !flags.on("json") && !flags.on("stream"))
    console.error(
      `${console.red("error:")} ${document.error?.message ?? "The method failed."}\nIts output is kept: fen data get ${document.modelName} ${document.data?.name ?? "result"}`,
    );
  return {
    document,
    exitCode: failed ? 1 : 0,
    text: () => {
      if (!failed)
        console.say(
          `${console.status(document.status)} ${console.bold(document.modelName)} ${document.methodName} in ${duration(document.durationMs)}${document.data === undefined ? "" : console.dim(`   fen data get ${document.modelName} ${document.data.name}`)}`,
        );
      return "";
    },
  };
};
