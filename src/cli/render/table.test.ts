import { expect, test } from "vitest";
import { duration } from "./table.ts";

test.each([
  [999, "999 ms"],
  [1500, "1.5 s"],
  [599_990, "10 m 0 s"],
  [185_000, "3 m 5 s"],
])("%s ms is shown as %s", (ms, text) => {
  expect(duration(ms)).toBe(text);
});
