import { getOutput } from "../../../app/outputs-use.ts";
import { duration, fields } from "../../render/table.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const document = await getOutput(context, { id: args[0] ?? "" });
  const { id, modelName, methodName, status, startedAt, durationMs, error, logFile } = document;
  const text = () =>
    [
      `${console.bold(modelName)} ${methodName}  ${console.status(status)}`,
      fields([
        ["id", id],
        ["started", startedAt],
        ["took", durationMs === undefined ? undefined : duration(durationMs)],
        ["error", error?.message],
        ["log", logFile],
        ["data", document.artifacts.dataArtifacts.map((one) => `${one.name} v${one.version}`).join(", ")],
      ]),
      console.dim(
        `Log: fen model method history logs ${id.slice(0, 8)}   Data: fen model output data ${id.slice(0, 8)}`,
      ),
    ].join("\n");
  return { document, text };
};
