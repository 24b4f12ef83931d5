import { expect, test } from "vitest";
import { author, journalOf } from "../../test/support/run-journals.ts";
import type { JournalEntry } from "./entries.ts";
import { Timeline } from "./timeline.ts";

function timelineOf(entries: readonly JournalEntry[]): Timeline {
  const timeline = new Timeline();
  for (const entry of entries) timeline.note(entry);
  return timeline;
}

test("a step's waits, attempts and pauses are one after another, whatever happened", () => {
  for (let seed = 0; seed < 50; seed++) {
    const entries = journalOf({ seed, steps: 40, failing: 0.4, diesAt: 0.7, resumed: seed % 2 === 0 });
    const timeline = timelineOf(entries);
    if (seed % 2 === 1) timeline.loseOpen();
    for (let step = 0; step < 60; step++)
      for (const [at, { from, to }] of timeline.of(step).entries()) {
        expect(to).toBeGreaterThanOrEqual(from);
        expect(to).toBeLessThanOrEqual(timeline.lastAt);
        expect(from).toBeGreaterThanOrEqual(timeline.of(step)[at - 1]?.to ?? 0);
      }
  }
});

test("a step that waited, failed, paused and was tried again", () => {
  const timeline = timelineOf([
    { e: "wait", at: 10, n: 0, model: "web-07", by: "ann" },
    { e: "wait", at: 15, n: 0, model: "web-07", by: "bob" },
    { e: "start", at: 20, n: 0, a: 1 },
    { e: "retry", at: 30, n: 0, a: 1, error: "x" },
    { e: "start", at: 50, n: 0, a: 2 },
    { e: "end", at: 60, n: 0, s: "succeeded" },
    { e: "end", at: 61, n: 1, s: "skipped", why: "y" },
  ]);
  expect(timeline.of(0)).toEqual([
    { kind: "wait", from: 10, to: 20, model: "web-07", by: "bob" },
    { kind: "run", from: 20, to: 30 },
    { kind: "pause", from: 30, to: 50 },
    { kind: "run", from: 50, to: 60 },
  ]);
  expect(timeline.of(1)).toEqual([{ kind: "skip", from: 61, to: 61 }]);
});

test("what was at work when the run died is lost from its last sign of life on; what is tried then is another attempt", () => {
  const timeline = timelineOf([
    { e: "start", at: 20, n: 0, a: 1 },
    { e: "wait", at: 25, n: 1, model: "web-07" },
    { e: "end", at: 40, n: 2, s: "succeeded" },
    { e: "resume", at: 90, by: author },
    { e: "start", at: 95, n: 0, a: 2 },
  ]);
  expect(timeline.of(0)).toEqual([
    { kind: "lost", from: 20, to: 40 },
    { kind: "run", from: 95 },
  ]);
  expect(timeline.of(1)).toEqual([{ kind: "wait", from: 25, to: 40, model: "web-07" }]);
});
