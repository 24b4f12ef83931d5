import { expect, test } from "vitest";
import { journalOf, stateOf } from "../../test/support/run-journals.ts";

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
