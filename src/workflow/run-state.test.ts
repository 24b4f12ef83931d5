import { expect, test } from "vitest";
import { author, journalOf, stateOf } from "../../test/support/run-journals.ts";

test("the time in which nobody carried a run out isn't counted as its own", () => {
  const entries = journalOf({ seed: 1, steps: 5, failing: 0 });
  const [first] = entries;
  const last = entries.at(-1);
  if (first?.e !== "run" || last === undefined) throw new Error("a journal begins with its run");
  const whole = stateOf(entries).duration();
  expect(whole).toBe(last.at - first.at);
  const at = last.at + 3_600_000;
  const resumed = [...entries, { e: "resume", at, by: first.by }, { e: "done", at: at + 7, s: "succeeded" }] as const;
  expect(stateOf(resumed).duration()).toBe(whole + 7);
});

test("nor is it counted as that of the jobs and steps that it came between", () => {
  const [first] = journalOf({ seed: 1, steps: 2, failing: 0 });
  if (first?.e !== "run") throw new Error("a journal begins with its run");
  const hour = 3_600_000;
  const state = stateOf([
    { ...first, at: 0 },
    { e: "job", at: 10, j: 0, s: "running" },
    { e: "start", at: 20, n: 0, a: 1 },
    { e: "start", at: 30, n: 1, a: 1 },
    { e: "end", at: 40, n: 0, s: "succeeded" },
    { e: "resume", at: hour, by: author },
    { e: "start", at: hour + 5, n: 1, a: 2 },
    { e: "resume", at: 2 * hour, by: author },
    { e: "start", at: 2 * hour + 6, n: 1, a: 3 },
    { e: "end", at: 2 * hour + 8, n: 1, s: "succeeded" },
    { e: "job", at: 2 * hour + 9, j: 0, s: "succeeded" },
  ]);
  const [one, other] = state.steps.map((step) => state.durationOf(step));
  expect(one).toBe(20); // ended before
  expect(other).toBe(10 + 5 + 8); // until the last sign of life, until the second, and after it
  expect(state.durationOf(state.job(0))).toBe(30 + 5 + 9);
  expect([40, hour - 1, hour, hour + 5, 2 * hour + 9].map((at) => state.elapsed(at))).toEqual([40, 40, 40, 45, 54]);
  expect(state.durationOf({ startedAt: 20 })).toBeUndefined();
  expect(state.durationOf({ startedAt: 20 }, 35)).toBe(15);
  expect(state.durationOf({})).toBeUndefined();
});
