/** Whatever is written between the braces: a value, or an error that people can act upon; and nothing of the environment in it. */
import fc from "fast-check";
import { tries } from "../../test/support/quick.ts";
import { beforeAll, expect, test } from "vitest";
import { FenError } from "../kernel/errors.ts";
import { Cel } from "./cel.ts";
import { compileValue } from "./compile.ts";
import type { Scope } from "./scope.ts";

let cel: Cel;
beforeAll(async () => {
  cel = await Cel.load();
});

const secret = "q7w9-hush";
const record = { id: "i", name: "result", version: 1, createdAt: "t", attributes: { a: [1, "x"] }, tags: {} };
const scope: Scope = {
  inputs: { n: 3, s: "text", l: [1, 2], m: { a: 1 }, t: secret },
  self: { name: "web", globalArguments: { host: "h" } },
  env: { T: secret },
  tainted: new Set(["inputs.t"]),
  now: () => 0,
  data: {
    latest: async (_, name) => (name === "none" ? undefined : record),
    version: async () => record,
    listVersions: async () => [1],
    findByTag: async () => [record],
    findBySpec: async () => [record],
    contents: async () => "text",
    outputs: async () => ({}),
  },
  models: {
    names: async () => ["db-01"],
    read: async (name) =>
      name === "db-01"
        ? { id: "i", name, version: 1, tags: {}, globalArguments: { p: 1 }, isTainted: false, isVolatile: false }
        : undefined,
  },
};

const leaves = [
  ...["inputs.n", "inputs.s", "inputs.l", "inputs.m", "inputs.t", "inputs.nope", "inputs", "self", "env.T", "env.NOPE"],
  ...["1", "2.5", "-7", "0", "3u", "'a'", "''", "b'x'", "null", "true", "[]", "{}", "[1, 'a']", "{'k': 1}", "now()"],
  ...["model.db-01.input.globalArguments.p", "model.nope.input", "data.latest('a', 'b')", "data.latest('a', 'none')"],
  ...["duration('1h')", "type(1)", "optional.none()", "inputs.?x", "x", "9223372036854775807", "1e308"],
];
const binary = ["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "in"];
const calls = ["size", "string", "int", "uint", "double", "bool", "bytes", "timestamp", "duration", "type", "dyn"];
const methods = [
  ...["size()", "map(e, e)", "all(e, e == 1)", "filter(e, e > 0)", "exists(e, e.a)", "trim()", "split(',')"],
  ...["join()", "charAt(0)", "substring(1)", "matches('(')", "format([1])", "replace('a', 'b')", "orValue(1)"],
  ...["getHours()", "hasValue()", "value()", "hex()", "json()", "at(9)", "attributes.a", "?a.?b"],
];

const expression = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom(...leaves),
    fc.tuple(tie("node"), fc.constantFrom(...binary), tie("node")).map(([a, by, b]) => `(${a} ${by} ${b})`),
    fc.tuple(tie("node"), fc.constantFrom(...methods)).map(([a, method]) => `${a}.${method}`),
    fc.tuple(fc.constantFrom(...calls), tie("node")).map(([name, a]) => `${name}(${a})`),
    fc.tuple(tie("node"), tie("node")).map(([a, b]) => `${a}[${b}]`),
    fc.tuple(tie("node"), tie("node"), tie("node")).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
    fc.tuple(tie("node"), tie("node")).map(([a, b]) => `[${a}, ${b}]`),
    fc.tuple(tie("node"), tie("node")).map(([a, b]) => `{${a}: ${b}}`),
    fc
      .tuple(fc.constantFrom("json.stringify", "math.abs", "base64.encode", "json.parse", "has"), tie("node"))
      .map(([name, a]) => `${name}(${a})`),
  ),
})).node;

/** The value, or the error; anything else that is thrown is a defect. */
async function outcomeOf(text: string): Promise<{ readonly stored: unknown } | FenError> {
  try {
    const value = compileValue(cel, text, { file: "f.yaml", path: ["k"], locate: () => undefined });
    const { storable } = await value.run(scope);
    return { stored: storable };
  } catch (error) {
    if (error instanceof FenError) return error;
    throw error;
  }
}

test(
  "any expression gives a value or an error, and neither stores nor tells what is secret",
  { timeout: 120_000 },
  async () => {
    let values = 0;
    await fc.assert(
      fc.asyncProperty(expression, async (source) => {
        const outcome = await outcomeOf(`\${{ ${source} }}`);
        if (outcome instanceof FenError) {
          expect(outcome.code).toMatch(/^expression_(invalid|failed)$/);
          expect(JSON.stringify([outcome.message, outcome.hint, outcome.facts])).not.toContain(secret);
          expect(outcome.message).not.toMatch(/JavaScript|undefined|\[object|not a function|Cannot read/);
        } else {
          values++;
          expect(JSON.stringify(outcome.stored) ?? "").not.toContain(secret);
        }
      }),
      { numRuns: tries(2000) },
    );
    expect(values).toBeGreaterThan(tries(100));
  },
);

test("any text is a value or an error", { timeout: 120_000 }, async () => {
  const parts = fc.constantFrom(
    "${{",
    "}}",
    "inputs.s",
    "'",
    '"',
    " ",
    "\n",
    "${",
    "{{",
    "$",
    "1",
    "+",
    "\\",
    "//",
    "model.a-b.input",
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(parts, { maxLength: 12 }).map((list) => list.join("")),
      async (text) => {
        const outcome = await outcomeOf(text);
        if (outcome instanceof FenError) expect(outcome.code).toMatch(/^expression_/);
        else if (!text.includes("${{")) expect(outcome.stored).toBe(text);
      },
    ),
    { numRuns: tries(2000) },
  );
});
