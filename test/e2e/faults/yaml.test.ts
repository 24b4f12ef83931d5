/** Definitions that are broken, hostile or odd: refused with the place, or read as they are meant. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Scratch, scratchRepo } from "../../support/cli.ts";
import { execute, expectRefusal, tree } from "./attack.ts";

const id = "a0000000-0000-4000-a000-000000000001";
const file = "models/command/shell/bad.yaml";
const sound = `type: command/shell
id: ${id}
name: bad
version: 1
tags: {}
globalArguments: {}
methods:
  execute:
    arguments:
      run: echo fine
`;

let repo: Scratch;
beforeAll(async () => {
  repo = await scratchRepo();
});
afterAll(() => repo.remove());

const bytes = (text: string | Uint8Array): void => {
  mkdirSync(join(repo.path, "models/command/shell"), { recursive: true });
  writeFileSync(join(repo.path, file), text);
};
const nested = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`;
const bomb = Array.from({ length: 12 }, (_, level) =>
  level === 0
    ? "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]"
    : `a${level}: &a${level} [${Array.from({ length: 9 }, () => `*a${level - 1}`).join(",")}]`,
).join("\n");

describe("a file that isn't well-formed", () => {
  test.each([
    ["a bracket that is never closed", `${sound}inputs: [a, b\n`, /bad\.yaml:\d+:\d+: /],
    ["a tab as indent", sound.replace("    arguments:", "\targuments:"), /bad\.yaml:9:\d+: /],
    ["a duplicate key", `${sound}name: bad\n`, /bad\.yaml:11:\d+: .*duplicate/i],
    ["a tag that would run code", `${sound}inputs: !!js/function "function () {}"\n`, /bad\.yaml:11:\d+: .*tag/i],
    ["a tag of its own", `${sound}inputs: !foo bar\n`, /bad\.yaml:11:\d+: .*tag/i],
    ["an alias without its anchor", `${sound}inputs: *nobody\n`, /bad\.yaml:11:\d+: .*alias/i],
    ["aliases that expand to billions", `${sound}globalArguments2:\n  ${bomb.replaceAll("\n", "\n  ")}\n`, /bad\.yaml/],
    ["an alias of itself", `${sound}inputs: &me [*me]\n`, /bad\.yaml/],
    ["nesting 100,000 deep", `${sound}inputs: ${nested(100_000)}\n`, /bad\.yaml/],
    ["two documents", `${sound}---\n${sound}`, /bad\.yaml/],
    ["binary junk", Buffer.concat([Buffer.from("name: bad\n"), Buffer.from([0, 1, 2, 255, 254, 0])]), /bad\.yaml/],
    ["bytes that aren't UTF-8", Buffer.from(`${sound}more: {a: "\xE9"}\n`, "latin1"), /bad\.yaml:11:12: .*UTF-8/],
    ["UTF-16", Buffer.from(`\uFEFF${sound}`, "utf16le"), /bad\.yaml/],
  ])("%s is refused with its place, and the run never starts", async (_, text, message) => {
    bytes(text);
    expect(expectRefusal(await repo.fen(...execute("bad"), "--json"), "yaml_invalid", 65).message).toMatch(message);
    expect(tree(join(repo.path, ".swamp/outputs"))).toEqual([]);
  });
});
