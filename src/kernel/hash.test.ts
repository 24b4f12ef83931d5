import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { ContentHash, sha256, sha256Hex } from "./hash.ts";

const oracle = (text: string) => createHash("sha256").update(text).digest("hex");

test("Every text, whatever its length, has the hash that Node's library gives it", () => {
  for (let length = 0; length <= 300; length++) {
    const text = "ä€a😀".repeat(length).slice(0, length);
    expect(Buffer.from(sha256(text)).toString("hex")).toBe(oracle(text));
  }
});

test.each([0, 1, 55, 56, 64, 4095, 4096, 4097, 100_000])(
  "A text of %i characters is hashed alike, short or long",
  (length) => {
    const text = "x".repeat(length);
    expect(sha256Hex(text)).toBe(oracle(text));
  },
);

test.each([[], [0], [4096], [4096, 1], [1, 4095], [1, 4096, 3], [4000, 96, 1, 70_000], [100_000]])(
  "Content in pieces of %j bytes is hashed as one, whatever becomes of the pieces",
  (...lengths) => {
    const pieces = lengths.map((length, at) => Buffer.alloc(length, at + 1));
    const hash = new ContentHash();
    const whole = createHash("sha256");
    for (const piece of pieces) {
      whole.update(piece);
      hash.update(piece);
      piece.fill(0);
    }
    expect(hash.digest()).toBe(whole.digest("hex"));
  },
);
