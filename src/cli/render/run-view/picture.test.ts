import { describe, expect, test } from "vitest";
import { Chance } from "../../../../test/support/chance.ts";
import { author, journalOf, stateOf } from "../../../../test/support/run-journals.ts";
import { tries } from "../../../../test/support/quick.ts";
import type { JournalEntry } from "../../../workflow/entries.ts";
import { Console } from "../../console.ts";
import { Output } from "../../output.ts";
import { columnsOf } from "../columns.ts";
import { KnownRun } from "./known.ts";
import { picture } from "./picture.ts";

const console = new Console(
  { color: false, errColor: false, quiet: false, pager: false },
  { out: new Output(1), err: new Output(2) },
);

function known(entries: readonly JournalEntry[]): KnownRun {
  const view = new KnownRun();
  let run = "";
  for (const entry of entries) {
    if (entry.e === "run") run = entry.run;
    view.note({ event: "workflow.entry", run, entry });
  }
  return view;
}

const lastAt = (entries: readonly JournalEntry[]): number => entries.at(-1)?.at ?? 0;

describe("the picture of a run", () => {
  test("is never higher than the window and never wider, at any moment of any run, in any window", () => {
    const chance = new Chance(1);
    for (let round = 0; round < tries(300); round++) {
      const steps = 1 + chance.below(120);
      const entries = journalOf({ seed: round, steps, failing: 0.3, slots: 1 + chance.below(60) });
      const part = entries.slice(0, 1 + chance.below(entries.length));
      const view = known(part);
      for (const { state } of view.working)
        for (let line = chance.below(5); line > 0; line--)
          view.note({
            event: "workflow.output",
            run: "",
            step: state.number,
            stream: "stdout",
            line: "日本 \u001B[2J x",
          });
      const height = 1 + chance.below(40);
      const width = 1 + chance.below(140);
      const lines = picture(view, console, { width, height, now: lastAt(part) + 500 });
      expect(lines.length).toBeLessThanOrEqual(height);
      expect(Math.max(...lines.map(columnsOf))).toBeLessThanOrEqual(width);
      expect(lines.join("")).not.toMatch(/\p{Cc}/u);
    }
  });

  test("counts every step once, whatever has happened", () => {
    for (let seed = 0; seed < 40; seed++) {
      const entries = journalOf({ seed, steps: 60, failing: 0.2, diesAt: 0.6, resumed: seed % 2 === 0 });
      for (const part of [entries.slice(0, entries.length >> 1), entries]) {
        const { counts } = stateOf(part);
        const view = known(part);
        expect(view.counts).toEqual(counts);
        expect(view.working.size).toBe(counts.running);
        expect(view.waiting.size).toBe(counts.waiting);
        expect(view.failed.length).toBe(counts.failed);
      }
    }
  });

  test("shows steps at work, steps that wait and for whom, and what failed with its last words", () => {
    const [first] = journalOf({ seed: 1, steps: 3 });
    if (first?.e !== "run") throw new Error("no run");
    const at = first.at;
    const names = ["works", "waits", "fails"];
    const [job] = first.definition.jobs;
    const [step] = job?.steps ?? [];
    if (job === undefined || step === undefined) throw new Error("no step");
    const definition = {
      ...first.definition,
      jobs: [{ ...job, name: "all", steps: names.map((name) => ({ ...step, name, dependsOn: [] })) }],
    };
    const view = known([
      { ...first, definition },
      { e: "job", at, j: 0, s: "running" },
      { e: "start", at, n: 0, a: 2, model: "web-01" },
      { e: "wait", at: at + 1000, n: 1, model: "web-07", by: "bob@ci (pid 99)" },
      { e: "start", at, n: 2, a: 1, model: "web-02" },
    ]);
    for (const [number, line] of [
      [0, "downloading"],
      [2, "one"],
      [2, "two"],
      [2, "three"],
      [2, "no route to host"],
    ] as const)
      view.note({ event: "workflow.output", run: first.run, step: number, stream: "stdout", line });
    view.note({
      event: "workflow.entry",
      run: first.run,
      entry: { e: "end", at: at + 2000, n: 2, s: "failed", error: "Command exited with code 3" },
    });
    expect(picture(view, console, { width: 80, height: 20, now: at + 3400 }).join("\n")).toMatchInlineSnapshot(`
      "patch-fleet  █████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░ 1/3  33 %  3.4 s
      1 at work, 1 waiting for a lock, 1 failed
      ● all/works  3.4 s  attempt 2  downloading
      ◌ all/waits  waits for the lock on web-07, held by bob@ci (pid 99)  2.4 s
      ✘ all/fails  Command exited with code 3
          two
          three
          no route to host"
    `);
    expect(picture(view, console, { width: 80, height: 6, now: at + 3400 }).join("\n")).toMatchInlineSnapshot(`
      "patch-fleet  █████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░ 1/3  33 %  3.4 s
      1 at work, 1 waiting for a lock, 1 failed
      ● all/works  3.4 s  attempt 2  downloading
      ◌ all/waits  waits for the lock on web-07, held by bob@ci (pid 99)  2.4 s
      ✘ all/fails  Command exited with code 3
          no route to host"
    `);
  });

  test("shows steps that pause before they are tried again: which attempt comes, when, and why", () => {
    const [first] = journalOf({ seed: 1, steps: 3 });
    if (first?.e !== "run") throw new Error("no run");
    const { at, definition } = first;
    const [job] = definition.jobs;
    const [one] = job?.steps ?? [];
    if (job === undefined || one === undefined) throw new Error("no step");
    const retry = { attempts: 3, backoffMs: 4000, on: ["failure"] as const };
    const jobs = [{ ...job, name: "all", steps: [{ ...one, name: "flaky", dependsOn: [], retry }] }];
    const entries: JournalEntry[] = [
      { ...first, definition: { ...definition, jobs } },
      { e: "job", at, j: 0, s: "running" },
      { e: "start", at, n: 0, a: 1, model: "web-01" },
      { e: "retry", at: at + 1000, n: 0, a: 1, error: "The command exited with code 3.\nmore" },
    ];
    const shown = (now: number) => picture(known(entries), console, { width: 80, height: 20, now: at + now }).slice(1);
    expect(shown(2500)).toEqual(["1 to come", "↻ all/flaky  attempt 2 of 3 in 2.5 s  The command exited with code 3."]);
    entries.push({ e: "start", at: at + 5000, n: 0, a: 2, model: "web-01" });
    expect(shown(6000)).toEqual(["1 at work", "● all/flaky  6.0 s  attempt 2"]);
  });

  test("of a run that calls another shows and counts the steps of that one in the place of the caller", () => {
    const outer = journalOf({ seed: 3, steps: 1 }).slice(0, 3);
    const [first] = outer;
    const inner = journalOf({ seed: 4, steps: 4, failing: 0 });
    const [begin, ...rest] = inner;
    if (first?.e !== "run" || begin?.e !== "run") throw new Error("no run");
    const view = known([...outer, { e: "start", at: first.at, n: 0, a: 1, child: begin.run }]);
    expect([...view.working].map(({ label }) => label)).toEqual(["job-1/step-1-0"]);
    const called = { ...begin, parent: { run: first.run, step: 0 }, by: author };
    view.note({ event: "workflow.entry", run: begin.run, entry: called });
    expect(view.counts).toMatchObject({ pending: 4, running: 0 });
    expect(view.working.size).toBe(0);
    for (const entry of rest.slice(0, rest.findIndex(({ e }) => e === "start") + 1))
      view.note({ event: "workflow.entry", run: begin.run, entry });
    expect([...view.working].map(({ label }) => label)).toContain("job-1/step-1-0 › job-1/step-1-0");
  });

  test("of 1,000 steps at work costs what it shows, not what there is", () => {
    const entries = journalOf({ seed: 2, steps: 5000, slots: 1000, failing: 0 });
    const part = entries.slice(0, 1200);
    const view = known(part);
    expect(view.working.size).toBeGreaterThan(400);
    const frame = { width: 120, height: 40, now: lastAt(part) };
    const timed = (): number => {
      const start = performance.now();
      for (let count = 0; count < 20; count++) picture(view, console, frame);
      return (performance.now() - start) / 20;
    };
    timed();
    // 4 ms twelve times a second would be 5 % of a core.
    expect(Math.min(timed(), timed(), timed())).toBeLessThan(4);
  });
});
