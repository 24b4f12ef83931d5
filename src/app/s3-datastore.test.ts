import { expect, test } from "vitest";
import { lockTtlMs } from "./s3-datastore.ts";

test.each([
  [undefined, 10_000],
  ["", 10_000],
  ["1000", 1000],
  ["600000", 600_000],
])("FEN_LOCK_TTL_MS %j is %i ms", (given, ms) => {
  expect(lockTtlMs({ FEN_LOCK_TTL_MS: given })).toBe(ms);
});

test.each(["0", "999", "600001", "-5000", "10s", "1e4", "Infinity", "NaN", "0x2710", " "])(
  "FEN_LOCK_TTL_MS %j is refused with its bounds",
  (given) => {
    expect(() => lockTtlMs({ FEN_LOCK_TTL_MS: given })).toThrow(
      expect.objectContaining({
        code: "usage",
        message: `FEN_LOCK_TTL_MS must be a number of milliseconds from 1000 to 600000, not: ${given}`,
      }),
    );
  },
);
