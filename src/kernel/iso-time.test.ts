import fc from "fast-check";
import { expect, test } from "vitest";
import { isoTime } from "./iso-time.ts";

test("a time is written as Date writes it", () => {
  fc.assert(
    fc.property(fc.date({ noInvalidDate: true }), (date) => {
      expect(isoTime(date.getTime())).toBe(date.toISOString());
    }),
  );
  for (const text of [
    "0999-12-31T23:59:59.999Z",
    "1000-01-01T00:00:00.000Z",
    "2026-02-09T08:07:06.005Z",
    "9999-12-31T23:59:59.999Z",
  ])
    expect(isoTime(Date.parse(text))).toBe(text);
  expect(() => isoTime(Number.NaN)).toThrow(RangeError);
});
