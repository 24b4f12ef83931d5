/** What the project says: of itself only, and links that lead somewhere. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "./source.ts";

const tracked = execFileSync("git", ["ls-files"], { cwd: root, encoding: "utf8" })
  .split("\n")
  .filter(
    (path) =>
      path !== "" &&
      !path.startsWith("test/fixtures/") &&
      path !== "test/house/words.test.ts" &&
      existsSync(join(root, path)),
  );
const text = (path: string) => readFileSync(join(root, path), "utf8");

/** Paths of a machine, hosts of a registry other than the public one. */
const banned = [/\/work\/(main|shared)/, /\/home\/[a-z]+\//, /"resolved": "https?:\/\/(?!registry\.npmjs\.org)/];

function offences(path: string, content: string): string[] {
  return banned.flatMap((pattern) => (pattern.test(content) ? [`${path}: ${pattern}`] : []));
}

describe("words", () => {
  test("no path of a machine and no foreign registry in any file", () => {
    expect(tracked.filter((path) => !/\.(png|svg)$/.test(path)).flatMap((path) => offences(path, text(path)))).toEqual(
      [],
    );
  });

  test("an offence is found", () => {
    expect(offences("x", "see /home/somebody/notes")).toHaveLength(1);
  });

  test("links in the docs lead to files", () => {
    const broken = tracked
      .filter((path) => path.endsWith(".md"))
      .flatMap((path) =>
        [...text(path).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)].map((match) => ({
          path,
          target: match[1] ?? "",
        })),
      )
      .filter(({ path, target }) => !existsSync(join(root, dirname(path), target)));
    expect(broken).toEqual([]);
  });
});
