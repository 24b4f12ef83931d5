import { describe, expect, test } from "vitest";
import { parseYaml, stringifyYaml } from "./yaml.ts";

describe("merge keys", () => {
  test.each([
    ["one map, what stands beside it wins", "a: &a { x: 1, y: 2 }\nb: { <<: *a, y: 3 }\n", { x: 1, y: 3 }],
    ["wherever it stands", "a: &a { x: 1, y: 2 }\nb:\n  y: 3\n  <<: *a\n", { x: 1, y: 3 }],
    ["several, the first wins", "a: &a { x: 1 }\nc: &c { x: 2, z: 3 }\nb: { <<: [*a, *c] }\n", { x: 1, z: 3 }],
  ])("%s", (_what, text, expected) => {
    expect(parseYaml(text, "f.yaml")).toMatchObject({ b: expected });
    expect(Object.keys((parseYaml(text, "f.yaml") as { b: object }).b)).not.toContain("<<");
  });

  test("what isn't a map can't be merged", () => {
    expect(() => parseYaml("a: { <<: 5 }\n", "f.yaml")).toThrow(/^f\.yaml:1:\d+: cannot merge/);
  });

  test("a key in quotes is a key, also where we write it", () => {
    const value = { "<<": { a: 1 }, b: "<<" };
    expect(parseYaml('"<<": { a: 1 }\nb: <<\n', "f.yaml")).toEqual(value);
    expect(parseYaml(stringifyYaml(value), "f.yaml")).toEqual(value);
  });

  test("merges that multiply are refused", () => {
    const lines = Array.from(
      { length: 30 },
      (_, level) =>
        `a${level}: &a${level} { k${level}: 1${level === 0 ? "" : `, <<: [*a${level - 1}, *a${level - 1}]`} }`,
    );
    const text = Array.from({ length: 30 }, (_, at) =>
      lines
        .join("\n")
        .replaceAll(/([&*])a/g, `$1a${at}_`)
        .replaceAll(/^a/gm, `b${at}_`),
    );
    expect(() => parseYaml(text.join("\n"), "f.yaml")).toThrow(/maxTotalMergeKeys/);
  });
});
