import { describe, expect, test } from "vitest";
import type { Metadata } from "../metadata.ts";
import {
  comfortableBytes,
  encodeManifest,
  entryOf,
  hasId,
  type Manifest,
  namesOf,
  nextNumber,
  numbersOf,
  pageOf,
  parseManifest,
  parsePageText,
  spill,
  wasGiven,
  withoutVersions,
  withSkipped,
  withVersions,
} from "./manifest.ts";

function metadata(name: string, version: number): Metadata {
  return {
    id: `${name}-${version}`,
    name,
    version,
    contentType: "application/json",
    lifetime: "infinite",
    garbageCollection: 10,
    streaming: false,
    tags: { type: "resource", specName: name, modelName: "web" },
    ownerDefinition: { ownerType: "model-method", ownerRef: "a0000000-0000-4000-a000-000000000001" },
    createdAt: "2026-01-01T00:00:00.000Z",
    size: 12,
    checksum: "0".repeat(64),
  };
}

const none: Manifest = new Map();
const some = (name: string, numbers: readonly number[], manifest = none): Manifest =>
  withVersions(
    manifest,
    numbers.map((number) => metadata(name, number)),
  );
const again = (manifest: Manifest): Manifest => parseManifest(encodeManifest(manifest, "stamp"), "here");

describe("a manifest", () => {
  test("is the same after it was written and read, adopted versions and odd names included", () => {
    const adopted: Manifest = new Map([["__proto__", { entries: [{ number: 4 }], pages: [] }]]);
    const manifest = some("ü \u{1f600}", [1, 2, 7], adopted);
    expect(again(manifest)).toEqual(manifest);
    expect(numbersOf(again(manifest), "__proto__")).toEqual([4]);
    expect(entryOf(again(manifest), "ü \u{1f600}", 7)?.metadata).toEqual(metadata("ü \u{1f600}", 7));
  });

  test("is another text with another stamp, and the same text with the same", () => {
    const manifest = some("a", [1]);
    expect(encodeManifest(manifest, "1")).not.toBe(encodeManifest(manifest, "2"));
    expect(encodeManifest(again(manifest), "1")).toBe(encodeManifest(manifest, "1"));
  });

  test("gives no number twice, whatever was removed", () => {
    const shorter = again(withoutVersions(some("a", [1, 2, 3]), "a", [2, 3]));
    expect(nextNumber(shorter, "a")).toBe(4);
    expect(nextNumber(again(withoutVersions(shorter, "a", [1])), "a")).toBe(4);
    expect(nextNumber(again(some("a", [4], shorter)), "a")).toBe(5);
    expect(nextNumber(again(withoutVersions(some("a", [1, 2, 3]), "a", [1])), "a")).toBe(4);
  });

  test("knows which numbers no version ever had, after removals, pages and its way through text too", () => {
    const skipping = withVersions(withSkipped(some("a", [1]), "a", { from: 2, to: 4 }), [metadata("a", 4)]);
    const spilled = spill(some("a", [5, 6], skipping), 10)?.manifest ?? none;
    for (const manifest of [skipping, again(skipping), again(withoutVersions(skipping, "a", [1, 4])), again(spilled)]) {
      expect([1, 2, 3, 4].map((number) => wasGiven(manifest, "a", number))).toEqual([true, false, false, true]);
      expect(wasGiven(manifest, "a", nextNumber(manifest, "a"))).toBe(false);
      expect(wasGiven(manifest, "b", 1)).toBe(false);
    }
  });

  test("takes a number that was passed over for given when it comes late, and doesn't pass over what came before", () => {
    const late = some("a", [2], withVersions(withSkipped(none, "a", { from: 1, to: 3 }), [metadata("a", 3)]));
    expect([1, 2, 3].map((number) => wasGiven(late, "a", number))).toEqual([false, true, true]);
    expect(again(late)).toEqual(late);
    const known = withSkipped(some("a", [1, 2]), "a", { from: 1, to: 4 });
    expect([1, 2].map((number) => wasGiven(withoutVersions(known, "a", [1, 2]), "a", number))).toEqual([true, true]);
    expect(withSkipped(none, "a", { from: 3, to: 3 })).toBe(none);
  });

  test("loses what is removed, and a name with its last version", () => {
    const manifest = some("b", [1], some("a", [1, 2, 3]));
    expect(numbersOf(withoutVersions(manifest, "a", [2]), "a")).toEqual([1, 3]);
    expect(namesOf(withoutVersions(manifest, "b", [1]))).toEqual(["a"]);
    expect(withoutVersions(manifest, "none", [1])).toEqual(manifest);
  });

  test("knows the ids of what it has", () => {
    expect(hasId(some("a", [1]), "a-1")).toBe(true);
    expect(hasId(some("a", [1]), "a-2")).toBe(false);
  });

  test.each([
    "",
    "not JSON",
    "[]",
    "{}",
    '{"v":2,"names":[]}',
    '{"v":1,"names":[{"name":"a"}]}',
    '{"v":1,"names":[{"name":"a","entries":[{"number":0}]}]}',
    '{"v":1,"names":[{"name":"a","entries":[{"number":1,"id":"x"}]}]}',
    '{"v":1,"names":[{"name":"a","entries":[],"pages":[{"sha256":"../x","numbers":[[1,2]]}]}]}',
    `{"v":1,"names":[{"name":"a","entries":[],"pages":[{"sha256":"${"0".repeat(64)}","numbers":[[1,9999999999]]}]}]}`,
  ])("is refused where it can't be one: %s", (text) => {
    expect(() => parseManifest(text, "here")).toThrow(expect.objectContaining({ code: "data_corrupt" }));
  });
});

describe("pages", () => {
  /** Until it is short enough, as a commit does it. */
  function shortened(manifest: Manifest): { manifest: Manifest; pages: Map<string, string> } {
    const pages = new Map<string, string>();
    let current = manifest;
    for (let over = spill(current); over !== undefined; over = spill(current)) {
      pages.set(over.sha256, over.page);
      current = over.manifest;
    }
    return { manifest: current, pages };
  }

  test("a short manifest has none; a long one becomes short and loses nothing", () => {
    expect(spill(some("a", [1, 2, 3]))).toBeUndefined();
    const numbers = Array.from({ length: 500 }, (_, index) => index + 1);
    const { manifest, pages } = shortened(some("b", [1], some("a", numbers)));
    expect(Buffer.byteLength(encodeManifest(manifest, ""))).toBeLessThanOrEqual(comfortableBytes);
    expect(numbersOf(again(manifest), "a")).toEqual(numbers);
    expect(entryOf(manifest, "a", 500)).toBeDefined();
    const page = pageOf(again(manifest), "a", 3);
    const entries = parsePageText(pages.get(page?.sha256 ?? "") ?? "", "a", "here");
    expect(entries.find(({ number }) => number === 3)?.metadata).toEqual(metadata("a", 3));
  });

  test("what is removed from a page doesn't count any more, and a page without any is forgotten", () => {
    const numbers = Array.from({ length: 500 }, (_, index) => index + 1);
    const { manifest } = shortened(some("a", numbers));
    const left = withoutVersions(manifest, "a", [2, 3]);
    expect(numbersOf(again(left), "a").slice(0, 3)).toEqual([1, 4, 5]);
    expect(pageOf(left, "a", 2)).toBeUndefined();
    const all = withoutVersions(manifest, "a", numbers);
    expect(namesOf(all)).toEqual([]);
  });
});
