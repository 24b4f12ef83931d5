import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeMissing } from "./files.ts";

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), "fen-files-"))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe("makeMissing", () => {
  test("gives the first folder that it made, and nothing where all were there", () => {
    expect(makeMissing(join(root, "a/b/c"))).toBe(join(root, "a"));
    expect(makeMissing(join(root, "a/b/c"))).toBeUndefined();
    expect(makeMissing(join(root, "a/b/d"))).toBe(join(root, "a/b/d"));
  });

  test.each(["a file", "a link that leads nowhere"])("says so where %s stands in its place, or above", (what) => {
    const place = join(root, "taken");
    if (what === "a file") writeFileSync(place, "");
    else symlinkSync(join(root, "nowhere"), place);
    expect(() => makeMissing(place)).toThrow(/EEXIST/);
    expect(() => makeMissing(join(place, "below"))).toThrow(/EEXIST|ENOTDIR/);
  });

  test.skipIf(process.platform !== "linux")("ends where the system makes no folders", () => {
    expect(() => makeMissing("/proc/no/such/folder")).toThrow(/ENOENT/);
  });
});
