/** A repository that the older program made, with runs in it: every read command shows what is in its files, and work goes on in it. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runFen } from "../../support/cli.ts";
import { documentOf, errorOf, textOf, tidy } from "../../support/documents.ts";

const fixture = fileURLToPath(new URL("../../fixtures/existing-repo", import.meta.url));
const ids = {
  "acme-db-01": "a9d48453-ff93-4ee5-aecd-ee5c8627ced4",
  "acme-failing": "741b4573-7c3e-4dd8-afc4-2044e8c612b5",
  "acme-report": "6aa5feed-2beb-4dd1-af06-8d49dd73d284",
  "acme-secret": "307c609f-87da-43c3-a563-428a4f7efdf9",
  "acme-web-01": "c5db0e13-9f45-41c2-ada5-a96fb0579f61",
  "acme-web-02": "37d7abab-a8b1-4ea9-a7bf-82b691560916",
} as const;
type Name = keyof typeof ids;

function copy(): { path: string } {
  const path = mkdtempSync(join(tmpdir(), "fen-existing-"));
  cpSync(fixture, path, { recursive: true });
  return { path };
}

/** All files with their content. */
function contentsOf(path: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(path, { recursive: true })
      .map(String)
      .filter((name) => statSync(join(path, name)).isFile())
      .sort()
      .map((name) => [name, readFileSync(join(path, name), "latin1")]),
  );
}

const raw = (path: string, model: Name, data: string, version: number) =>
  readFileSync(join(path, `.swamp/data/command/shell/${ids[model]}/${data}/${version}/raw`), "utf8");

