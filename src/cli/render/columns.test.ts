import { describe, expect, test } from "vitest";
import { clipColumns, columnsOf, fitted, printable } from "./columns.ts";

describe("columns", () => {
  test.each([
    ["plain", 5],
    ["", 0],
    ["héllo", 5],
    ["he\u0301llo", 5],
    ["日本", 4],
    ["한글", 4],
    ["🚀x", 3],
    ["›·●░", 4],
  ])("%j takes %i", (text, columns) => {
    expect(columnsOf(text)).toBe(columns);
  });

  test("what a terminal would take for an order is taken out", () => {
    expect(printable("a\u001B[31mb\u001B]0;title\u0007c\rd\u0008e\u202Ef\tg\u009B2Jh")).toBe("abcdef  g2Jh");
    expect(
      printable("\u001B[2J\u001B[31mred\u0007 \u001B]8;;http://x\u001B\\link\u001B]8;;\u001B\\ \u001BMup \u001B"),
    ).toBe("red link up ");
    expect(printable("日本 ok")).toBe("日本 ok");
  });

  test("a clipped text is never wider than it may be, and says that it is clipped", () => {
    for (const text of ["abcdefgh", "日本語日本語", "🚀🚀🚀🚀", "e\u0301e\u0301e\u0301e\u0301e\u0301"])
      for (let width = 0; width <= 10; width++) {
        const clipped = clipColumns(text, width);
        expect(columnsOf(clipped)).toBeLessThanOrEqual(width);
        if (width > 0 && columnsOf(text) > width) expect(clipped).toMatch(/…$/);
        else if (width > 0) expect(clipped).toBe(text);
      }
  });

  test("parts share the width; colours take none of it", () => {
    const red = (text: string): string => `\u001B[31m${text}\u001B[39m`;
    expect(fitted([["ab", red], ["cdef"], ["gh"]], 5)).toBe("\u001B[31mab\u001B[39mcd…");
    expect(fitted([["ab", red], ["cd"]], 4)).toBe("\u001B[31mab\u001B[39mcd");
  });
});
