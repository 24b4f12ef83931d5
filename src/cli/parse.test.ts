import { expect, test } from "vitest";
import { FenError } from "../kernel/errors.ts";
import { parseLine } from "./parse.ts";

function hintFor(line: string): string {
  try {
    parseLine(line.split(" "));
  } catch (error) {
    if (error instanceof FenError) return error.hint ?? "";
    throw error;
  }
  throw new Error(`fen ${line} is a command`);
}

test.each([
  ["modle", "fen model?"],
  ["model serch", "fen model search?"],
  ["run web-01", "fen model method run?"],
  ["model run web-01", "fen model method run?"],
  ["lock status", "fen datastore lock?"],
  ["data delte x", "fen data delete?"],
  ["model type list", "fen model type search?"],
  ["model type ls", "fen model type search?"],
  ["datastore lock list", "fen datastore lock status?"],
  ["data ls", "fen data list?"],
  ["demo --fats", "--fast?"],
  ["model method run a b --lock-timout 3s", "--lock-timeout?"],
])("fen %s: did you mean %s", (line, meant) => {
  expect(hintFor(line)).toContain(`Did you mean${meant.startsWith("-") ? "" : ":"} ${meant}`);
});

test("a command that isn't there is told before flags of it", () => {
  expect(hintFor("model serch --limit 3")).toContain("fen model search?");
});

test("where nothing is near, nothing is guessed", () => {
  expect(hintFor("xyzzy")).toBe("See: fen help");
});

test.each(["vault", "vault put prod key=value", "repo upgrade", "summarise --since 7d"])(
  "fen %s: not yet, which isn't a misspelt word",
  (line) => {
    expect(() => parseLine(line.split(" "))).toThrow(expect.objectContaining({ code: "not_yet" }) as Error);
  },
);

test.each([
  ["workflow schema", "workflow schema", ""],
  ["workflow schema get", "workflow schema get", ""],
  ["workflow --json schema --quiet get", "workflow schema get", ""],
  ["workflow run patch", "workflow run", "patch"],
  ["workflow run search patch", "workflow run search", "patch"],
  ["workflow run --tag search patch", "workflow run", "patch"],
  ["workflow run --tag=search patch", "workflow run", "patch"],
  ["--repo-dir search workflow run -- search", "workflow run", "search"],
])("fen %s is the command %s", (line, command, args) => {
  const parsed = parseLine(line.split(" "));
  expect([parsed.command?.path.join(" "), parsed.args.join(" ")]).toEqual([command, args]);
});
