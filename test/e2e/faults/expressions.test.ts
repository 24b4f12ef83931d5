/** Expressions in definitions: what they give, and how hostile or hopeless ones are refused before anything runs. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Result, runFen, type Scratch, scratchRepo } from "../../support/cli.ts";
import { execute, expectClean, expectRefusal, tree } from "./attack.ts";

let repo: Scratch;
beforeAll(async () => {
  repo = await scratchRepo();
});
afterAll(() => repo.remove());

const file = "models/command/shell/e.yaml";
const definition = (run: string, more = ""): string => `type: command/shell
id: a0000000-0000-4000-a000-00000000000e
name: e
version: 1
tags: { site: ams }
globalArguments: { host: h1, list: [1, 2], map: { a: 1 } }
inputs:
  properties:
    n: { type: integer, default: 3 }
    x: { type: number, default: 5.5 }
    maybe: { type: string }
    must: { type: string }
  required: [must]
methods:
  execute:
    arguments:
      run: ${JSON.stringify(run)}
${more}`;

const run = (
  text: string,
  env: Readonly<Record<string, string>> = {},
  args: readonly string[] = [],
): Promise<Result> => {
  repo.write(file, text);
  return runFen([...execute("e"), "--json", ...args], { cwd: repo.path, env });
};

describe("a value", () => {
  test("of every kind, several in one string, is put into the text", async () => {
    const cases: [string, string][] = [
      ["${{ self.name }}-${{ self.globalArguments.host }}", "e-h1"],
      ["${{ inputs.n == 3 }}", "true"],
      ["${{ 3 == inputs.n }}", "true"],
      ["${{ inputs.n + 1 }}", "4"],
      ["${{ 1 + inputs.n * 2 }}", "7"],
      ["${{ inputs.n / 2 }}", "1.5"],
      ["${{ inputs.n % 2 }}", "1"],
      ["${{ inputs.n > 2 && inputs.x < 6 }}", "true"],
      ["${{ inputs.x + inputs.n }}", "8.5"],
      ["${{ has(inputs.maybe) ? inputs.maybe : 'none' }}", "none"],
      ["${{ has(inputs.n) }}", "true"],
      ["${{ '}}' + \"}}\" }}", "}}}}"],
      ["${{ {'a': {'b': 'deep'}}.a.b }}", "deep"],
      ["${{ self.globalArguments.list.map(i, i + 1).exists(i, i == 3) }}", "true"],
      ["${{\n  self.tags.site\n}}", "ams"],
      ["${{ self.tags.site == 'ams' ?\n 'here'\n : 'there' }}", "here"],
      ["${SHELL_VAR:-plain} {{ go }} $${{ 'x' }}", "plain {{ go }} $x"],
      ["${{ self.version }}", "1"],
      ["${{ env.FROM_ENV }}", "outside"],
      ["${{ 'é' + '\u{1F600}' }}", "é\u{1F600}"],
    ];
    const text = `cat <<'X'\n${cases.map(([source]) => `<${source}>`).join("\n")}\nX`;
    const result = await run(definition(text), { FROM_ENV: "outside" });
    expect(result.stderr).toBe("");
    const shown: string = result.json().data.attributes.stdout;
    // The here-document is quoted, so that the shell leaves its own variables alone.
    const wanted = cases
      .map(([, value]) => `<${value}>`)
      .join("\n")
      .replace("<plain", "<${SHELL_VAR:-plain}");
    expect(shown).toBe(wanted);
  });

  test("that is the whole of an argument keeps its type", async () => {
    const result = await run(
      definition("echo x", "      ignoreExitCode: ${{ inputs.n == 3 }}\n      timeout: ${{ inputs.n * 10000 }}\n"),
    );
    expect(result.exitCode, result.stderr).toBe(0);
  });
});

describe("an expression that can't be resolved", () => {
  const line = 17;
  test.each([
    ["an input that is required", "${{ inputs.must }}", "input_invalid", /must: is required/],
    ["an input that isn't declared", "${{ inputs.nn }}", "expression_failed", /nothing is called nn here/],
    ["a variable that isn't set", "${{ env.NOT_SET_ANYWHERE }}", "expression_failed", /NOT_SET_ANYWHERE/],
    ["an unknown variable", "${{ input.n }}", "expression_invalid", /no variable input\b/],
    ["a model that doesn't exist", "${{ model.web.input.name }}", "expression_failed", /no model is called web/],
    ["data of a model that doesn't exist", "${{ data.latest('web', 'result') }}", "expression_failed", /No model.*web/],
    ["data that isn't there", "${{ data.latest('e', 'nothing').attributes.x }}", "expression_failed", /attributes/],
    ["a secret of a vault", "${{ vault.get('v', 'k') }}", "expression_not_yet", /can't be read yet/],
    ["a file of a model that doesn't exist", "${{ file.contents('a', 'b') }}", "expression_failed", /No model.*a/],
    ["bad syntax", "${{ 1 + }}", "expression_invalid", /1 \+\n\s+\^/],
    ["an expression that isn't closed", "${{ 1 + 1", "expression_invalid", /not closed/],
    ["an empty one", "${{ }}", "expression_invalid", /e\.yaml/],
    ["an unknown function", "${{ today() }}", "expression_invalid", /no today\(\)/],
    ["text and a number that are written", "${{ 'a' + 1 }}", "expression_invalid", /string and int/],
    ["text and a number", "${{ 'a' + inputs.n }}", "expression_failed", /inputs\.n is 3 \(number\)/],
    ["what JavaScript would find", "${{ inputs.constructor }}", "expression_failed", /constructor/],
    ["what JavaScript would find on a map", "${{ self.__proto__.polluted }}", "expression_failed", /__proto__/],
    [
      "parentheses 100,000 deep",
      `\${{ ${"(".repeat(100_000)}1${")".repeat(100_000)} }}`,
      "expression_invalid",
      /maxDepth/,
    ],
    ["half a million nodes", `\${{ ${"1+".repeat(250_000)}1 }}`, "expression_invalid", /maxAstNodes/],
  ])("%s is refused with file, line and key, and nothing runs", async (_, source, code, message) => {
    const outputs = tree(join(repo.path, ".swamp/outputs"));
    const error = expectRefusal(await run(definition(`touch ran; ${source}`)), code, 65);
    expect(error.message).toMatch(message);
    if (code !== "input_invalid") {
      expect(error.message).toContain(`${file}:${line} (methods.execute.arguments.run)`);
      expect(error).toMatchObject({ line, key: "methods.execute.arguments.run" });
      expect(error.message.length).toBeLessThan(2000);
    }
    expect(tree(repo.path)).not.toContain("ran");
    expect(tree(join(repo.path, ".swamp/outputs"))).toEqual(outputs);
    expectClean(join(repo.path, ".swamp"));
  });

  test("one that would compute for years ends after seconds", async () => {
    const many = `[${Array.from({ length: 60 }, (_, index) => index).join(",")}]`;
    const source = `\${{ ${many}.all(a, ${many}.all(b, ${many}.all(c, ${many}.all(d, ${many}.all(e, true))))) }}`;
    const error = expectRefusal(await run(definition(`touch ran; ${source}`)), "expression_failed", 65);
    expect(error.message).toContain("takes longer than 5 s");
    expect(tree(repo.path)).not.toContain("ran");
    expectClean(join(repo.path, ".swamp"));
  });

  test("two thousand expressions in one definition are resolved in a moment", async () => {
    const text = `cat <<'X'\n${"${{ inputs.n }}\n".repeat(500)}X`;
    const env = Array.from({ length: 1500 }, (_, index) => `        V${index}: "v\${{ inputs.n }}"`).join("\n");
    const start = Date.now();
    const result = await run(definition(text, `      env:\n${env}\n`));
    expect(result.exitCode, result.stderr).toBe(0);
    expect(Date.now() - start).toBeLessThan(8000);
    expect(readFileSync(result.json().data.path + "/raw", "utf8")).toContain("3");
  });
});
