import { describe, expect, test } from "vitest";
import { isQuick } from "../../test/support/quick.ts";
import { journalOf, stateOf, textOf } from "../../test/support/run-journals.ts";
import { isRecord, parseYaml } from "../repo/yaml.ts";
import type { JournalEntry } from "./entries.ts";
import { stringifyRunRecord } from "./run-record.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- a test says what it expects of it
const recordOf = (entries: readonly JournalEntry[]): any =>
  parseYaml(stringifyRunRecord(stateOf(entries), { logFile: "a/b.log" }), "x.yaml");

describe("the record of a run", () => {
  test("says of each step what the state says, whatever is in names, errors and tags", () => {
    const odd = [
      "plain",
      "a: b # c",
      "- x\n  y: |\n\n",
      "'\"${{ x }}",
      "\u0000\u001b[31m",
      "no",
      "12",
      " lead",
      "\ud83d\ude00",
      "",
    ];
    for (let seed = 1; seed <= 60; seed++) {
      const entries = journalOf({ seed, steps: 12, failing: 0.4, tags: { note: odd[seed % odd.length] ?? "" } }).map(
        (entry, at): JournalEntry =>
          entry.e === "end" && entry.s === "failed"
            ? { ...entry, error: odd[at % odd.length] ?? "" }
            : entry.e === "expand"
              ? {
                  ...entry,
                  names: entry.names.map((name, index) => `${name}${odd[(index + seed) % odd.length] ?? ""}`),
                }
              : entry,
      );
      const state = stateOf(entries);
      const record = recordOf(entries);
      expect(record).toMatchObject({
        id: state.id,
        workflowName: "patch-fleet",
        status: state.status,
        by: state.by,
        tags: state.tags,
        logFile: "a/b.log",
      });
      const told = record.jobs.flatMap((job: any) => job.steps); // oxlint-disable-line typescript/no-explicit-any -- as above
      const steps = state.jobs.flatMap((job) => job.steps.map((number) => state.step(number)));
      const shown = steps.filter((step) => step.expansions === undefined);
      expect(told.map((one: { stepName: string }) => one.stepName)).toEqual(shown.map((step) => step.name));
      expect(told.map((one: { status: string }) => one.status)).toEqual(shown.map((step) => step.status));
      expect(told.map((one: { error?: string }) => one.error)).toEqual(shown.map((step) => step.error));
    }
  });

  test("names what a step called and left, without its content", () => {
    const entries = journalOf({ seed: 2, steps: 1, failing: 0 });
    const end = entries.find((entry) => entry.e === "end");
    const start = entries.find((entry) => entry.e === "start");
    if (end?.e !== "end" || start?.e !== "start") throw new Error("no such entries");
    expect(recordOf(entries).jobs[0].steps).toEqual([
      {
        stepName: "step-1-0",
        status: "succeeded",
        startedAt: new Date(start.at).toISOString(),
        completedAt: new Date(end.at).toISOString(),
        output: { type: "model_method", model: start.model, method: "execute", outputId: start.out },
        dataArtifacts: end.data?.map(([dataId, name, version]) => ({ dataId, name, version })),
      },
    ]);
  });

  test("of a run that was stopped leaves nothing pending, waiting or running", () => {
    const { jobs, status } = recordOf(journalOf({ seed: 4, steps: 60, diesAt: 0.5, resumed: true }));
    expect(status).toBe("cancelled");
    const steps: readonly unknown[] = jobs.flatMap((job: { steps: unknown[] }) => job.steps);
    const statuses = new Set([...jobs, ...steps].map((one) => (isRecord(one) ? one["status"] : "")));
    expect([...statuses].filter((one) => ["pending", "waiting", "running"].includes(String(one)))).toEqual([]);
    expect(statuses).toContain("skipped");
  });

  test.skipIf(isQuick)("of 10,000 steps, with the journal, takes at most 2 KB a step, and a moment", () => {
    const entries = journalOf({ seed: 5, steps: 10_000 });
    const state = stateOf(entries);
    let text = "";
    // Of the processor, not by the clock: others work on this machine too.
    const timed = (): number => {
      const start = process.cpuUsage();
      text = stringifyRunRecord(state, { logFile: "a/b.log" });
      return process.cpuUsage(start).user / 1000;
    };
    expect(Math.min(timed(), timed(), timed())).toBeLessThan(1500);
    expect((textOf(entries).length + text.length) / state.work.length).toBeLessThan(2048);
  });
});
