import { expect, test } from "vitest";
import { likelyUuid, randomBytes, randomUuid, systemRandom } from "./random.ts";

test.each([
  ["from the system", () => randomUuid()],
  ["that may be guessed", () => likelyUuid()],
])("A random UUID %s is of version 4, and none comes twice", (_, make) => {
  const uuids = Array.from({ length: 2000 }, () => make());
  for (const uuid of uuids)
    expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(new Set(uuids).size).toBe(uuids.length);
});

test("Every bit of random bytes is set about half of the time", () => {
  const bytes = randomBytes(16_000);
  expect(bytes).toHaveLength(16_000);
  for (let bit = 0; bit < 8; bit++) {
    const ones = bytes.reduce((sum, byte) => sum + ((byte >> bit) & 1), 0);
    expect(Math.abs(ones - 8000)).toBeLessThan(500); // eight standard deviations
  }
});

test("What a machine gives of random bytes comes once, whatever the lengths that are asked for", () => {
  const random = systemRandom();
  const drawn = Array.from({ length: 2000 }, (_, at) => Buffer.from(random.bytes(8 + (at % 900))));
  expect(drawn.map((bytes) => bytes.length)).toEqual(drawn.map((_, at) => 8 + (at % 900)));
  expect(new Set(drawn.map((bytes) => bytes.subarray(0, 8).toString("hex"))).size).toBe(drawn.length);
  expect(new Set(Array.from({ length: 2000 }, () => random.uuid())).size).toBe(2000);
});
