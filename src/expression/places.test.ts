/** Where errors say they are, in texts of several lines. */
import { beforeAll, describe, expect, test } from "vitest";
import { parseYaml, yamlLocator } from "../repo/yaml.ts";
import { Cel } from "./cel.ts";
import { compileValue } from "./compile.ts";
import { type ExpressionError, withLine } from "./failure.ts";

let cel: Cel;
beforeAll(async () => {
  cel = await Cel.load();
});

/** The lines of a file whose `run` is wrong where `nope` stands; `\r` and all. */
const texts: readonly (readonly [string, string])[] = [
  ["a block of lines", "a: 1\nrun: |\n  one\n  two ${{ inputs.nope }}\n  three\n"],
  ["a block without its last line break", "run: |-\n  one\n\n\n  ${{ inputs.a }} ${{ inputs.nope }}"],
  ["a block that begins with empty lines", "run: |\n\n\n  ${{ inputs.nope }}\n"],
  ["a block that says its indent", "run: |2\n    deeper\n  ${{ inputs.nope }}\n"],
  ["a block behind a comment", "# all\nrun: | # a script\n  one\n  # ${{ inputs.a }}\n  ${{ inputs.nope }}\n"],
  ["a block with Windows line ends", "run: |\r\n  one\r\n  ${{ inputs.nope }}\r\n"],
  ["an expression over several lines", "run: |\n  echo ${{\n    inputs.a ==\n    inputs.nope\n  }}\n"],
  ["an expression whose first line is empty", "run: |\n  x ${{\n\n    inputs.nope }}\n"],
  ["folded text", "run: >\n  one\n  two ${{ inputs.a }}\n  three ${{ inputs.nope }}\n"],
  ["plain text over lines", "run: one\n  two\n  three ${{ inputs.nope }}\n"],
  ["quoted text over lines", 'run: "one\n  two ${{ inputs.a }}\n  three ${{ inputs.nope }}"\n'],
  ["one line", "a: 1\nrun: one ${{ inputs.nope }}\n"],
];

async function thrownBy(text: string, when: "at once" | "later"): Promise<ExpressionError> {
  const run = (parseYaml(text, "f.yaml") as { run: string }).run; // as the texts are
  const locate = when === "at once" ? await yamlLocator(text) : () => undefined;
  try {
    await compileValue(cel, run, { file: "f.yaml", path: ["run"], locate }).resolve({ inputs: { a: 1 } });
  } catch (error) {
    return (await withLine(error, "f.yaml", text)) as ExpressionError; // nothing else is thrown
  }
  throw new Error("nothing was wrong");
}

describe.each(["at once", "later"] as const)("an error whose line is looked for %s", (when) => {
  test.each(texts)("in %s names the line that is wrong, with a caret", async (_, text) => {
    const line = text.split("\n").findIndex((one) => one.includes("nope")) + 1;
    const error = await thrownBy(text, when);
    expect(error.message).toMatch(new RegExp(`^f\\.yaml:${line} \\(run\\): `));
    expect(error.facts["line"]).toBe(line);
    const [shown = "", caret = ""] = error.message.split("\n").slice(1);
    expect(shown.slice(caret.indexOf("^"))).toMatch(/^(\.?nope|inputs\.nope)/);
  });
});

test("syntax, an expression that isn't closed, and a variable that isn't there have their lines, too", async () => {
  for (const wrong of ["${{ 1 + }}", "${{ inputs.a", "${{ nope }}", '${{ "x" * 2 }}'])
    expect((await thrownBy(`run: |\n  one\n  two ${wrong}\n`, "later")).facts["line"], wrong).toBe(3);
});
