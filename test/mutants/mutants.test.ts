/**
 * A proof that the tests of the locks can fail: each bug of the list is planted in a copy of the source, and the named check must find it there.
 * A bug whose text isn't in the source exactly once fails, and so does a check that doesn't pass on the copy without bugs: then the list is out of date.
 *
 *   npm run mutants                       plants all of them; prints which check found which
 *   REPORT=1 npm run mutants              also writes that table into docs/lock-report.md
 *   npm run mutants -- -t "wake-up lost"  only some
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Laboratory, patched, type Verdict } from "./laboratory.ts";
import { today } from "../support/share.ts";
import { mutants } from "./list.ts";
import type { Mutant } from "./mutant.ts";
import { section, table } from "./report.ts";

/** `npm test` plants one in eight, other ones each day; all of them otherwise. */
const isShare = process.env["FEN_MUTANTS"] === "share";
const planted = mutants.filter((_, index) => !isShare || index % 8 === today % 8);
const harmless: Mutant = {
  name: "harmless",
  scenarios: [],
  file: "lock/nesting.ts",
  from: "return covering.at(-1);",
  to: "return covering.at(covering.length - 1);",
  check: "lock/nesting",
  test: "of several the innermost covers",
};
const report = fileURLToPath(new URL("../../docs/lock-report.md", import.meta.url));
const laboratory = new Laboratory();
const verdicts = new Map<Mutant, Verdict>();

beforeAll(() => laboratory.passHealthy([...new Set([...planted, harmless].map((mutant) => mutant.check))]), 120_000);
afterAll(() => {
  laboratory.close();
  const inOrder = new Map(mutants.flatMap((mutant) => [...verdicts].filter(([one]) => one === mutant)));
  console.log(table(inOrder));
  if (process.env["REPORT"] === "1" && verdicts.size === mutants.length)
    writeFileSync(report, section.replace(readFileSync(report, "utf8"), inOrder));
});

describe.concurrent("planted bugs", () => {
  test.each(planted)("$name: found by $check", { timeout: 90_000 }, async (mutant) => {
    const verdict = await laboratory.plant(mutant);
    verdicts.set(mutant, verdict);
    expect(verdict.found, verdict.why).toBe(true);
  });
});

describe("the list", () => {
  test("no bug is planted twice, and each is told in docs/lock-report.md", () => {
    expect(new Set(mutants.map((mutant) => mutant.name)).size).toBe(mutants.length);
    const told = readFileSync(report, "utf8");
    expect(mutants.filter((mutant) => !told.includes(`| ${mutant.name} |`)).map((mutant) => mutant.name)).toEqual([]);
  });

  test("the text of each is in the source exactly once", () => {
    const source = (file: string) => readFileSync(new URL(`../../src/${file}`, import.meta.url), "utf8");
    for (const mutant of mutants) expect(patched(source(mutant.file), mutant)).not.toBe(source(mutant.file));
  });

  test("a bug whose text isn't there exactly once is no bug", async () => {
    const [mutant] = planted;
    if (mutant === undefined) throw new Error("the list is empty");
    for (const from of ["nowhere in the source", "stage"])
      await expect(laboratory.plant({ ...mutant, from })).rejects.toThrow("exactly once");
  });

  test("a change that harms nothing isn't found", async () => {
    expect(await laboratory.plant(harmless)).toMatchObject({ found: false });
  });
});
