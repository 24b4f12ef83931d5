import { array, assert as check, constantFrom, property, tuple } from "fast-check";
import { CORE_SCHEMA, load } from "js-yaml";
import { expect, test } from "vitest";
import { readPlainYaml } from "./plain-yaml-reader.ts";

const definition = `# a model
type: command/shell
typeVersion: 2026.02.09.1
id: a0000000-0000-4000-a000-000000000001
name: "web-01"
version: 1
tags: {}

globalArguments:
  # indented
  region: 'eu west'
methods:
    execute:
        arguments:
            run: sleep 0.1
            timeout: 5000
            ignoreExitCode: true
    other:
        arguments: {}
seen: 2026-11-25T16:39:12.219Z
`;

function library(text: string): unknown {
  try {
    return load(text, { schema: CORE_SCHEMA });
  } catch {
    return "an error";
  }
}

test("A plain definition is read without the library, as the library reads it", () => {
  expect(readPlainYaml(definition)).toEqual(library(definition));
});

test.each([
  ["a list", "a:\n  - b\n"],
  ["text over two lines", "a: b\n  c\n"],
  ["a block of text", "a: |\n  b\n"],
  ["a key twice", "a: 1\na: 2\n"],
  ["an anchor", "a: &x b\n"],
  ["an escape", 'a: "\\n"\n'],
  ["a key without a value", "a:\nb: 1\n"],
  ["an octal number", "a: 0o7\n"],
  ["a number with a point", "a: 1.5\n"],
  ["an empty document", "# nothing\n"],
  ["a comment behind a value", "a: b # c\n"],
  ["a line that ends with CR", "a: b\r\n"],
  ["a second document", "a: b\n---\nc: d\n"],
  ["a tab", "a:\tb\n"],
])("%s is left to the library", (_, text) => {
  expect(readPlainYaml(text)).toBeUndefined();
});

test("Whatever it reads is what the library reads", () => {
  const key = constantFrom(..."abcdefghijkl", "c-d", "e_1", "no", "True", "<<", "1");
  const bits = constantFrom(
    ..."a1e.-_/@=,+;()$ :#'\"{}[]&*!|>%\t",
    "true",
    "null",
    ".inf",
    "0x1",
    "1e5",
    "é",
    "12:30",
    "sleep 1",
    "---",
  );
  const value = array(bits, { maxLength: 4 }).map((list) => list.join(""));
  const known = constantFrom(
    "",
    "{}",
    "[]",
    "true",
    "word",
    "two words",
    "7",
    "'q'",
    '"q"',
    "2026.02.09.1",
    "2026-11-25T16:39:12.219Z",
    "2026-11-25",
  );
  const line = tuple(
    constantFrom("", "", "", "  ", "  ", "    ", " "),
    key,
    constantFrom(": ", ": ", ": ", ":", ":  "),
    constantFrom(0, 1, 2, 3).chain((n) => (n === 0 ? value : known)),
  );
  let read = 0;
  check(
    property(array(line, { minLength: 1, maxLength: 5 }), (lines) => {
      const text = `${lines.map((parts) => parts.join("")).join("\n")}\n`;
      const plain = readPlainYaml(text);
      if (plain === undefined) return;
      read++;
      expect(plain, text).toEqual(library(text));
    }),
    { numRuns: 20_000 },
  );
  expect(read).toBeGreaterThan(600);
});
