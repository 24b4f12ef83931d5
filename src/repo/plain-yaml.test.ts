import {
  array,
  assert as check,
  boolean,
  constantFrom,
  dictionary,
  integer,
  letrec,
  oneof,
  property,
  string,
} from "fast-check";
import { dump } from "js-yaml";
import { expect, test } from "vitest";
import { plainYaml } from "./plain-yaml.ts";
import { parseYaml } from "./yaml.ts";

/** Texts that are near the border between what is written plainly and what isn't. */
const words = oneof(
  string({ unit: constantFrom(..."0123456789abcdefxoynYNE.-_/@:+~ TZ'"), maxLength: 12 }),
  constantFrom(
    "yes",
    "null",
    "True",
    ".inf",
    ".NaN",
    "0x1f",
    "0b11",
    "0o7",
    "1e5",
    "1_000",
    "12:30",
    "2026-11-25",
    "=",
    "<<",
    "infinite",
    "a/b",
    "./abc",
  ),
  constantFrom(
    "2026-11-25T16:39:12.219Z",
    "2026.02.09.1",
    "0b000000-0000-4000-a000-000000000001",
    "e3b0c442",
    "00e1",
    "application/json",
    "ssh web-01.example true",
    "on the way - back",
    "a 1 b_2 ./c @d",
  ),
  string({ maxLength: 8 }),
);
const { document } = letrec((tie) => ({
  value: oneof(
    { depthSize: "small" },
    words,
    integer(),
    boolean(),
    array(tie("value"), { maxLength: 3 }),
    tie("document"),
  ),
  document: dictionary(words, tie("value"), { maxKeys: 4, noNullPrototype: true }),
}));

test("what is written plainly is what the library writes, and reads as what it was", () => {
  let plain = 0;
  check(
    property(document, (value) => {
      const text = plainYaml(value as Record<string, unknown>); // a dictionary, by the arbitrary
      if (text === undefined) return;
      plain++;
      expect(text).toBe(dump(value));
      expect(parseYaml(text, "x.yaml")).toEqual(value);
    }),
    { numRuns: 5000 },
  );
  expect(plain).toBeGreaterThan(200);
});

test("every text alone is written as the library writes it", () => {
  check(
    property(words, (word) => {
      const text = plainYaml({ key: word });
      if (text !== undefined) expect(text).toBe(dump({ key: word }));
    }),
    { numRuns: 10_000 },
  );
});

test("a record of a run is written plainly", () => {
  const record = {
    id: "8b7155d7-6e84-46c2-acf6-9801d10d1a1a",
    status: "running",
    startedAt: "2026-11-25T16:39:12.219Z",
    provenance: {
      definitionHash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      modelVersion: "2026.02.09.1",
    },
    artifacts: { dataArtifacts: [{ dataId: "x", name: "log", version: 3, tags: { type: "file" } }] },
    logFile: ".swamp/outputs/command/shell/execute/8b7155d7-2026-11-25T16-39-12-219Z-ab07c564.log",
  };
  expect(plainYaml(record)).toBe(dump(record));
});

test("a few words are written plainly, more of them are left to the library, which folds", () => {
  expect(plainYaml({ run: "ssh web-01.example true" })).toBe(dump({ run: "ssh web-01.example true" }));
  expect(plainYaml({ run: "one two three ".repeat(9).trim() })).toBeUndefined();
});
