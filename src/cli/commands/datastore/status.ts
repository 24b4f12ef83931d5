import { datastoreStatus } from "../../../app/datastore-use.ts";
import { exitCodes } from "../../exit-codes.ts";
import { fields } from "../../render/table.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, console }) => {
  const document = await datastoreStatus(context);
  const text = () =>
    `${document.healthy ? console.green("healthy") : console.red("not healthy")}  ${document.message}\n${fields([
      ["type", document.type],
      ["path", document.path],
      ["latency", `${document.latencyMs} ms`],
      ["folders", document.directories.join(", ")],
    ])}`;
  return { document, exitCode: document.healthy ? 0 : exitCodes.unavailable.code, text };
};
