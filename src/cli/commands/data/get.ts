import { getData, streamData } from "../../../app/data-use.ts";
import { printable } from "../../render/columns.ts";
import { fields, size } from "../../render/table.ts";
import type { Handler } from "../../command.ts";
import { runChoice } from "./of-run.ts";

export const handler: Handler = async ({ context, args, flags, console, json }) => {
  const run = runChoice(flags);
  const [model = "", name = ""] = run === undefined ? args : ["", ...args];
  const options = {
    of: run ?? { model },
    name,
    version: flags.number("version"),
    content: flags.on("no-content") ? "none" : "inline",
  } as const;
  if (flags.on("raw") && !json) {
    for await (const chunk of await streamData(context, options)) if (!(await console.rawSlowly(chunk))) break;
    return { document: null, text: () => "", silent: true };
  }
  const document = await getData(context, options);
  const { content } = document;
  const shown =
    content === undefined ? [] : ["", typeof content === "string" ? content : JSON.stringify(content, undefined, 2)];
  const text = () =>
    [
      `${console.bold(printable(document.name))} of ${printable(document.modelName)}, version ${document.version}`,
      fields([
        ["made", document.createdAt],
        ["type", document.contentType],
        ["size", document.size === undefined ? undefined : size(document.size)],
        ["lifetime", document.lifetime],
        [
          "keeps",
          typeof document.garbageCollection === "number"
            ? `${document.garbageCollection} versions`
            : document.garbageCollection,
        ],
        ["tags", document.tags],
        ["file", document.contentPath],
      ]),
      ...shown,
    ].join("\n");
  return { document, text, verbatim: true, paged: true };
};
