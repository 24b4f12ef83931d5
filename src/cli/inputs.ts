/** `--input` and `--input-file` of a command line. */
import type { PipedInputs } from "../app/inputs.ts";
import { FenError } from "../kernel/errors.ts";
import type { Flags } from "./command.ts";
import type { Console } from "./console.ts";

/** The file `-` is standard input, which is read when it is needed. */
export function givenInputs(
  flags: Flags,
  console: Console,
): { readonly input: readonly string[]; readonly inputFile: string | PipedInputs | undefined } {
  const file = flags.text("input-file");
  return { input: flags.list("input"), inputFile: file === "-" ? pipedInto(console) : file };
}

function pipedInto(console: Console): PipedInputs {
  return {
    name: "standard input",
    read: async (maxBytes) => {
      const text = await console.readInput(maxBytes);
      if (text !== undefined) return text;
      throw new FenError("usage", "--input-file - reads standard input, and nothing is piped in.", {
        hint: "Pipe the inputs in: --input-file - < inputs.yaml   Or name the file: --input-file inputs.yaml",
      });
    },
  };
}
