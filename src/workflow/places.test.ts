import { expect, test } from "vitest";
import { type Place, Places } from "./places.ts";

function enterAll(places: Places, key: string | undefined, names: readonly string[]) {
  const begun: string[] = [];
  const at = new Map<string, Place>();
  for (const name of names)
    places.enter(key, (place) => {
      begun.push(name);
      at.set(name, place);
    });
  return { begun, leave: (name: string) => at.get(name)?.leave() };
}

test("two of those who want the same are begun; who leaves lets the next one in, in the order of coming", () => {
  const { begun, leave } = enterAll(new Places(), "m", ["a", "b", "c", "d"]);
  expect(begun).toEqual(["a", "b"]);
  leave("b");
  expect(begun).toEqual(["a", "b", "c"]);
  leave("a");
  expect(begun).toEqual(["a", "b", "c", "d"]);
});

test("who leaves twice has left once", () => {
  const { begun, leave } = enterAll(new Places(), "m", ["a", "b", "c", "d"]);
  leave("a");
  leave("a");
  expect(begun).toEqual(["a", "b", "c"]);
});

test("others, and those of whom it isn't known what they want, don't wait", () => {
  const places = new Places();
  enterAll(places, "m", ["a", "b", "c"]);
  expect(enterAll(places, "n", ["d"]).begun).toEqual(["d"]);
  expect(enterAll(places, undefined, ["e", "f", "g"]).begun).toEqual(["e", "f", "g"]);
});
