/** Data by the run that left it: `data get|list --workflow`, and `data search` by workflow, run, output and owner. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Scratch, scratchRepo } from "../../support/cli.ts";
import { documentOf, errorOf, textOf } from "../../support/documents.ts";

const ids = { fleet: "d0000000-0000-4000-a000-000000000001", idle: "d0000000-0000-4000-a000-000000000002" };
const unknown = "ffffffff-0000-4000-a000-000000000000";

let repo: Scratch;
let web: string;
let first: string;
let second: string;

function workflow(name: keyof typeof ids, models: readonly string[]): void {
  const steps = models.map((model) => ({
    name: model,
    task: { type: "model_method", modelIdOrName: model, methodName: "execute" },
  }));
  repo.write(
    `workflows/workflow-${ids[name]}.yaml`,
    JSON.stringify({ id: ids[name], name, jobs: [{ name: "all", steps }] }),
  );
}

/** Runs fleet twice, and then web-01 alone. */
beforeAll(async () => {
  repo = await scratchRepo();
  web = repo.model("web-01", "echo web");
  repo.model("db-01", "echo db");
  workflow("fleet", ["web-01", "db-01"]);
  workflow("idle", ["web-01"]);
  first = (await documentOf(repo, "workflow run fleet")).id;
  second = (await documentOf(repo, "workflow run fleet")).id;
  await documentOf(repo, "model method run web-01 execute");
});
afterAll(() => repo.remove());

interface Item {
  readonly modelName: string;
  readonly name: string;
  readonly version: number;
}
const named = ({ modelName, name, version }: Item) => `${modelName} ${name} ${version}`;

describe("data list --workflow", () => {
  const listed = async (line: string) =>
    (await documentOf(repo, `data list ${line}`)).groups
      .flatMap(({ items }: { items: readonly Item[] }) => items.map(named))
      .sort();
  const all = (version: number) =>
    ["db-01 log", "db-01 result", "web-01 log", "web-01 result"].map((one) => `${one} ${version}`);

  test("what the newest run left, or the one that is named; never what is newer", async () => {
    expect(await documentOf(repo, "data list --workflow fleet --type file")).toMatchObject({
      workflowId: ids.fleet,
      workflowName: "fleet",
      runId: second,
      runStatus: "succeeded",
      groups: [{ type: "file", items: [{ name: "log", version: 2, modelType: "command/shell" }, { version: 2 }] }],
      total: 2,
    });
    expect(await listed("--workflow fleet")).toEqual(all(2));
    expect(await listed(`--workflow ${ids.fleet} --run ${first}`)).toEqual(all(1));
    expect(await listed(`--workflow=fleet --run ${first.slice(0, 8)}`)).toEqual(all(1));
    expect(await textOf(repo, "data list --workflow fleet --type file")).toMatchInlineSnapshot(`
      "Data of run <id> of fleet (succeeded)
      MODEL   NAME  TYPE  VERSION  SIZE  MADE (UTC)
      web-01  log   file  2        12 B  <time>
      db-01   log   file  2        11 B  <time>"
    `);
    expect(await textOf(repo, "data list --workflow fleet --type other")).toMatchInlineSnapshot(
      `"No step of run <id> of fleet (succeeded) left data of type other that is there. See what it did: fen workflow history get <id>"`,
    );
  });

  test.each([
    ["data list --workflow flet", "workflow_missing", 1, expect.stringContaining("Did you mean fleet?")],
    ["data list --workflow idle", "run_missing", 1, "Run it: fen workflow run idle"],
    [`data list --workflow fleet --run ${unknown}`, "run_missing", 1, "List them: fen workflow history search"],
    ["data list --workflow fleet web-01", "usage", 2, "Leave one of them out. See: fen data list --help"],
    ["data list web-01 --run 123", "usage", 2, "Which workflow it is one of: fen workflow history get 123"],
    ["data list", "usage", 2, "Usage: fen data list <model> (or --workflow instead of <model>)"],
  ])("refuses: %s", async (line, code, exitCode, hint) => {
    expect(await errorOf(repo, line)).toMatchObject({ code, exitCode, hint });
  });

  test("refuses a run of another workflow, and names that", async () => {
    expect(await errorOf(repo, `data list --workflow idle --run ${first}`)).toMatchObject({
      code: "run_missing",
      message: `The run ${first} is one of fleet, not of idle.`,
    });
  });
});

