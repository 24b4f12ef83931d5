import { errorCodes } from "../../kernel/error-codes.ts";
import type { Handler, Outcome } from "../command.ts";
import type { Console } from "../console.ts";
import { exitCodes } from "../exit-codes.ts";
import { commandTree, folded, helpText } from "../help.ts";
import { version } from "../main.ts";
import { parseLine } from "../parse.ts";

export const handler: Handler = async ({ args, console }) => {
  if (args.length > 0) parseLine([...args, "--help"]); // an unknown word is an error, with what was probably meant
  return helpOn(args, console);
};

/** Help for a command, a group, or everything (no words). */
export function helpOn(words: readonly string[], console: Console): Outcome {
  return {
    document: {
      version,
      root: commandTree(words),
      exitCodes: Object.values(exitCodes),
      errorCodes: Object.entries(errorCodes).map(([code, info]) => ({
        code,
        ...info,
        exitCode: exitCodes[info.kind].code,
      })),
      errorSchema: "schemas/error.json",
    },
    text: () => {
      const text = helpText(words, (title) => console.bold(title));
      return console.isTerminal ? folded(text, console.width) : text;
    },
    paged: true,
  };
}
