import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { journalOf, stateOf } from "../../test/support/run-journals.ts";
import { entriesOfRecord, readRecordHead } from "./old-record.ts";
import { stringifyRunRecord } from "./run-record.ts";

const ref = {
  workflowId: "51265e49-9832-450e-aff0-d1b2e3bcb1a3",
  id: "952dea75-2f6b-42e9-9d97-291116f77f99",
};
const folder = new URL("../../test/fixtures/existing-repo/.swamp/workflow-runs/", import.meta.url);
const old = readFileSync(fileURLToPath(new URL(`${ref.workflowId}/workflow-run-${ref.id}.yaml`, folder)), "utf8");

describe("a record of the older program", () => {
  test("gives its jobs, steps, outputs and what became of them; a fan-out beside its expansions counts for nothing", () => {
    const state = stateOf(entriesOfRecord(old, "x.yaml", ref));
    expect(state).toMatchObject({ id: ref.id, status: "succeeded", tags: { team: "sre" } });
    expect(state.jobs.map(({ name, status }) => [name, status])).toEqual([
      ["greet", "succeeded"],
      ["check", "succeeded"],
      ["nested", "succeeded"],
    ]);
    expect(state.work.map(({ name, status, allowed }) => [name, status, allowed])).toEqual([
      ["greet-a", "succeeded", undefined],
      ["greet-b", "succeeded", undefined],
      ["may-fail", "failed", true],
      ["after", "succeeded", undefined],
      ["report", "succeeded", undefined],
    ]);
    expect(state.counts.pending).toBe(0);
    expect(state.work.at(-1)?.child).toBe("7776d724-0fb9-4495-b232-c920ab64351b");
    expect(state.steps[1]).toMatchObject({
      model: "acme-web-01",
      data: [expect.arrayContaining(["result-hi a", 1]), expect.arrayContaining(["log", 3])],
    });
  });

  test("says of the whole run the same with its jobs as without them", () => {
    expect(readRecordHead(old, "x.yaml")).toEqual({
      workflowName: "acme-greet-all",
      status: "succeeded",
      startedAt: Date.parse("2026-11-24T00:17:17.412Z"),
      endedAt: Date.parse("2026-11-24T00:17:17.625Z"),
      tags: { team: "sre" },
    });
  });

  test.each([
    ["what is no map", "- a\n"],
    ["no time of start", "id: x\n"],
    ["a time of start that is none", "startedAt: yesterday\n"],
  ])("with %s is an error", (_, text) => {
    expect(() => entriesOfRecord(text, "x.yaml", ref)).toThrow(expect.objectContaining({ code: "run_corrupt" }));
    expect(() => readRecordHead(text, "x.yaml")).toThrow(expect.objectContaining({ code: "run_corrupt" }));
  });

  test("with nonsense in it gives what can be read", () => {
    const text = `startedAt: '2026-01-01T00:00:00.000Z'
status: dancing
tags: { a: 1, b: { c: d } }
jobs:
  - 7
  - jobName: 3
    status: { a: b }
    steps: [x, { stepName: [1], status: succeeded, completedAt: soon, output: text, dataArtifacts: [1, { name: a }] }]
`;
    const state = stateOf(entriesOfRecord(text, "x.yaml", ref));
    expect(state.status).toBe("running");
    expect(state.jobs.map(({ name }) => name)).toEqual(["3"]);
    expect(state.work.map(({ name, status }) => [name, status])).toEqual([["", "succeeded"]]);
  });
});

test("our own records say the same without their journal", () => {
  for (let seed = 0; seed < 20; seed++) {
    const told = stateOf(journalOf({ seed, steps: 20, failing: 0.3 }));
    const text = stringifyRunRecord(told, { logFile: "x.log" });
    const read = stateOf(entriesOfRecord(text, "x.yaml", { workflowId: told.definition.id, id: told.id }));
    expect(read.counts).toEqual(told.counts);
    expect(read).toMatchObject({ status: told.status, by: told.by });
    const called = (state: typeof read) =>
      new Map(state.work.map(({ name, model, output, why }) => [name, [model, output, why]]));
    expect(called(read)).toEqual(called(told));
    expect(readRecordHead(text, "x.yaml").endedAt).toBe(told.endedAt);
  }
});
