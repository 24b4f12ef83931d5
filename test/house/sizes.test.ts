/** Sizes that keep the house livable: hard stops, and a ratchet whose numbers may only fall. */
import { describe, expect, test } from "vitest";
import { isNode, lineOf, parse, type SourceFile, sourceFiles, walk } from "./source.ts";

const files = sourceFiles().filter((file) => !file.path.endsWith(".test.ts"));
const longestFile = 500;
const longestFunction = 70;

/** May fall, never rise. */
const ratchet = { p90OfFiles: 300, lockRoom: 1000, casRoom: 1575, copiedShare: 0.01 };

function functionSizes(file: SourceFile): { where: string; lines: number }[] {
  const found: { where: string; lines: number }[] = [];
  walk(parse(file), (node) => {
    if (
      !["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"].includes(node.type) ||
      !isNode(node["body"])
    )
      return;
    const first = lineOf(file.text, node.start);
    found.push({ where: `${file.path}:${first}`, lines: lineOf(file.text, node.end) - first + 1 });
  });
  return found;
}

/** Lines that stand in runs of at least 8 equal lines in two places. */
export function copiedLines(sources: readonly SourceFile[]): { copied: number; all: number } {
  const window = 8;
  const seen = new Map<string, string>();
  const copied = new Set<string>();
  let all = 0;
  for (const { path, text } of sources) {
    const lines = text
      .split("\n")
      .map((line) => line.trim())
      .filter(
        (line) => line.length > 3 && !line.startsWith("import ") && !line.startsWith("*") && !line.startsWith("//"),
      );
    all += lines.length;
    for (let at = 0; at + window <= lines.length; at++) {
      const block = lines.slice(at, at + window).join("\n");
      const other = seen.get(block);
      if (other === undefined) seen.set(block, `${path}:${at}`);
      else for (let line = at; line < at + window; line++) copied.add(`${path}:${line}`);
    }
  }
  return { copied: copied.size, all };
}

describe("sizes", () => {
  test(`no file is longer than ${longestFile} lines`, () => {
    expect(files.filter((file) => file.text.split("\n").length > longestFile).map((file) => file.path)).toEqual([]);
  });

  test(`no function is longer than ${longestFunction} lines`, () => {
    expect(files.flatMap(functionSizes).filter((one) => one.lines > longestFunction)).toEqual([]);
  });

  test("nine of ten files are shorter than the ratchet says", () => {
    const lengths = files.map((file) => file.text.split("\n").length).sort((a, b) => a - b);
    expect(lengths[Math.floor(lengths.length * 0.9)]).toBeLessThanOrEqual(ratchet.p90OfFiles);
  });

  test("the lock room stays small, and so does the protocol for object stores in it", () => {
    const isCas = (file: SourceFile): boolean => file.path.startsWith("src/lock/cas/");
    const lock = files.filter((file) => file.path.startsWith("src/lock/"));
    const linesOf = (some: readonly SourceFile[]): number =>
      some.reduce((sum, file) => sum + file.text.split("\n").length, 0);
    expect(linesOf(lock.filter((file) => !isCas(file)))).toBeLessThanOrEqual(ratchet.lockRoom);
    expect(linesOf(lock.filter(isCas))).toBeLessThanOrEqual(ratchet.casRoom);
  });

  test("hardly a line is copied", () => {
    const { copied, all } = copiedLines(files);
    expect(copied / all).toBeLessThan(ratchet.copiedShare);
  });

  test("a copied block is found, a long function is found", () => {
    const block = Array.from({ length: 10 }, (_, index) => `const line${index} = ${index};`).join("\n");
    expect(
      copiedLines([
        { path: "a", text: block },
        { path: "b", text: block },
      ]).copied,
    ).toBe(10);
    const long = { path: "src/x.ts", text: `function f() {\n${"g();\n".repeat(80)}}` };
    expect(functionSizes(long)[0]?.lines).toBeGreaterThan(longestFunction);
  });
});
