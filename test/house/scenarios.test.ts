/** The scenarios lock-1 to lock-87, of what goes wrong in tools of this kind: each has a test whose title bears its number, or a reason why it has none. */
import { describe, expect, test } from "vitest";
import { isNode, type Node, parse, type SourceFile, sourceFiles, walk } from "./source.ts";

const last = 87;
const scenarios = Array.from({ length: last }, (_, n) => n + 1);

const missing: Readonly<Record<number, string>> = {
  17: "network filesystems: nothing is decided by what of a file is visible when; whether kernel locks work there is tried once for each datastore",
  24: "Windows: the tests don't run there",
  28: "the race of looking first and locking then can't be: one kernel lock decides; the exhaustive search of the protocol visits every interleaving",
  47: "there is no database beside the files",
  49: "schedules come with the server",
};

/** What stands in the titles of tests and of their groups. */
function titles(file: SourceFile): string[] {
  const found: string[] = [];
  walk(parse(file), (node) => {
    if (node.type !== "CallExpression" || !isTest(node["callee"])) return;
    const [title] = Array.isArray(node["arguments"]) ? node["arguments"].filter(isNode) : [];
    if (title !== undefined) found.push(file.text.slice(title.start, title.end));
  });
  return found;
}

/** `test`, `describe`, `test.each(...)`, `test.each` with a template. */
function isTest(callee: unknown): boolean {
  for (let node: unknown = callee; isNode(node); node = inner(node))
    if (node.type === "Identifier") return node["name"] === "test" || node["name"] === "describe";
  return false;
}

function inner(node: Node): unknown {
  return node["callee"] ?? node["object"] ?? node["tag"];
}

function numbersIn(files: readonly SourceFile[]): Set<number> {
  return new Set(
    files.flatMap(titles).flatMap((title) => [...title.matchAll(/\block-(\d+)/g)].map((match) => Number(match[1]))),
  );
}

describe("scenarios", () => {
  const files = [...sourceFiles("src"), ...sourceFiles("test")].filter((file) => file.path.endsWith(".test.ts"));
  const tested = numbersIn(files);

  test("each has a test or a reason", () => {
    expect(scenarios.filter((number) => !tested.has(number) && missing[number] === undefined)).toEqual([]);
  });

  test("no reason stands beside a test, and no number is made up", () => {
    expect(scenarios.filter((number) => tested.has(number) && missing[number] !== undefined)).toEqual([]);
    expect([...tested].filter((number) => number < 1 || number > last)).toEqual([]);
  });

  test("those that a run of a workflow may meet have a test with workflows", () => {
    const withWorkflows = files.filter(({ path }) => /^test\/(e2e|s3)\/.*workflow/.test(path));
    const own = numbersIn(withWorkflows);
    const wanted = [34, 35, 36, 39, 40, 41, 48, 50, 51, 52, 53, 54, 55, 56];
    expect(wanted.filter((number) => !own.has(number))).toEqual([]);
  });

  test("a number counts in a title and nowhere else", () => {
    const text = `
      // lock-60
      test("lock-61: a", () => { const x = "lock-62"; });
      test.each([1])(\`lock-63: \${x}\`, () => {});
      describe("lock-64", () => {});`;
    expect([...numbersIn([{ path: "x.test.ts", text }])].sort()).toEqual([61, 63, 64]);
  });
});
