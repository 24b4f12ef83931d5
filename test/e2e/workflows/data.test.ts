/** Where what workflows make is kept, and for how long. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { documentOf, errorOf } from "../../support/documents.ts";
import { step, type WorkflowRepo, workflowRepo } from "../../support/workflow-repo.ts";

let repo: WorkflowRepo;
beforeEach(async () => {
  repo = await workflowRepo();
  repo.model("m", "cat said");
});
afterEach(() => repo.remove());

const run = async (said: string, more = "") => {
  repo.write("said", said);
  return documentOf(repo, `workflow run w ${more}`);
};

test("defect-5: with a datastore elsewhere everything that a run makes is there, and what is read is the newest", async () => {
  await documentOf(repo, "datastore setup filesystem --path elsewhere");
  repo.workflow("w", [step("s", "m")]);
  for (const said of ["old", "new"]) await run(said);
  await documentOf(repo, "model evaluate --all");
  const kept = ["data", "outputs", "workflow-runs", "definitions-evaluated"];
  expect(kept.filter((folder) => repo.has(`elsewhere/${folder}`))).toEqual(kept);
  expect(kept.flatMap((folder) => readdirSync(join(repo.path, ".swamp", folder)))).toEqual([]);
  expect(await documentOf(repo, "data get m result")).toMatchObject({ version: 2 });
  expect((await repo.fen("data", "get", "m", "result", "--json")).stdout).toContain("new");
  expect((await documentOf(repo, "workflow history search")).results).toHaveLength(2);
});

test("defect-18: of data that a step gave a lifetime every version goes when it is over, not only the newest", async () => {
  repo.workflow("w", [step("s", "m", { dataOutputOverrides: [{ specName: "result", lifetime: "1h" }] })]);
  const [, id = ""] = /command\/shell\/([0-9a-f-]+)\/result/.exec((await run("1")) && (await pathOf())) ?? [];
  for (const said of ["2", "3"]) await run(said);
  for (const version of [1, 2, 3]) {
    const path = `.swamp/data/command/shell/${id}/result/${version}/metadata.yaml`;
    repo.write(path, repo.read(path).replace(/createdAt: .*/, "createdAt: '2020-01-01T00:00:00.000Z'"));
  }
  expect(await documentOf(repo, "data gc --force")).toMatchObject({ versionsDeleted: 3 });
  expect(await errorOf(repo, "data get m result")).toMatchObject({ code: "data_missing" });
  expect(repo.has(`.swamp/data/command/shell/${id}/result/1`)).toBe(false);
});

async function pathOf(): Promise<string> {
  return (await repo.fen("data", "get", "m", "result", "--json")).stdout;
}
