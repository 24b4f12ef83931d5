/** Workflows that call workflows: runs, records and logs of their own, limits, failures. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RunDocument } from "../../../src/app/workflow-run-document.ts";
import { documentOf, errorOf } from "../../support/documents.ts";
import { after, nested, step, type WorkflowRepo, workflowRepo } from "../../support/workflow-repo.ts";

let repo: WorkflowRepo;
beforeAll(async () => {
  repo = await workflowRepo();
  repo.model("ok", "echo ok");
});
afterAll(() => repo.remove());

test("lock-48, defect-16: of 10 child runs at once each has a complete log and record, and its parent's is complete too", async () => {
  for (let n = 0; n < 10; n++) repo.model(`talks-${n}`, `for i in $(seq 50); do echo child-${n}-line-$i; done`);
  repo.model("parent", "for i in $(seq 50); do echo parent-line-$i; sleep 0.01; done");
  repo.workflow("talk", [step("talk", "${{ inputs.m }}")], { inputs: { properties: { m: { type: "string" } } } });
  repo.workflow("ten", [
    step("meanwhile", "parent"),
    nested("call", "talk", {
      forEach: { item: "n", in: "${{ [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] }}" },
      inputs: { m: "talks-${{ self.n }}" },
    }),
    step("afterwards", "ok", after("call", "succeeded")),
  ]);
  const { id, jobs } = await documentOf(repo, "workflow run ten --concurrency 20");
  const linesIn = (run: string, word: string) =>
    repo
      .log(run)
      .split("\n")
      .filter((line) => line.includes(word)).length;
  expect(linesIn(id, "parent-line-")).toBe(50);
  expect(repo.log(id)).toContain("afterwards: ok");
  const calls = jobs[0].steps.filter((one: { name: string }) => one.name.startsWith("call-"));
  expect(calls).toHaveLength(10);
  for (const [n, { runId }] of calls.entries()) {
    expect(linesIn(runId, `child-${n}-line-`)).toBe(50);
    expect(linesIn(runId, "-line-")).toBe(50);
    expect(repo.record(runId)).toMatchObject({
      workflowName: "talk",
      status: "succeeded",
      jobs: [{ steps: [{ stepName: "talk", status: "succeeded" }] }],
    });
    expect(repo.record(id).jobs[0].steps.map((one: { output?: { runId?: string } }) => one.output?.runId)).toContain(
      runId,
    );
  }
  await repo.expectNothingLeft();
});

test("a child that fails fails its step, with the way to it; what waits for it is judged by that", async () => {
  repo.model("bad", "exit 3");
  repo.workflow("fails", [step("x", "bad")]);
  repo.workflow("calls", [
    nested("call", "fails", { allowFailure: true }),
    step("then", "ok", after("call", "failed")),
    step("not", "ok", after("call", "succeeded")),
  ]);
  const { jobs, status } = await documentOf(repo, "workflow run calls");
  expect(status).toBe("succeeded");
  const [call, then, not] = jobs[0].steps;
  expect(call).toMatchObject({ status: "failed", allowedFailure: true, error: expect.stringContaining(call.runId) });
  expect([then.status, not.status, not.reason]).toEqual(["succeeded", "skipped", "step call failed"]);
  expect(repo.record(call.runId).status).toBe("failed");
});

test("ten calls deep is as deep as it goes: one more is told before anything runs", async () => {
  repo.workflow("deep-1", [step("x", "ok")]);
  for (let n = 2; n <= 12; n++) repo.workflow(`deep-${n}`, [nested("x", `deep-${n - 1}`)]);
  expect(await documentOf(repo, "workflow run deep-11")).toMatchObject({ status: "succeeded" });
  const before = repo.runIds().length;
  expect(await errorOf(repo, "workflow run deep-12")).toMatchObject({ code: "workflow_invalid" });
  expect(repo.runIds()).toHaveLength(before);
});

test("inputs are checked by the child's schema, completed by its defaults, and seen by its models only as it gives them", async () => {
  repo.model("shows", "echo ${{ inputs.a }} ${{ inputs.b }}", { inputs: { properties: { a: {}, b: {} } } });
  repo.workflow("shown", [step("x", "shows", { inputs: { a: "${{ inputs.n + 1 }}", b: "${{ inputs.word }}" } })], {
    inputs: { properties: { n: { type: "number" }, word: { type: "string", default: "fine" } }, required: ["n"] },
  });
  repo.workflow("shows-it", [nested("x", "shown", { inputs: { n: "${{ inputs.m }}" } })], {
    inputs: { properties: { m: { type: "number" } } },
  });
  await documentOf(repo, "workflow run shows-it --input m=2");
  expect(repo.printed("shows")).toEqual(["3 fine"]);
});

test("the workflows of an older repository end as its recorded runs did", async () => {
  const path = mkdtempSync(join(tmpdir(), "fen-existing-"));
  try {
    cpSync(fileURLToPath(new URL("../../fixtures/existing-repo", import.meta.url)), path, { recursive: true });
    const document = await documentOf({ path }, `workflow run acme-greet-all --input '{"hosts":["a","b"]}'`);
    const steps = document.jobs.flatMap((job: RunDocument["jobs"][number]) =>
      job.steps.map((one) => [job.name, one.name, one.status]),
    );
    expect(steps).toEqual([
      ["greet", "greet-a", "succeeded"],
      ["greet", "greet-b", "succeeded"],
      ["check", "may-fail", "failed"],
      ["check", "after", "succeeded"],
      ["nested", "report", "succeeded"],
    ]);
    expect(await documentOf({ path }, "data get acme-report result")).toMatchObject({
      content: { stdout: "last web: bonjour from web-01.example" },
    });
    const [a] = document.jobs[0].steps[0].dataArtifacts;
    expect(a).toMatchObject({ name: "result-hi a", version: 2 });
    expect(await documentOf({ path }, "data get acme-web-01 'result-hi a'")).toMatchObject({
      lifetime: "30d",
      content: { exitCode: 0, stdout: "hi a from web-01.example", stderr: "warn" },
      tags: { team: "sre", role: "web", source: "step-output", workflow: "acme-greet-all", step: "greet-a" },
    });
  } finally {
    rmSync(path, { recursive: true });
  }
});
