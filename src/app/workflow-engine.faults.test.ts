/** Whoever is told of a run's entries may fail: then the run ends, and nothing of it stays open. */
import { expect, test } from "vitest";
import { after, memoryRun, nothing, stepOf, workflowOf } from "../../test/support/memory-run.ts";
import type { JournalEntry } from "../workflow/entries.ts";

const workflow = workflowOf([stepOf("a"), stepOf("b", { dependsOn: after("a") })]);

test.each<[string, (entry: JournalEntry) => boolean]>([
  ["a job begins", ({ e }) => e === "job"],
  ["a step begins", ({ e }) => e === "start"],
  ["a step ends", ({ e }) => e === "end"],
  ["a job ends", (entry) => entry.e === "job" && entry.s === "succeeded"],
  ["the run ends", ({ e }) => e === "done"],
])("where it fails when %s", async (_, isIt) => {
  const { workspace, run } = memoryRun(workflow, {
    type: nothing,
    emit: (event) => {
      if (event.event === "workflow.entry" && isIt(event.entry)) throw new Error("nobody listens");
    },
  });
  await expect(run()).rejects.toThrow("nobody listens");
  expect(workspace.lockTable.held.size).toBe(0);
  expect([...workspace.files.files.keys()].filter((path) => path.endsWith(".owner"))).toEqual([]);
});
