import { expect, test } from "vitest";
import { folded } from "./help.ts";

test.each([
  { what: "a sentence", line: "all that can be said of it", width: 20, lines: ["all that can be", "said of it"] },
  {
    what: "what stands in a column goes on below it",
    line: "  --flag X  all that can be said of it",
    width: 34,
    lines: ["  --flag X  all that can be said", "            of it"],
  },
  {
    what: "an example, to be copied",
    line: "  fen model method run web-01",
    width: 24,
    lines: ["  fen model method run web-01"],
  },
  { what: "no room beside the column", line: "  --flag X  all that", width: 18, lines: ["  --flag X  all that"] },
])("help in a narrow window: $what", ({ line, width, lines }) => {
  expect(folded(line, width).split("\n")).toEqual(lines);
});
