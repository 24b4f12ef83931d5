import { expect, test } from "vitest";
import { behindFolder, resolveInside } from "./paths.ts";

test("a path inside is put behind its root, however it is written", () => {
  expect(resolveInside("/store", "data/a.b/.lock")).toBe("/store/data/a.b/.lock");
  expect(resolveInside("/store", "...")).toBe("/store/...");
  expect(resolveInside("/store", "a//b/./c/../d/")).toBe("/store/a/b/d");
  expect(resolveInside("/store", "")).toBe("/store");
  expect(resolveInside("/", "a/b")).toBe("/a/b");
});

test.each(["..", "../x", "a/../../x", "/etc/passwd", "a/\0b", "../store-2/x", "./../x"])(
  "%j leads out of its folder and is refused",
  (path) => {
    expect(() => resolveInside("/store", path)).toThrow(expect.objectContaining({ code: "path_escapes" }));
  },
);

test("what is behind a folder begins at a slash, not in the middle of a name", () => {
  expect(behindFolder("/store", "/store/a/b")).toBe("a/b");
  expect(behindFolder("/", "/a")).toBe("a");
  expect(behindFolder("/store", "/store-2/a")).toBeUndefined();
  expect(behindFolder("/store", "/store")).toBeUndefined();
});
