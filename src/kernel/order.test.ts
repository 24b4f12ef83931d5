import { assert as check, property, string } from "fast-check";
import { expect, test } from "vitest";
import { compareCodePoints } from "./order.ts";

const text = string({ unit: "binary", maxLength: 6 });
const asBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

test("names are ordered as their UTF-8 bytes are, which is by code point", () => {
  check(
    property(text, text, (a, b) => {
      expect(Math.sign(compareCodePoints(a, b))).toBe(asBytes(a, b));
    }),
  );
  expect(["\u{1F600}", "\uFFFD", "z", "ä", "a"].sort(compareCodePoints)).toEqual([
    "a",
    "z",
    "ä",
    "\uFFFD",
    "\u{1F600}",
  ]);
});
