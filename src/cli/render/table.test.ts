import { expect, test } from "vitest";
import { duration, fields, table, timeSince } from "./table.ts";

test.each([
  [999, "999 ms"],
  [999.6, "1.0 s"],
  [59_949, "59.9 s"],
  [59_999, "1 m 0 s"],
  [1500, "1.5 s"],
  [599_990, "10 m 0 s"],
  [185_000, "3 m 5 s"],
  [3_599_600, "1 h 0 m"],
  [7_810_000, "2 h 10 m"],
])("%s ms is shown as %s", (ms, text) => {
  expect(duration(ms)).toBe(text);
});

test("wide characters take two columns of a table, colours none", () => {
  const rows = [
    ["\u6771\u4eac", "x"],
    ["\u001B[1mberlin\u001B[22m", "y"],
  ];
  expect(table(["NAME", "NEXT"], rows).split("\n")).toEqual([
    "NAME    NEXT",
    "\u6771\u4eac    x",
    "\u001B[1mberlin\u001B[22m  y",
  ]);
});

test("a cell holds no newline and no order to the terminal but colours", () => {
  const rows = [["a\nb\u001B[2J\u0007\r\tc", "\u001B[31mfailed\u001B[39m"]];
  expect(table(["NAME", "STATUS"], rows).split("\n")).toEqual(["NAME   STATUS", "ab  c  \u001B[31mfailed\u001B[39m"]);
  expect(fields([["name", "a\nb\u001B]0;title\u0007\u009B2J"]])).toBe("name  ab2J");
});

test("since when: the time of day, with the date where that was a day ago or longer", () => {
  const since = "2026-01-31T12:00:05.123Z";
  const at = Date.parse(since);
  expect(timeSince(since, at + 86_399_999)).toBe("12:00:05");
  expect(timeSince(since, at + 86_400_000)).toBe("2026-01-31 12:00:05");
  expect(timeSince("", at)).toBe("");
});