describe("data get --workflow", () => {
  test("one of several models must be named", async () => {
    expect(await errorOf(repo, "data get --workflow fleet log")).toMatchObject({
      code: "usage",
      exitCode: 2,
      message: `2 models have data log of the run ${second}: db-01, web-01.`,
      hint: "Say which: fen data get db-01 log --version 2",
    });
  });

  test.each([
    ["data get --workflow fleet nothing", "data_missing", 1],
    ["data get --workflow fleet log --version 9", "data_missing", 1],
    ["data get --workflow fleet ../x", "name_invalid", 65],
    ["data get --workflow fleet web-01 log", "usage", 2],
    ["data get --workflow fleet", "usage", 2],
    ["data get web-01 log --run 123", "usage", 2],
  ])("refuses: %s", async (line, code, exitCode) => {
    expect(await errorOf(repo, line)).toMatchObject({ code, exitCode });
  });

  test("by the run, also where the model has another name now and another model has its old one", async () => {
    const own = await scratchRepo();
    try {
      const old = own.model("old", "echo of the run");
      const steps = [{ name: "s", task: { type: "model_method", modelIdOrName: "old", methodName: "execute" } }];
      own.write(
        `workflows/workflow-${ids.fleet}.yaml`,
        JSON.stringify({ id: ids.fleet, name: "fleet", jobs: [{ name: "all", steps }] }),
      );
      await documentOf(own, "workflow run fleet");
      own.write(
        `models/command/shell/${old}.yaml`,
        JSON.stringify({
          type: "command/shell",
          id: old,
          name: "renamed",
          version: 1,
          methods: { execute: { arguments: { run: "echo later" } } },
        }),
      );
      own.model("old", "echo another");
      await documentOf(own, "model method run old execute");
      await documentOf(own, "model method run renamed execute");
      expect(await documentOf(own, "data get --workflow fleet log")).toMatchObject({
        modelId: old,
        modelName: "renamed",
        version: 1,
        content: "[stdout]\nof the run",
      });
      expect((await own.fen("data", "get", "--workflow", "fleet", "log", "--raw")).stdout).toBe("[stdout]\nof the run");
      await documentOf(own, "data delete renamed log --version 1");
      expect(await errorOf(own, "data get --workflow fleet log")).toMatchObject({
        code: "data_missing",
        message: expect.stringContaining("has been deleted"),
      });
      expect(await documentOf(own, "data list --workflow fleet")).toMatchObject({ total: 1 });
    } finally {
      own.remove();
    }
  });
});

describe("data search", () => {
  const found = async (line: string) => (await documentOf(repo, `data search ${line}`)).results.map(named).sort();

  test("by workflow: the newest versions that its runs made", async () => {
    expect(await found("--workflow fleet")).toEqual(["db-01 log 2", "db-01 result 2"]);
    expect(await found(`--workflow ${ids.fleet} --type file`)).toEqual(["db-01 log 2"]);
    expect(await found("--workflow idle")).toEqual([]);
  });

  test("by run and by output: what they made, newest or not", async () => {
    expect(await found(`--run ${first} --type file`)).toEqual(["db-01 log 1", "web-01 log 1"]);
    expect(await found(`--run ${second.slice(0, 8)} --model web-01`)).toEqual(["web-01 log 2", "web-01 result 2"]);
    const { ownerDefinition } = await documentOf(repo, "data get web-01 log --version 2");
    expect(ownerDefinition).toMatchObject({ ownerRef: web, workflowRunId: second, workflowId: ids.fleet });
    expect(await found(`--output ${ownerDefinition.outputId}`)).toEqual(["web-01 log 2", "web-01 result 2"]);
    expect(await found(`--output ${ownerDefinition.outputId} --run ${first}`)).toEqual([]);
  });

  test("by kind of owner and streaming; all are told as filters", async () => {
    expect(await found("--streaming")).toEqual(["db-01 log 2", "web-01 log 3"]);
    expect(await found("--owner-type manual")).toEqual([]);
    expect(await found("--owner-type model-method")).toHaveLength(4);
    const filters = { workflow: "fleet", run: first, ownerType: "model-method", streaming: true };
    expect(
      await documentOf(repo, `data search --workflow fleet --run ${first} --owner-type model-method --streaming`),
    ).toMatchObject({ filters, total: 2 });
  });

  test.each([
    ["data search --workflow flet", "workflow_missing", 1],
    [`data search --run ${unknown}`, "run_missing", 1],
    ["data search --run x", "run_missing", 1],
    [`data search --output ${unknown}`, "output_missing", 1],
    ["data search --owner-type me", "usage", 2],
  ])("refuses: %s", async (line, code, exitCode) => {
    expect(await errorOf(repo, line)).toMatchObject({ code, exitCode });
  });
});

test("runs of the older program: by what their records name", async () => {
  const path = mkdtempSync(join(tmpdir(), "fen-existing-"));
  try {
    cpSync(fileURLToPath(new URL("../../fixtures/existing-repo", import.meta.url)), path, { recursive: true });
    const old = await documentOf({ path }, "data list --workflow acme-greet-all");
    const items = old.groups.flatMap((group: { items: readonly Item[] }) => group.items.map(named)).sort();
    expect(items).toContain("acme-web-01 result-hi a 1");
    const bySearch = (await documentOf({ path }, `data search --run ${old.runId}`)).results.map(named).sort();
    expect(bySearch).toEqual(items);
    expect((await documentOf({ path }, "data search --workflow acme-greet-all")).total).toBeGreaterThan(0);
    expect(await documentOf({ path }, `data get --workflow acme-greet-all 'result-hi a'`)).toMatchObject({
      modelName: "acme-web-01",
      version: 1,
      content: { stdout: "hi a from web-01.example" },
    });
  } finally {
    rmSync(path, { recursive: true });
  }
});
