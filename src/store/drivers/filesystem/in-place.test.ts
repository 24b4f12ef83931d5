import { linkSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { changeLastByte } from "./in-place.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fen-in-place-"));
  path = join(folder, "latest");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a last byte that differs is changed in the same file", () => {
  writeFileSync(path, "128");
  const { ino } = statSync(path);
  expect(changeLastByte(path, "129")).toBe(true);
  expect(readFileSync(path, "utf8")).toBe("129");
  expect(statSync(path).ino).toBe(ino);
});

test.each([
  ["another byte differs too", "129", "130"],
  ["it grows", "9", "10"],
  ["it shrinks", "10", "9"],
  ["it is empty", "", ""],
  ["it is long", `${"1".repeat(16)}1`, `${"1".repeat(16)}2`],
])("nothing is changed where %s", (_, before, after) => {
  writeFileSync(path, before);
  expect(changeLastByte(path, after)).toBe(false);
  expect(readFileSync(path, "utf8")).toBe(before);
});

test("a file that isn't there isn't made", () => {
  expect(changeLastByte(path, "1")).toBe(false);
  expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
});

test("a file that has another name, or is reached by a link, is left to whoever else has it", () => {
  const other = join(folder, "other");
  writeFileSync(other, "1");
  linkSync(other, path);
  expect(changeLastByte(path, "2")).toBe(false);
  rmSync(path);
  symlinkSync(other, path);
  expect(changeLastByte(path, "2")).toBe(false);
  expect(readFileSync(other, "utf8")).toBe("1");
});
