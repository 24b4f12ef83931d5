import { errorCodes } from "../../kernel/error-codes.ts";
import type { Handler } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";
import { commandTree, helpText } from "../help.ts";
import { version } from "../main.ts";
import { parseLine } from "../parse.ts";

export const handler: Handler = async ({ args, console }) => {
  if (args.length > 0) parseLine([...args, "--help"]); // an unknown word is an error, with what was probably meant
  return {
    document: {
      version,
      root: commandTree(args),
      exitCodes: Object.values(exitCodes),
      errorCodes: Object.entries(errorCodes).map(([code, info]) => ({
        code,
        ...info,
        exitCode: exitCodes[info.kind].code,
      })),
    },
    text: () => helpText(args, (text) => console.bold(text)),
    paged: true,
  };
};