describe("reading", () => {
  let repo: { path: string };
  let before: Record<string, string>;
  beforeAll(() => {
    repo = copy();
    before = contentsOf(repo.path);
  });
  afterAll(() => rmSync(repo.path, { recursive: true }));

  test("model search, get, validate", async () => {
    expect((await documentOf(repo, "model search")).results).toEqual(
      Object.entries(ids).map(([name, id]) => ({ id, name, type: "command/shell" })),
    );
    const web = {
      id: ids["acme-web-01"],
      name: "acme-web-01",
      type: "command/shell",
      version: 1,
      tags: { role: "web", site: "ams" },
      globalArguments: { host: "web-01.example" },
      typeVersion: "2026.02.09.1",
      inputs: { properties: { greeting: { type: "string", default: "hello" } } },
      path: join(repo.path, `models/command/shell/${ids["acme-web-01"]}.yaml`),
    };
    const run = 'echo "${{ inputs.greeting }} from ${{ self.globalArguments.host }}"; echo warn >&2';
    expect(await documentOf(repo, "model get acme-web-01")).toMatchObject({
      ...web,
      methods: [{ name: "execute", configured: { run } }],
    });
    expect(await documentOf(repo, `model get ${ids["acme-web-01"]}`)).toMatchObject(web);
    expect(await documentOf(repo, "model search acme-web-01")).toMatchObject(web);
    expect((await documentOf(repo, "model get acme-report")).methods[0].configured).toEqual({
      run: "echo last web: ${{ data.latest('acme-web-01', 'result').attributes.stdout }}",
      env: { WEB: "${{ data.latest('acme-web-02', 'result').attributes.stdout }}" },
    });
    // What can't be evaluated yet fails as such; everything else passes.
    const all = await documentOf(repo, "model validate", { exitCode: 1 });
    expect(all).toMatchObject({ totalPassed: 5, totalFailed: 1 });
    expect(
      all.models.filter((one: { passed: boolean }) => !one.passed).map((one: { modelName: string }) => one.modelName),
    ).toEqual(["acme-secret"]);
    expect(await documentOf(repo, "model validate acme-db-01")).toMatchObject({ type: "command/shell", passed: true });
  });

  test("workflow search, get, validate", async () => {
    const greet = "51265e49-9832-450e-aff0-d1b2e3bcb1a3";
    const report = "b882dd70-3fa5-405a-a300-2ba397160513";
    expect((await documentOf(repo, "workflow search")).results).toEqual([
      { id: greet, name: "acme-greet-all", description: "greet every web host, then report", jobCount: 3 },
      { id: report, name: "acme-report-only", jobCount: 1 },
    ]);
    const task = { type: "model_method", modelIdOrName: "acme-web-01", methodName: "execute" };
    const document = await documentOf(repo, "workflow get acme-greet-all");
    expect(document).toMatchObject({
      id: greet,
      version: 1,
      tags: { team: "sre" },
      inputs: { properties: { greeting: { default: "hi" } }, required: ["hosts"] },
      path: join(repo.path, `workflows/workflow-${greet}.yaml`),
      jobs: [
        {
          name: "greet",
          dependsOn: [],
          steps: [
            {
              name: "greet-${{ self.h }}",
              forEach: { item: "h", in: "${{ inputs.hosts }}" },
              task: { ...task, inputs: { greeting: "${{ inputs.greeting + ' ' + self.h }}" } },
              dataOutputOverrides: [{ specName: "result", lifetime: "30d", vary: ["greeting"] }],
            },
          ],
        },
        {
          name: "check",
          dependsOn: [{ job: "greet", condition: { type: "completed" } }],
          steps: [
            { name: "may-fail", allowFailure: true },
            { name: "after", allowFailure: false },
          ],
        },
        { name: "nested", steps: [{ task: { type: "workflow", workflowIdOrName: "acme-report-only" } }] },
      ],
    });
    expect(await documentOf(repo, `workflow get ${greet}`)).toEqual(document);
    expect(await documentOf(repo, "workflow search report-only")).toMatchObject({ id: report });
    expect(await documentOf(repo, "workflow validate")).toMatchObject({
      workflows: [
        { workflowId: greet, passed: true },
        { workflowId: report, passed: true },
      ],
      totalPassed: 2,
      totalFailed: 0,
      passed: true,
    });
    expect(await textOf(repo, "workflow validate acme-greet-all")).toBe("passed acme-greet-all");
  });

  test("runs: search, newest first", async () => {
    expect(
      (await documentOf(repo, "model method history search")).results.map(
        (run: { id: string; modelName: string; status: string; startedAt: string; durationMs: number }) =>
          [run.id.slice(0, 8), run.modelName, run.status, run.startedAt.slice(11), run.durationMs].join(" "),
      ),
    ).toEqual([
      "84944c5b acme-report succeeded 00:17:17.605Z 10",
      "0e8d5c61 acme-db-01 succeeded 00:17:17.546Z 18",
      "2f996021 acme-failing failed 00:17:17.527Z 5",
      "4fd1b87d acme-web-01 succeeded 00:17:17.462Z 28",
      "958532d0 acme-web-01 succeeded 00:17:17.441Z 49",
      "3e40e5ae acme-secret succeeded 00:17:15.643Z 28",
      "67b6ca6e acme-failing failed 00:17:14.679Z 20",
      "b22a5cfc acme-web-01 succeeded 00:17:13.867Z 30",
      "701381a2 acme-db-01 succeeded 00:17:12.801Z 55",
      "31b9240a acme-web-02 succeeded 00:17:11.964Z 20",
      "e022879e acme-web-01 succeeded 00:17:10.973Z 30",
    ]);
    expect((await documentOf(repo, "model output search failed")).results).toHaveLength(2);
    expect((await documentOf(repo, "model output search acme-web-01 --limit 3")).results).toHaveLength(3);
  });

  test("runs: get, of a call and of a workflow, by id, prefix and model", async () => {
    const first = {
      id: "e022879e-331d-4858-9dc4-68137aad6876",
      definitionId: ids["acme-web-01"],
      modelName: "acme-web-01",
      type: "command/shell",
      methodName: "execute",
      status: "succeeded",
      startedAt: "2026-11-24T00:17:10.973Z",
      completedAt: "2026-11-24T00:17:11.003Z",
      durationMs: 30,
      retryCount: 0,
      provenance: {
        definitionHash: "2e99ad0af8015482a818b3fec5e69463f1cfd7b6b0d057a3269a13a33f83755c",
        modelVersion: "2026.02.09.1",
        triggeredBy: "manual",
      },
      artifacts: {
        dataArtifacts: [
          {
            dataId: "6a930ccf-670d-464d-a48f-780758d970a1",
            name: "result",
            version: 1,
            tags: { type: "resource", role: "web", site: "ams", specName: "result", modelName: "acme-web-01" },
          },
          {
            dataId: "9782e6ad-cef3-4005-a9e2-14eb8259c222",
            name: "log",
            version: 1,
            tags: { type: "file", role: "web", site: "ams", specName: "log", modelName: "acme-web-01" },
          },
        ],
      },
      logFile: `.swamp/outputs/command/shell/execute/${ids["acme-web-01"]}-2026-11-24T00-17-10-949Z.log`,
    };
    expect(await documentOf(repo, `model output get ${first.id}`)).toEqual(first);
    expect(await documentOf(repo, "model method history get e02")).toEqual(first);
    expect(await documentOf(repo, "model method history get acme-failing")).toMatchObject({
      id: "2f996021-32d9-41e6-9469-9f6e34a6c10e",
      status: "failed",
      error: { message: "Command exited with code 3" },
      artifacts: { dataArtifacts: [] },
      provenance: {
        triggeredBy: "workflow",
        workflowId: "51265e49-9832-450e-aff0-d1b2e3bcb1a3",
        workflowRunId: "952dea75-2f6b-42e9-9d97-291116f77f99",
        stepName: "may-fail",
      },
    });
  });

  test("runs: logs, whose name carries another time than the record, or which belong to a workflow", async () => {
    const path = join(
      repo.path,
      `.swamp/outputs/command/shell/execute/${ids["acme-web-01"]}-2026-11-24T00-17-10-949Z.log`,
    );
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(await documentOf(repo, "model method history logs e022879e")).toEqual({ path, lines, lineCount: 8 });
    expect((await documentOf(repo, "model method history logs e022879e --tail 2")).lines).toEqual(lines.slice(6));
    const run = join(
      repo.path,
      ".swamp/workflow-runs/b882dd70-3fa5-405a-a300-2ba397160513/workflow-run-7776d724-0fb9-4495-b232-c920ab64351b.log",
    );
    expect(await textOf(repo, "model method history logs acme-report")).toBe(tidy(repo, readFileSync(run, "utf8")));
    expect((await documentOf(repo, "model method history logs 67b6ca6e")).lines.at(-1)).toContain(
      'failed: "Command exited with code 3"',
    );
  });

  test("runs: data and what the command wrote", async () => {
    expect(await documentOf(repo, "model output data e022879e")).toEqual({
      outputId: "e022879e-331d-4858-9dc4-68137aad6876",
      methodName: "execute",
      dataId: "6a930ccf-670d-464d-a48f-780758d970a1",
      dataName: "result",
      version: 1,
      contentType: "application/json",
      data: JSON.parse(raw(repo.path, "acme-web-01", "result", 1)),
    });
    expect(await documentOf(repo, "model output data 958532d0 --field stdout")).toMatchObject({
      dataName: "result-hi a",
      data: "hi a from web-01.example",
    });
    expect(await documentOf(repo, "model output logs b22a5cfc")).toMatchObject({
      logArtifacts: [{ name: "log", version: 2 }],
      lines: ["[stdout]", "bonjour from web-01.example", "[stderr]", "warn"],
    });
    expect(await documentOf(repo, "model output logs 67b6ca6e")).toMatchObject({ logArtifacts: [], lines: [] });
    expect(await errorOf(repo, "model output data 67b6ca6e")).toMatchObject({ code: "data_missing", exitCode: 1 });
  });

  test("data: list, with names that hold spaces and without what was renamed away", async () => {
    const items = async (model: Name) =>
      (await documentOf(repo, `data list ${model}`)).groups.flatMap(
        (group: { type: string; items: { name: string; version: number; size: number }[] }) =>
          group.items.map((item) => `${group.type} ${item.name} ${item.version} ${item.size}`),
      );
    expect(await items("acme-web-01")).toEqual([
      "file log 4 47",
      "resource result 2 188",
      "resource result-hi a 1 183",
      "resource result-hi b 1 182",
    ]);
    expect(await items("acme-db-01")).toEqual(["file old-log 1 44", "resource result 2 176"]);
    expect(await items("acme-failing")).toEqual([]);
  });

  test("data: get, by version, through a rename, with tags and owner", async () => {
    expect(await documentOf(repo, "data get acme-web-01 'result-hi a'")).toEqual({
      id: "f5e7ee5d-65f1-4692-9b35-1ece11ec4177",
      name: "result-hi a",
      modelId: ids["acme-web-01"],
      modelName: "acme-web-01",
      modelType: "command/shell",
      version: 1,
      contentType: "application/json",
      lifetime: "30d",
      garbageCollection: 10,
      streaming: false,
      tags: {
        type: "resource",
        role: "web",
        site: "ams",
        specName: "result",
        modelName: "acme-web-01",
        team: "sre",
        source: "step-output",
        workflow: "acme-greet-all",
        step: "greet-a",
      },
      ownerDefinition: { ownerType: "model-method", ownerRef: ids["acme-web-01"] },
      createdAt: "2026-11-24T00:17:17.472Z",
      size: 183,
      checksum: "408983bebe39f345d980f2f8a9a4bd2767732e61b93a40c55ac3867bef3a0f29",
      contentPath: join(repo.path, `.swamp/data/command/shell/${ids["acme-web-01"]}/result-hi a/1/raw`),
      content: JSON.parse(raw(repo.path, "acme-web-01", "result-hi a", 1)),
    });
    expect(await documentOf(repo, "data get acme-web-01 log --version 2")).toMatchObject({
      version: 2,
      tags: { run: "second" },
      content: "[stdout]\nbonjour from web-01.example\n[stderr]\nwarn",
    });
    expect(await documentOf(repo, "data get acme-db-01 log")).toMatchObject({
      name: "old-log",
      version: 1,
      content: raw(repo.path, "acme-db-01", "old-log", 1),
    });
    expect((await runFen(["data", "get", "acme-secret", "log", "--raw"], { cwd: repo.path })).stdout).toBe(
      "[stdout]\ntoken is ***",
    );
  });

  test("data: versions, a mark of a rename among them", async () => {
    const versions = (await documentOf(repo, "data versions acme-web-01 log")).versions;
    expect(
      versions.map((one: { version: number; size: number; isLatest: boolean }) => [
        one.version,
        one.size,
        one.isLatest,
      ]),
    ).toEqual([
      [4, 47, true],
      [3, 47, false],
      [2, 50, false],
      [1, 48, false],
    ]);
    expect(versions[3]).toMatchObject({
      createdAt: "2026-11-24T00:17:11.000Z",
      checksum: "d53cd3e5b6ed54ddbf1758e61967f6f7997f20a95e9e3ad5db77c02d7b0830f4",
    });
    expect(await documentOf(repo, "data versions acme-db-01 log")).toMatchObject({
      versions: [
        { version: 3, lifecycle: "deleted", renamedTo: "old-log" },
        { version: 2, size: 44 },
        { version: 1, size: 47 },
      ],
    });
  });

  test("data: search, newest first, with filters", async () => {
    const found = async (flags: string) =>
      (await documentOf(repo, `data search ${flags}`)).results.map(
        (one: { modelName: string; name: string; version: number }) => `${one.modelName} ${one.name} ${one.version}`,
      );
    expect(await found("")).toEqual([
      "acme-db-01 old-log 1",
      "acme-report log 1",
      "acme-report result 1",
      "acme-db-01 result 2",
      "acme-web-01 log 4",
      "acme-web-01 result-hi b 1",
      "acme-web-01 result-hi a 1",
      "acme-secret log 1",
      "acme-secret result 1",
      "acme-web-01 result 2",
      "acme-web-02 log 1",
      "acme-web-02 result 1",
    ]);
    expect(await found("--tag workflow=acme-greet-all --type resource")).toEqual([
      "acme-db-01 result 2",
      "acme-web-01 result-hi b 1",
      "acme-web-01 result-hi a 1",
    ]);
    expect(await found("--lifetime 30d --model acme-web-01")).toEqual([
      "acme-web-01 result-hi b 1",
      "acme-web-01 result-hi a 1",
    ]);
    expect(await found("secret --content-type text/plain")).toEqual(["acme-secret log 1"]);
  });

  test("locks: nobody; and reading wrote nothing", async () => {
    expect(await documentOf(repo, "datastore lock status")).toEqual({ datastore: null, models: [], waiting: [] });
    await documentOf(repo, "data gc --dry-run");
    expect(contentsOf(repo.path)).toEqual(before);
  });

  test("datastore status tries it, and leaves the repository's own files as they are", async () => {
    expect(await documentOf(repo, "datastore status")).toMatchObject({
      type: "filesystem",
      path: join(repo.path, ".swamp"),
      healthy: true,
      directories: ["data", "definitions-evaluated", "outputs", "secrets", "workflow-runs", "workflows-evaluated"],
    });
    const own = Object.entries(contentsOf(repo.path)).filter(([name]) => !name.startsWith(".swamp/.fen/"));
    expect(Object.fromEntries(own)).toEqual(before);
  });
});

