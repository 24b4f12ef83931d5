import { expect, test } from "vitest";
import { randomBytes, randomUuid } from "./random.ts";

test("A random UUID is of version 4, and none comes twice", () => {
  const uuids = Array.from({ length: 2000 }, randomUuid);
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
