import { expect, test } from "vitest";
import { FenError } from "../../../kernel/errors.ts";
import { keyOf, pathOf } from "./keys.ts";

test("lock-85: a path becomes a key below the prefix, and a key its path again", () => {
  expect(keyOf("team/a", "data/x y/1/raw")).toBe("team/a/data/x y/1/raw");
  expect(pathOf("team/a", "team/a/data/x y/1/raw")).toBe("data/x y/1/raw");
  expect(keyOf("", "data/1")).toBe("data/1");
  expect(pathOf("", "data/1")).toBe("data/1");
});

const bad = ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\\b", "a\0b", "a\nb", "\ud800", "x".repeat(1100)];

test.each(bad)("%j is no path to send", (path) => {
  expect(() => keyOf("p", path)).toThrow(FenError);
});

test.each(bad.slice(0, -1))("a key that the store names p/%j leads nowhere", (path) => {
  expect(pathOf("p", `p/${path}`)).toBeUndefined();
});

test("a key beside the prefix isn't ours, however it begins", () => {
  expect(pathOf("p", "p")).toBeUndefined();
  expect(pathOf("p", "pa/x")).toBeUndefined();
  expect(pathOf("p", "pax/y")).toBeUndefined();
  expect(pathOf("p", "q/p/x")).toBeUndefined();
});
