/** What every refusal must look like, and what must be left after it. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { expect } from "vitest";
import type { Result } from "../../support/cli.ts";

export const execute = (model: string): string[] => ["model", "method", "run", model, "execute"];

/** A JSON error with this code and exit code, a sentence, a hint; nothing on stdout, no stack. Gives the error. */
export function expectRefusal(result: Result, code: string | readonly string[], exitCode: number) {
  expect(result.stderr).toContain('"error"');
  const error = result.error();
  expect([code].flat(), JSON.stringify(error)).toContain(error.code);
  expect(result.exitCode, JSON.stringify(error)).toBe(exitCode);
  expect(result.stdout).toBe("");
  expect(error.message.length).toBeGreaterThan(10);
  expect(error.message).not.toMatch(/undefined|\[object|Error:|defect/);
  expect(error.hint, error.message).toMatch(/\w+ \w+/);
  expect(result.stderr).not.toMatch(/^\s+at |"stack"/m);
  return error;
}

/** Files and folders below a folder, relative, sorted; [] where it isn't there. */
export function tree(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true }).map(String).sort();
  } catch {
    return []; // not made yet
  }
}

/** Nothing that a command needed only while it ran: locks, places in queues, staged outputs, temporary files, claims. */
export function expectClean(datastore: string): void {
  expectNothingHeld(datastore);
  expect(tree(datastore).filter((path) => /\.tmp$|^\.fen\/queue\/[^/]+\/./.test(path))).toEqual([]);
}

/** The part of it that also holds after a kill -9 and one more run: only files that nobody reads may be left. */
export function expectNothingHeld(datastore: string): void {
  const left = tree(datastore).filter((path) =>
    /(^|\/)\.(datastore\.)?lock$|^\.fen\/queue\/.+\/[^.]|^\.fen\/staging\/[^/]+\/.|^name-claims\/./.test(path),
  );
  expect(left).toEqual([]);
}

/** All versions of a model's data are whole: numbers without a gap, content as metadata says, `latest` the newest. Gives versions by name. */
export function expectWholeData(datastore: string, modelId: string): Record<string, number[]> {
  const folder = join(datastore, "data/command/shell", modelId);
  const versions: Record<string, number[]> = {};
  for (const name of tree(folder).filter((path) => !path.includes("/") && !path.startsWith("."))) {
    const numbers = readdirSync(join(folder, name))
      .filter((entry) => entry !== "latest")
      .map(Number)
      .sort((a, b) => a - b);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    for (const number of numbers) {
      const text = readFileSync(join(folder, name, String(number), "metadata.yaml"), "utf8");
      const raw = readFileSync(join(folder, name, String(number), "raw"));
      expect(text).toContain(`version: ${number}\n`);
      expect(text).toContain(`size: ${raw.length}\n`);
      expect(text).toContain(createHash("sha256").update(raw).digest("hex"));
    }
    if (numbers.length > 0) expect(readFileSync(join(folder, name, "latest"), "utf8")).toBe(String(numbers.length));
    versions[name] = numbers;
  }
  return versions;
}

/** Every file below a folder whose content or path holds `text`. */
export function filesHolding(folder: string, text: string): string[] {
  return tree(folder).filter((path) => {
    if (path.includes(text)) return true;
    const full = join(folder, path);
    return statSync(full).isFile() && readFileSync(full).includes(text);
  });
}
