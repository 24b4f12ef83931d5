import { syncDatastore } from "../../../app/datastore-sync.ts";
import { FenError } from "../../../kernel/errors.ts";
import type { Handler } from "../../command.ts";
import { exitCodes } from "../../exit-codes.ts";

export const handler: Handler = async ({ context, flags, console }) => {
  const [pull, push] = [flags.on("pull"), flags.on("push")];
  if (pull && push)
    throw new FenError("usage", "--pull and --push are both what happens without them.", {
      hint: "fen datastore sync",
    });
  const document = await syncDatastore(context, { mode: pull ? "pull" : push ? "push" : "sync" });
  const { filesPulled, filesPushed, runs = [], errors } = document;
  const text = () =>
    [
      ...runs.map(
        ({ model, runId, committed, keptAside }) =>
          `${committed ? console.green("committed") : console.yellow("not committed")}  ${model} run ${runId}${keptAside === undefined ? "" : `, kept in ${keptAside}`}`,
      ),
      ...errors.map((error) => `${console.red("error")}  ${error}`),
      [
        ...(filesPulled === undefined ? [] : [`${filesPulled} files pulled`]),
        ...(filesPushed === undefined ? [] : [`${filesPushed} files pushed`]),
      ].join(", "),
    ].join("\n");
  return { document, exitCode: errors.length === 0 ? 0 : exitCodes.bad_data.code, text };
};
