import { describe, expect, test } from "vitest";
import { Chance } from "../../test/support/chance.ts";
import { journalOf, stateOf, textOf } from "../../test/support/run-journals.ts";
import { JournalReader } from "./journal-reader.ts";

const entries = journalOf({ seed: 1, steps: 40, failing: 0.3 });
const bytes = Buffer.from(textOf(entries));

function read(text: string | Uint8Array): JournalReader {
  const reader = new JournalReader("x.journal");
  reader.take(Buffer.from(text));
  return reader;
}

const lines = (from: number, to: number) => textOf(entries.slice(from, to));

describe("a journal", () => {
  test("gives the same entries and state however its bytes come", () => {
    const chance = new Chance(7);
    const reader = new JournalReader("x.journal");
    const taken = [];
    for (let at = 0; at < bytes.length;) {
      const size = 1 + chance.below(700);
      taken.push(...reader.take(bytes.subarray(at, at + size)));
      at += size;
    }
    expect(taken).toEqual(entries);
    expect(reader.offset).toBe(bytes.length);
    expect(reader.state).toEqual(stateOf(entries));
    expect(reader.problems).toEqual([]);
  });

  test("may have a line of 100 MiB, which takes no longer for coming in small parts", () => {
    const reader = new JournalReader("x.journal");
    const [first] = entries;
    const start = Date.now();
    reader.take(Buffer.from(`${JSON.stringify({ ...first, inputs: { text: "" } }).slice(0, -1)},"more":"`));
    const part = Buffer.alloc(64 * 1024, "x");
    for (let at = 0; at < 1600; at++) expect(reader.take(part)).toEqual([]);
    expect(reader.take(Buffer.from('"}\n'))).toHaveLength(1);
    expect(Date.now() - start).toBeLessThan(5000);
    expect(reader.state?.id).toBe(stateOf(entries).id);
  });

  test("cut at any byte is the state of the whole lines before, without a problem", () => {
    const chance = new Chance(3);
    for (let round = 0; round < 100; round++) {
      const reader = read(bytes.subarray(0, chance.below(bytes.length)));
      const whole = bytes.subarray(0, reader.offset).toString().split("\n").length - 1;
      if (whole > 0) expect(reader.state).toEqual(stateOf(entries.slice(0, whole)));
      expect(reader.problems).toEqual([]);
    }
  });

  test("a line in the middle that can't be read is told and left out; the others count", () => {
    const reader = read(`${lines(0, 6)}{"e":"end","at":1,"n"\nnull\n${lines(6, 99)}`);
    expect(reader.problems.map(({ line }) => line)).toEqual([7, 8]);
    expect(reader.state).toEqual(stateOf(entries.slice(0, 99)));
  });

  test.each([
    ["a step that there isn't", { e: "start", at: 1, n: 9999, a: 1 }, "the run has no step 9999"],
    ["an entry of a kind that isn't known", { e: "sing", at: 1 }, "it isn't an entry"],
    ["an entry without its time", { e: "done", s: "failed" }, "it isn't an entry"],
    ["an end of no known status", { e: "end", at: 1, n: 0, s: "toString" }, "it isn't an entry"],
    ["a kind that every object has", { e: "constructor", at: 1 }, "it isn't an entry"],
    ["a time that no calendar has", { e: "done", at: 1e300, s: "failed" }, "it isn't an entry"],
    ["names that are none", { e: "expand", at: 1, n: 0, first: 40, names: [1, null] }, "it isn't an entry"],
    ["an error that is no text", { e: "end", at: 1, n: 0, s: "failed", error: {} }, "it isn't an entry"],
    ["data that is none", { e: "end", at: 1, n: 0, s: "failed", data: [["x"]] }, "it isn't an entry"],
    [
      "expansions that follow nothing",
      { e: "expand", at: 1, n: 0, first: 1e9, names: ["x"] },
      "the expansions of step 0 can't have the numbers from 1000000000 on",
    ],
  ])("%s is told", (_, entry, message) => {
    const reader = read(`${lines(0, 3)}${JSON.stringify(entry)}\n${lines(3, 4)}`);
    expect(reader.problems).toEqual([{ line: 4, message }]);
    expect(reader.state).toEqual(stateOf(entries.slice(0, 4)));
  });

  test("half a line before the run is taken up again is as normal as at the end; so is one that never reached the disk", () => {
    const resume = { e: "resume", at: 5, by: { holder: "a@b", pid: 1, command: "fen" } };
    for (const half of ['{"e":"end","at":1', "\0\0\0\0", ""]) {
      const reader = read(`${lines(0, 6)}${half}\n${JSON.stringify(resume)}\n`);
      expect(reader.problems).toEqual([]);
      expect(reader.state?.by).toEqual(resume.by);
    }
  });

  test("without its first line is no run, and that is an error", () => {
    expect(() => read(lines(1, 9))).toThrow(expect.objectContaining({ code: "run_corrupt" }));
    expect(() => read('{"e":"run","at":1,"run":"x","definition":{},"inputs":{},"tags":{},"by":{}}\n')).toThrow(
      expect.objectContaining({ code: "run_corrupt" }),
    );
    expect(read("").state).toBeUndefined();
  });
});