describe("working", () => {
  let repo: { path: string };
  let before: Record<string, string>;
  beforeAll(() => {
    repo = copy();
    before = contentsOf(repo.path);
  });
  afterAll(() => rmSync(repo.path, { recursive: true }));

  test("a run continues the numbers of its data and touches nothing that is there but latest", async () => {
    const run = await documentOf(repo, "model method run acme-web-01 execute --input greeting=moin --tag run=third");
    expect(run).toMatchObject({ data: { name: "result", version: 3 }, logs: [{ name: "log", version: 5 }] });
    expect(raw(repo.path, "acme-web-01", "log", 5)).toBe("[stdout]\nmoin from web-01.example\n[stderr]\nwarn");
    const folder = `.swamp/data/command/shell/${ids["acme-web-01"]}`;
    const changed = Object.entries(before).filter(([name, text]) => contentsOf(repo.path)[name] !== text);
    expect(changed.map(([name]) => name)).toEqual([`${folder}/log/latest`, `${folder}/result/latest`]);
    expect(readFileSync(join(repo.path, folder, "log/latest"), "utf8")).toBe("5");
    expect(await documentOf(repo, "model output get acme-web-01")).toMatchObject({
      id: run.outputId,
      status: "succeeded",
    });
    expect((await documentOf(repo, "model output search")).results).toHaveLength(12);
  });

  test("the record of a run names the same text by the same hash as the older program did", async () => {
    await documentOf(repo, "model method run acme-web-02 execute");
    expect((await documentOf(repo, "model output get acme-web-02")).provenance.definitionHash).toBe(
      (await documentOf(repo, "model output get 31b9240a")).provenance.definitionHash,
    );
  });

  test("data that was renamed away goes on with the next number", async () => {
    expect(await documentOf(repo, "model method run acme-db-01 execute")).toMatchObject({
      logs: [{ name: "log", version: 4 }],
    });
    expect(await documentOf(repo, "data get acme-db-01 log")).toMatchObject({ name: "log", version: 4 });
    expect(await documentOf(repo, "data get acme-db-01 old-log")).toMatchObject({ version: 1 });
  });

  test("a failure leaves its data now", async () => {
    await documentOf(repo, "model method run acme-failing execute", { exitCode: 1 });
    expect(await documentOf(repo, "data get acme-failing result")).toMatchObject({
      version: 1,
      content: { exitCode: 3 },
      tags: { status: "failed" },
    });
  });

  test("a model that a workflow names stays; another goes with its data, records and logs", async () => {
    expect(await errorOf(repo, "model delete acme-web-01 --force")).toMatchObject({
      code: "model_in_use",
      exitCode: 1,
    });
    expect(await documentOf(repo, "model delete acme-secret --force")).toMatchObject({
      resourceDeleted: true,
      outputsDeleted: 1,
      evaluatedInputDeleted: true,
      dataDeleted: 2,
    });
    expect(
      Object.keys(contentsOf(repo.path)).filter((name) => name.includes(ids["acme-secret"]) && !name.includes(".fen")),
    ).toEqual([]);
    expect((await documentOf(repo, "model search")).results).toHaveLength(5);
  });

  test("init has nothing to add", async () => {
    const marker = readFileSync(join(repo.path, ".swamp.yaml"), "utf8");
    expect(await documentOf(repo, "init")).toMatchObject({
      initializedAt: "2026-11-24T00:17:06.794Z",
      gitignoreAction: "unchanged",
    });
    expect(readFileSync(join(repo.path, ".swamp.yaml"), "utf8")).toBe(marker);
  });
});
