import { describe, expect, test } from "vitest";
import { requote, unquote } from "./shell-words.ts";

test.each([
  ["plain", "plain"],
  [String.raw`my\ model`, "my model"],
  ["'my model'", "my model"],
  ['"my mo', "my mo"],
  ["'it'\\''s", "it's"],
  [String.raw`"a \"b\" \n $c"`, String.raw`a "b" \n $c`],
  ["'", ""],
])("%s is %s", (word, text) => {
  expect(unquote(word)).toBe(text);
});

describe.each(["my model", "it's", 'say "hi"', "$(touch x)", "`x`", "a;b&c|d", "web-01", "Zürich"])("%s", (text) => {
  test.each(["", "'", '"'])("survives being written after %s", (typed) => {
    expect(unquote(typed + requote(text, typed))).toBe(text);
  });
});
