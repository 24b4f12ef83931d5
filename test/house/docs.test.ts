/** The pages that are made from the source are as the source is, and the pages that name its files name files that exist. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "./source.ts";

test("docs/reference is what the built program says of itself", () => {
  const done = spawnSync(process.execPath, [join(root, "scripts/generate-docs.mjs"), "--check"], { encoding: "utf8" });
  expect(done.stderr).toBe("");
  expect(done.status).toBe(0);
});

test.each(["docs/architecture.md", "README.md"])("%s names only files that exist", (page) => {
  const text = readFileSync(join(root, page), "utf8");
  const named = [...text.matchAll(/`((?:src|test|scripts|docs|bench)\/[\w./-]+)`/g)].map((match) => match[1] ?? "");
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});
