/** Records that a run which died had not come to. */
import { expect, test, vi } from "vitest";
import { memoryWorkspace } from "../../test/support/memory-workspace.ts";
import { nothing, stepOf, workflowOf } from "../../test/support/memory-run.ts";
import { type Metadata, stringifyMetadata } from "../data/metadata.ts";
import { systemMachine } from "../kernel/machine.ts";
import { RunState } from "../workflow/run-state.ts";
import { bringRecords } from "./step-records.ts";
import { makeSurroundings } from "./workflow-run-surroundings.ts";

const context = {
  machine: systemMachine("test"),
  signal: new AbortController().signal,
  lockTimeoutMs: undefined,
  emit: () => undefined,
};
const out = "00000003-0000-4000-a000-000000000000";
const workflow = workflowOf([stepOf("a")]);
const by = { holder: "u@h", pid: 1, command: "fen" };
const first = { e: "run" as const, run: workflow.id, definition: workflow, hash: "", inputs: {}, tags: {}, by };

test("are written with what the journal names, without a look at all versions that there are", async () => {
  const workspace = memoryWorkspace(context, { type: nothing, models: ["m0"], workflows: [workflow] });
  const { workflows, files, data } = workspace;
  const { definition: model } = await workspace.definitions.find("m0");
  for (let version = 1; version <= 40; version++) {
    const metadata: Metadata = {
      ...{ id: `d-${version}`, name: "result", version, contentType: "text/plain", lifetime: "infinite" },
      ...{
        garbageCollection: 10,
        streaming: false,
        tags: { nth: `no. ${version}` },
        createdAt: "2026-01-01T00:00:00Z",
      },
      ownerDefinition: {
        ownerType: "model-method",
        ownerRef: model.id,
        outputId: `${String(version).padStart(8, "0")}-0000-4000-a000-000000000000`,
      },
    };
    await files.write(`data/${model.type}/${model.id}/result/${version}/metadata.yaml`, stringifyMetadata(metadata));
  }
  const state = new RunState({ ...first, at: 0 });
  state.apply({ e: "job", at: 1, j: 0, s: "running" });
  state.apply({ e: "start", at: 2, n: 0, a: 1, model: "m0", out: out });
  state.apply({
    e: "end",
    at: 5,
    n: 0,
    s: "succeeded",
    data: [
      ["d-3", "result", 3],
      ["gone", "log", 3],
    ],
  });
  const looks = vi.spyOn(data.store, "metadata");
  await bringRecords(await makeSurroundings(context, workspace, { workflows, tags: {}, together: true }), state, []);
  const record = await workspace.outputs.ofRun(out);
  expect(record?.record).toMatchObject({
    ...{ status: "succeeded", durationMs: 3, definitionId: model.id },
    artifacts: {
      dataArtifacts: [
        { dataId: "d-3", name: "result", version: 3, tags: { nth: "no. 3" } },
        { dataId: "gone", name: "log", version: 3, tags: {} },
      ],
    },
  });
  expect(looks).toHaveBeenCalledTimes(2);
});

test.each([
  ["nothing but their names", ""],
  ["zeros", "\0\0\0"],
])("are written where a power cut has left %s", async (_, left) => {
  const workspace = memoryWorkspace(context, { type: nothing, models: ["m0"], workflows: [workflow] });
  const { workflows, files, outputs } = workspace;
  const state = new RunState({ ...first, at: 0 });
  state.apply({ e: "start", at: 2, n: 0, a: 1, model: "m0", out });
  state.apply({ e: "end", at: 5, n: 0, s: "succeeded" });
  const surroundings = await makeSurroundings(context, workspace, { workflows, tags: {}, together: true });
  await bringRecords(surroundings, state, []);
  const path = (await outputs.ofRun(out))?.path ?? "";
  await files.write(path, left);
  await bringRecords(surroundings, state, []);
  expect((await outputs.ofRun(out))?.record).toMatchObject({ status: "succeeded", durationMs: 3 });
});
