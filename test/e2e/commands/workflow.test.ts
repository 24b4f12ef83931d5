/** `workflow create|get|search|list|edit|delete|validate|schema`. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemMachine } from "../../../src/kernel/machine.ts";
import { openFilesystemDatastore } from "../../../src/store/drivers/filesystem/datastore.ts";
import { type Scratch, scratchRepo } from "../../support/cli.ts";
import { documentOf, errorOf, eventsIn, onTerminal, textOf } from "../../support/documents.ts";
import { problemsOf } from "../../support/schemas.ts";

let repo: Scratch;
beforeEach(async () => {
  repo = await scratchRepo();
});
afterEach(() => repo.remove());

const idOf = (n: number): string => `c0000000-0000-4000-a000-${String(n).padStart(12, "0")}`;
const call = (model: string, method = "execute"): object => ({
  type: "model_method",
  modelIdOrName: model,
  methodName: method,
});

/** Writes a workflow of these jobs, or of one job of these tasks. */
function workflow(n: number, name: string, jobsOrTasks: readonly object[], more: object = {}): string {
  const steps = jobsOrTasks.map((task, index) => ({ name: `s${index}`, task }));
  const jobs = jobsOrTasks.some((one) => "steps" in one) ? jobsOrTasks : [{ name: "only", steps }];
  const path = `workflows/workflow-${idOf(n)}.yaml`;
  repo.write(path, JSON.stringify({ id: idOf(n), name, ...more, jobs }, undefined, 2));
  return join(repo.path, path);
}

describe("workflow create", () => {
  test("writes a workflow that calls a model that is there, and that passes every check", async () => {
    repo.model("needy", "echo ${{ inputs.x }}", { inputs: { properties: { x: {} }, required: ["x"] } });
    repo.model("web-01", "echo hello");
    expect(await textOf(repo, "workflow create first")).toMatchInlineSnapshot(`
      "Made first
      <repo>/workflows/workflow-<id>.yaml
      Next: fen workflow edit first   then: fen workflow run first"
    `);
    const made = await documentOf(repo, "workflow create second");
    expect(made).toMatchObject({
      name: "second",
      path: join(repo.path, `workflows/workflow-${made.id}.yaml`),
      jobs: [{ name: "first", steps: [{ name: "call", taskType: "model_method" }] }],
    });
    expect(readFileSync(made.path, "utf8")).toContain("# forEach: { item: host");
    expect(await documentOf(repo, "workflow validate second")).toMatchObject({ passed: true });
    expect((await documentOf(repo, "workflow get second")).jobs[0].steps[0].task.modelIdOrName).toBe("web-01");
  });

  test("names a model to make where there is none to call", async () => {
    const { stderr, exitCode } = await repo.fen("workflow", "create", "lone", "--json");
    expect(exitCode).toBe(0);
    expect(eventsIn(stderr)).toMatchObject([{ event: "warning", hint: "fen model create command/shell example" }]);
    await repo.fen("model", "create", "command/shell", "example");
    expect(await documentOf(repo, "workflow validate lone")).toMatchObject({ passed: true });
  });

  test("of 8 that create one name at once exactly one succeeds", async () => {
    const results = await Promise.all(
      Array.from({ length: 8 }, () => repo.fen("workflow", "create", "wanted", "--json")),
    );
    expect(results.filter((one) => one.exitCode === 0)).toHaveLength(1);
    for (const result of results.filter((one) => one.exitCode !== 0))
      expect(result.error()).toMatchObject({ code: "workflow_exists", retryable: false });
    expect(readdirSync(join(repo.path, "workflows"))).toHaveLength(1);
  });

  test("a model and a workflow may share a name; an extension's is taken over, and that is said", async () => {
    repo.model("shared", "true");
    repo.write("extensions/workflows/x.yaml", readFileSync(workflow(1, "shared", [call("shared")]), "utf8"));
    rmSync(join(repo.path, `workflows/workflow-${idOf(1)}.yaml`));
    const { stderr } = await repo.fen("workflow", "create", "shared");
    expect(stderr).toContain("warning: shared takes the place of an extension's workflow:");
    expect(await documentOf(repo, "workflow get shared")).toMatchObject({ isExtension: false });
  });

  test("refuses a name that is taken, or that no file can have", async () => {
    workflow(1, "patch", [call("x")]);
    expect(await errorOf(repo, "workflow create patch")).toMatchObject({
      code: "workflow_exists",
      exitCode: 1,
      hint: "Look at it: fen workflow get patch",
    });
    expect(await errorOf(repo, "workflow create ../x")).toMatchObject({ code: "name_invalid", exitCode: 65 });
    expect(await errorOf(repo, "workflow create")).toMatchObject({ hint: "Usage: fen workflow create <name>" });
  });
});

describe("workflow get", () => {
  test("shows jobs, steps, and what they wait for", async () => {
    const after = (step: string, condition: object): object => ({ dependsOn: [{ step, condition }] });
    const or = { type: "or", conditions: [{ type: "failed" }, { type: "not", condition: { type: "skipped" } }] };
    const file = workflow(
      1,
      "patch",
      [
        {
          name: "prepare",
          description: "first of all",
          steps: [
            { name: "a", task: call("web-01"), timeout: "30s", retry: { attempts: 3 } },
            { name: "b", task: call("web-02"), allowFailure: true, ...after("a", { type: "succeeded" }) },
            { name: "c", task: { type: "workflow", workflowIdOrName: "other" }, ...after("b", or) },
          ],
        },
        {
          name: "all",
          dependsOn: [{ job: "prepare", condition: { type: "always" } }],
          steps: [{ name: "x-${{ self.h }}", task: call("web-01"), forEach: { item: "h", in: "${{ inputs.hosts }}" } }],
        },
      ],
      { tags: { team: "sre" }, concurrency: 4 },
    );
    expect(await textOf(repo, "workflow get patch")).toBe(`patch
id           <id>
version      1
tags         {"team":"sre"}
concurrency  4
lock         run
file         <repo>/workflows/workflow-<id>.yaml
jobs
  prepare  first of all
    a: web-01 execute  (at most <duration>, 3 attempts)
    b: web-02 execute  (may fail)  after a succeeded
    c: workflow other  after b (failed or not skipped)
  all  after prepare whatever its end
    x-\${{ self.h }}: web-01 execute  (for each h in \${{ inputs.hosts }})`);
    const document = await documentOf(repo, "workflow get patch");
    expect(document).toMatchObject({ id: idOf(1), name: "patch", path: file, isExtension: false, version: 1 });
    expect(document.jobs[0].steps[0]).toMatchObject({
      timeoutMs: 30_000,
      retry: { attempts: 3, backoffMs: 1000, on: ["failure", "timeout", "lock", "interrupted"] },
    });
    expect(await documentOf(repo, `workflow get ${idOf(1)}`)).toEqual(document);
  });

  test("names what was probably meant, and the place of what is wrong in a file", async () => {
    workflow(1, "patch", [call("x")]);
    expect(await errorOf(repo, "workflow get pathc")).toMatchObject({
      code: "workflow_missing",
      exitCode: 1,
      workflow: "pathc",
      hint: "Did you mean patch? List the workflows: fen workflow search.",
    });
    expect(await errorOf(repo, "workflow get")).toMatchObject({ code: "usage", exitCode: 2 });
    const file = workflow(2, "wrong", [{ type: "shell", command: "ls" }]);
    expect(await errorOf(repo, "workflow get wrong")).toMatchObject({
      code: "workflow_invalid",
      exitCode: 65,
      file,
      line: 11,
      column: 13,
      problems: [
        { key: "jobs.0.steps.0.task.type", severity: "error", hint: expect.stringContaining("command/shell") },
      ],
      hint: "Mend the file, then check it with: fen workflow validate",
    });
    workflow(3, "patch", [call("x")]);
    expect(await errorOf(repo, "workflow get patch")).toMatchObject({ code: "workflow_ambiguous", exitCode: 65 });
  });

  test("finds extensions where the marker or the environment says that they are", async () => {
    const text = readFileSync(workflow(1, "theirs", [call("x")]), "utf8");
    rmSync(join(repo.path, "workflows"), { recursive: true });
    repo.write("plugins/deep/any.yaml", text);
    expect(await errorOf(repo, "workflow get theirs")).toMatchObject({ code: "workflow_missing" });
    const env = { SWAMP_WORKFLOWS_DIR: "plugins" };
    expect(await documentOf(repo, "workflow get theirs", { env })).toMatchObject({ isExtension: true });
    const marker = join(repo.path, ".swamp.yaml");
    writeFileSync(marker, `${readFileSync(marker, "utf8")}workflowsDir: ${join(repo.path, "plugins")}\n`);
    expect(await documentOf(repo, "workflow get theirs")).toMatchObject({ isExtension: true });
    expect(await textOf(repo, "workflow get theirs")).toContain("any.yaml (of an extension)");
  });
});

describe("workflow search", () => {
  test("lists by name or description; exactly one match of a query is the workflow itself", async () => {
    expect(await textOf(repo, "workflow search")).toBe("No workflows yet. Make one: fen workflow create patch-fleet");
    workflow(1, "patch-web", [call("x")], { description: "patch and verify\nall of it" });
    workflow(2, "patch-db", [call("x")]);
    expect(await textOf(repo, "workflow search PATCH")).toMatchInlineSnapshot(`
      "NAME       JOBS  DESCRIPTION
      patch-db   1
      patch-web  1     patch and verify"
    `);
    const list = await documentOf(repo, "workflow search patch");
    expect(list.results).toEqual([
      { id: idOf(2), name: "patch-db", jobCount: 1 },
      { id: idOf(1), name: "patch-web", description: "patch and verify\nall of it", jobCount: 1 },
    ]);
    expect(await documentOf(repo, "workflow search verify")).toEqual(await documentOf(repo, "workflow get patch-web"));
    expect(await documentOf(repo, "workflow list patch")).toEqual(list);
    expect(await textOf(repo, "workflow search nothing")).toBe("No workflow matches nothing.");
  });

  test("warns of files that can't be read; takes one query", async () => {
    repo.write("workflows/workflow-bad.yaml", "name: [\n");
    const { stderr, stdout } = await repo.fen("workflow", "search", "--json");
    expect(JSON.parse(stdout)).toEqual({ query: "", results: [] });
    expect(eventsIn(stderr)).toMatchObject([
      { event: "warning", message: expect.stringContaining("workflow-bad.yaml") },
    ]);
    expect(await errorOf(repo, "workflow search a b")).toMatchObject({ code: "usage", exitCode: 2 });
    expect(await errorOf(repo, "workflow list a b")).toMatchObject({ hint: "Usage: fen workflow list [query]" });
  });
});

describe("workflow edit", () => {
  test("replaces a workflow from standard input after checking it; id, comments and unknown keys stay", async () => {
    const file = workflow(1, "patch", [call("x")]);
    const task = "{ type: model_method, modelIdOrName: web-01, methodName: execute }";
    const text = `# mine\nname: renamed\nx-owner: me\njobs:\n  - name: a # why\n    steps: [{ name: s, task: ${task} }]\n`;
    expect(await documentOf(repo, "workflow edit patch", { input: text })).toEqual({
      path: file,
      status: "updated",
      name: "renamed",
      editType: "workflow",
    });
    const now = readFileSync(file, "utf8");
    expect(now).toMatch(/^# mine\n[^]*x-owner: me[^]*# why[^]*id: /);
    const { stdout, stderr } = await repo.fen("workflow", "get", "renamed", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ id: idOf(1) });
    expect(eventsIn(stderr)).toMatchObject([{ event: "warning", message: `${file}:3: unknown key x-owner` }]);
    expect(await textOf(repo, "workflow edit renamed", { input: now })).toBe(
      `Unchanged renamed\n<repo>/workflows/workflow-<id>.yaml`,
    );
  });

  test("opens $EDITOR on a copy, and keeps what was written where it can't be used", async () => {
    const file = workflow(1, "patch", [call("web-01")]);
    const script = join(repo.path, "editor.sh");
    writeFileSync(script, `sed -i 's/web-01/web-02/' "$1"`);
    const env = { VISUAL: "", EDITOR: `sh ${script}` };
    expect(onTerminal(repo, "workflow edit patch", { env })).toContain("Updated patch");
    expect(readFileSync(file, "utf8")).toContain("web-02");
    writeFileSync(script, `sed -i 's/"jobs"/"jbos"/' "$1"`);
    const refused = onTerminal(repo, "workflow edit patch", { env });
    expect(refused).toContain("unknown key jbos (Did you mean jobs?)");
    const [, kept = ""] = /Your text is kept: mend (\S+), then: fen workflow edit patch < /.exec(refused) ?? [];
    expect(readFileSync(kept, "utf8")).toContain("jbos");
    rmSync(dirname(kept), { recursive: true });
    expect(readFileSync(file, "utf8")).not.toContain("jbos");
  });

  test.each([
    ["nothing at all", "", "workflow_invalid", 65],
    ["what isn't YAML", "name: [\n", "yaml_invalid", 65],
    ["what isn't a workflow", "name: patch\n", "workflow_invalid", 65],
    ["another id", () => JSON.stringify({ ...rest(), id: idOf(9) }), "workflow_invalid", 65],
    ["a name that another has", () => JSON.stringify({ ...rest(), name: "other" }), "workflow_exists", 1],
  ])("leaves the workflow as it is when given %s", async (_what, input, code, exitCode) => {
    const file = workflow(1, "patch", [call("x")]);
    workflow(2, "other", [call("x")]);
    const before = readFileSync(file, "utf8");
    const given = typeof input === "string" ? input : input();
    expect(await errorOf(repo, "workflow edit patch", { input: given })).toMatchObject({ code, exitCode });
    expect(readFileSync(file, "utf8")).toBe(before);
  });

  const rest = (): object => ({
    id: idOf(1),
    name: "patch",
    jobs: [{ name: "a", steps: [{ name: "b", task: call("x") }] }],
  });

  test("of two that edit one workflow at once the second is told, and nothing is lost", async () => {
    const file = workflow(1, "patch", [call("x")]);
    const script = join(repo.path, "editor.sh");
    // While the editor is open, somebody else is quicker.
    writeFileSync(script, `sed -i 's/"x"/"y"/' "$1"; sed -i 's/"x"/"z"/' ${file}`);
    const said = onTerminal(repo, "workflow edit patch", { env: { VISUAL: "", EDITOR: `sh ${script}` } });
    expect(said).toContain("Somebody else changed the workflow meanwhile");
    const [, kept = ""] = /mend (\S+), then/.exec(said) ?? [];
    expect(readFileSync(kept, "utf8")).toContain('"y"');
    rmSync(dirname(kept), { recursive: true });
    expect(readFileSync(file, "utf8")).toContain('"z"');
  });

  test("leaves extensions alone", async () => {
    const file = workflow(1, "theirs", [call("x")]);
    repo.write("extensions/workflows/a/b.yaml", readFileSync(file, "utf8"));
    rmSync(file);
    for (const command of ["workflow edit theirs", "workflow delete theirs"])
      expect(await errorOf(repo, command, { input: "name: x\n" })).toMatchObject({
        code: "workflow_read_only",
        exitCode: 1,
        file: join(repo.path, "extensions/workflows/a/b.yaml"),
      });
  });
});

describe("workflow delete", () => {
  test("deletes the workflow with its runs and its evaluated copy; another's runs stay", async () => {
    const file = workflow(1, "patch", [call("x")]);
    for (const run of [idOf(7), idOf(8)])
      for (const kind of ["yaml", "log", "journal"])
        repo.write(`.swamp/workflow-runs/${idOf(1)}/workflow-run-${run}.${kind}`, "x");
    repo.write(`.swamp/workflow-runs/${idOf(2)}/workflow-run-c.yaml`, "x");
    repo.write(`.swamp/workflows-evaluated/workflow-${idOf(1)}.yaml`, "x");
    expect(await documentOf(repo, "workflow delete patch")).toEqual({
      deleted: { id: idOf(1), name: "patch", workflowPath: file },
      runsDeleted: 2,
    });
    expect(existsSync(file)).toBe(false);
    expect(readdirSync(join(repo.path, ".swamp/workflow-runs"))).toEqual([idOf(2)]);
    expect(readdirSync(join(repo.path, ".swamp/workflows-evaluated"))).toEqual([]);
    expect(await errorOf(repo, "workflow delete patch")).toMatchObject({ code: "workflow_missing" });
    workflow(1, "patch", [call("x")]);
    expect(await textOf(repo, "workflow delete patch -f")).toBe("Deleted patch and 0 runs of it.");
  });

  test("asks on a terminal, and refuses where nobody can answer", async () => {
    const file = workflow(1, "patch", [call("x")]);
    expect(await repo.fen("workflow", "delete", "patch")).toMatchObject({ exitCode: 2, stdout: "" });
    expect(onTerminal(repo, "workflow delete patch", { input: "n\n" })).toContain("Nothing was deleted.");
    expect(existsSync(file)).toBe(true);
    expect(onTerminal(repo, "workflow delete patch", { input: "y\n" })).toContain("Deleted patch and 0 runs of it.");
    expect(existsSync(file)).toBe(false);
  });

  test("refuses where another workflow names it, by name or by id; one that names itself can go", async () => {
    workflow(1, "patch", [{ type: "workflow", workflowIdOrName: "patch" }]);
    for (const named of ["patch", idOf(1)]) {
      const other = workflow(2, "other", [{ type: "workflow", workflowIdOrName: named }]);
      expect(await errorOf(repo, "workflow delete patch -f")).toMatchObject({
        code: "workflow_in_use",
        exitCode: 1,
        workflow: "patch",
        file: other,
        hint: "Take the step out of that workflow first.",
      });
    }
    workflow(2, "other", [call("patch")]);
    expect(await documentOf(repo, "workflow delete patch -f")).toMatchObject({ deleted: { name: "patch" } });
  });

  test("refuses while a run of it is alive, and only so long", async () => {
    const file = workflow(1, "patch", [call("x")]);
    const run = idOf(7);
    repo.write(`.swamp/workflow-runs/${idOf(1)}/workflow-run-${run}.journal`, "x\n");
    const { local } = openFilesystemDatastore(join(repo.path, ".swamp"), systemMachine());
    const owned = await local.own(`.fen/runs/${run}.owner`);
    expect(await errorOf(repo, "workflow delete patch -f")).toMatchObject({
      code: "workflow_running",
      exitCode: 1,
      workflow: "patch",
      id: run,
      hint: "Wait for it, or end it: fen workflow cancel c0000000",
    });
    expect(existsSync(file)).toBe(true);
    owned.letGo();
    expect(await documentOf(repo, "workflow delete patch -f")).toMatchObject({ runsDeleted: 1 });
    expect(readdirSync(join(repo.path, ".swamp/.fen/runs"))).toEqual([]);
  });
});

describe("a model that a workflow names", () => {
  test.each(["workflows/workflow-1.yaml", "extensions/workflows/any.yaml"])("isn't deleted: %s", async (path) => {
    const id = repo.model("web-01", "true");
    for (const named of ["web-01", id]) {
      const from = workflow(1, "patch", [call(named)]);
      repo.write(path, readFileSync(from, "utf8"));
      rmSync(from);
      expect(await errorOf(repo, "model delete web-01 --force")).toMatchObject({
        code: "model_in_use",
        workflow: join(repo.path, path),
      });
    }
    // The word alone is no use of it.
    const other = workflow(1, "web-01", [call("web-02")], { description: "not web-01" });
    repo.write(path, readFileSync(other, "utf8"));
    expect(await documentOf(repo, "model delete web-01 --force")).toMatchObject({ deleted: { name: "web-01" } });
  });
});

describe("workflow validate", () => {
  const checks = [
    "Schema",
    "Unique job names",
    "Unique step names per job",
    "Job references",
    "Step references per job",
    "Job cycles",
    "Step cycles per job",
    "Conditions",
    "Expressions",
    "Models and methods",
    "Nested workflows",
  ];

  /** Checks that failed, with what they say, without the place of the file. */
  async function failed(name: string): Promise<Record<string, string>> {
    const { validations } = await documentOf(repo, `workflow validate ${name}`, { exitCode: 1 });
    const bad = validations.filter((one: { passed: boolean }) => !one.passed);
    return Object.fromEntries(
      bad.map((one: { name: string; error: string }) => [
        one.name,
        one.error.replaceAll(/^\S*\.yaml:(\d+:\d+): /gm, "$1 ").replaceAll(repo.path, "<repo>"),
      ]),
    );
  }

  test("makes its checks in their order, and passes what is right", async () => {
    repo.model("web-01", "true");
    workflow(1, "patch", [call("web-01"), { type: "workflow", workflowIdOrName: "other" }]);
    workflow(2, "other", [call("${{ inputs.model }}")]);
    const { validations, ...rest } = await documentOf(repo, "workflow validate patch");
    expect(rest).toEqual({ workflowId: idOf(1), workflowName: "patch", passed: true });
    expect(validations).toEqual(checks.map((name) => ({ name, passed: true })));
    expect(await textOf(repo, "workflow validate")).toBe("passed other\npassed patch\n2 passed, 0 failed");
  });

  test("tells everything that is wrong, with its line", async () => {
    repo.model("web-01", "true");
    repo.write(
      "workflows/workflow-wrong.yaml",
      `id: ${idOf(1)}
name: wrong
x-owner: me
jobs:
  - name: a
    dependsOn: [{ job: b, condition: { type: succeeded } }]
    steps:
      - name: one
        task: { type: model_method, modelIdOrName: web-1, methodName: execute }
      - name: one
        dependsOn: [{ step: thre, condition: { type: failed } }]
        task: { type: model_method, modelIdOrName: web-01, methodName: exekute }
  - name: b
    dependsOn: [{ job: a, condition: { type: succeeded } }, { job: c, condition: { type: always } }]
    steps:
      - name: three
        dependsOn: [{ step: three, condition: { type: not, condition: { type: always } } }]
        task: { type: model_method, modelIdOrName: web-01, methodName: execute, inputs: { x: "\${{ inputs.y" } }
  - name: b
    steps:
      - name: n
        task: { type: workflow, workflowIdOrName: nowhere }
`,
    );
    expect(await failed("wrong")).toEqual({
      Schema: expect.stringMatching(/^3:1 unknown key x-owner \(Known keys: id,/),
      "Unique job names": "19:5 two jobs are called b",
      "Unique step names per job": "10:9 two steps of job a are called one",
      "Job references": "14:63 job b depends on c, but no job is called so (Did you mean a?)",
      "Step references per job": "11:23 step one depends on thre, but no step of job a is called so",
      "Job cycles": "6:5 jobs wait for each other: a -> b -> a",
      "Step cycles per job": "17:9 steps of job b wait for each other: three -> three",
      Conditions: "17:21 step three never runs: no end of three fits what it waits for",
      Expressions: "18:94 An expression is not closed with }}: ${{ inputs.y (Close it with }}.)",
      "Models and methods":
        "9:37 No model is called web-1. (Did you mean web-01? List the models: fen model search.)\n12:60 command/shell has no method exekute. (Did you mean execute? Its methods: execute. See: fen model type describe command/shell)",
      "Nested workflows": "22:33 No workflow is called nowhere. (List the workflows: fen workflow search.)",
    });
    expect(await textOf(repo, "workflow validate wrong", { exitCode: 1 })).toMatch(/^failed wrong\n {2}Schema: /);
  });

  test("tells an input that is nearly called like one that the model takes; one that expressions use is nobody's mistake", async () => {
    repo.model("web-01", "echo ${{ inputs.verzion }}", { inputs: { properties: { version: { type: "string" } } } });
    workflow(1, "patch", [
      { ...call("web-01"), inputs: { verson: "1", verzion: "2", own: "3", timout: 5, run: "true" } },
    ]);
    expect(await failed("patch")).toEqual({
      "Models and methods": expect.stringMatching(
        /^\d+:\d+ web-01 takes no input verson \(Did you mean version\?\)\n\d+:\d+ web-01 takes no input timout \(Did you mean timeout\?\)$/,
      ),
    });
  });

  test("tells a misspelt key deep inside what a step gives, and an input that the workflow which it calls doesn't take", async () => {
    const hosts = { type: "array", items: { properties: { name: {}, port: { type: "integer" } } } };
    repo.model("web-01", "true", { inputs: { properties: { hosts } } });
    workflow(1, "inner", [call("web-01")], { inputs: { properties: { region: {}, hosts } } });
    workflow(2, "patch", [
      { ...call("web-01"), inputs: { hosts: [{ name: "a" }, { nme: "b", own: 1 }] } },
      { type: "workflow", workflowIdOrName: "inner", inputs: { regoin: "ams", hosts: [{ prot: 1 }], own: 1 } },
    ]);
    expect(await failed("patch")).toEqual({
      "Models and methods": expect.stringMatching(/^\d+:\d+ web-01 takes no key nme in hosts \(Did you mean name\?\)$/),
      "Nested workflows": expect.stringMatching(
        /^\d+:\d+ inner takes no input regoin \(Did you mean region\?\)\n\d+:\d+ inner takes no key prot in hosts \(Did you mean port\?\)$/,
      ),
    });
  });

  test("knows what is wrong with expressions without evaluating them", async () => {
    repo.model("web-01", "true");
    const inputs = {
      syntax: "${{ 1 + }}",
      word: "${{ input.hosts }}",
      misspelt: "${{ inputs.host }}",
      given: "${{ inputs.whatever + env.HOME }}",
      element: "${{ self.h }}",
      model: "${{ model['web-1'].input.globalArguments.x }}",
      data: ["${{ data.latest('web-01', 'result').attributes.stdout }}", "${{ data.latest('db', 'result') }}"],
    };
    workflow(1, "patch", [{ ...call("web-01"), inputs }], { inputs: { properties: { hosts: { type: "array" } } } });
    const said = await failed("patch");
    expect(Object.keys(said)).toEqual(["Expressions"]);
    expect(
      said["Expressions"]
        ?.replaceAll(/^.*\|.*\n/gm, "")
        .split("\n")
        .filter((line) => /^\d/.test(line)),
    ).toEqual([
      "22:26 Unexpected token: EOF",
      "23:24 there is no variable input",
      "24:15 no input is called host (Did you mean inputs.hosts?)",
      "26:15 self has no h here (Only steps with forEach have an element.)",
      "27:15 No model is called web-1. (Did you mean web-01? List the models: fen model search.)",
      "30:17 No model is called db. (List the models: fen model search.)",
    ]);
  });

  test("finds workflows that call each other in a circle, also far below", async () => {
    repo.model("web-01", "true");
    const nested = (name: string): object => ({ type: "workflow", workflowIdOrName: name });
    workflow(1, "top", [nested("a"), nested("fine")]);
    workflow(2, "a", [nested("b")]);
    workflow(3, "b", [nested("a")]);
    workflow(4, "self", [nested("self")]);
    workflow(5, "fine", [call("web-01")]);
    expect(await failed("top")).toEqual({
      "Nested workflows": expect.stringMatching(/^\d+:\d+ workflows call each other in a circle: top -> a -> b -> a$/),
    });
    expect(await failed("self")).toEqual({ "Nested workflows": expect.stringContaining("circle: self -> self") });
    expect(await documentOf(repo, "workflow validate fine")).toMatchObject({ passed: true });
  });

  test("10 workflows may be called within each other, not 11", async () => {
    repo.model("web-01", "true");
    workflow(12, "w12", [call("web-01")]);
    for (let n = 11; n >= 1; n--)
      workflow(n, `w${n}`, [
        { type: "workflow", workflowIdOrName: `w${n + 1}` },
        { type: "workflow", workflowIdOrName: `w${n + 1}` },
      ]);
    expect(await documentOf(repo, "workflow validate w2")).toMatchObject({ passed: true });
    expect(await failed("w1")).toEqual({
      "Nested workflows": expect.stringContaining("more than 10 workflows are called within each other: w1 -> w2 -> "),
    });
  });

  test("of all: files that can't be read and names that two have count as failed", async () => {
    repo.model("web-01", "true");
    repo.write("workflows/workflow-bad.yaml", "name: [\n");
    workflow(1, "twin", [call("web-01")]);
    workflow(2, "twin", [call("web-01")]);
    workflow(3, "fine", [call("web-01")]);
    const all = await documentOf(repo, "workflow validate", { exitCode: 1 });
    expect(all).toMatchObject({ totalPassed: 1, totalFailed: 3, passed: false });
    const { validations, ...bad } = all.workflows[0];
    expect(bad).toEqual({
      workflowId: "",
      workflowName: join(repo.path, "workflows/workflow-bad.yaml"),
      passed: false,
    });
    expect(validations).toEqual([
      { name: "Schema", passed: false, error: expect.stringContaining("workflow-bad.yaml:") },
    ]);
    expect(await failed("twin")).toEqual({ Schema: expect.stringMatching(/^Two workflows are called twin:/) });
    expect(await textOf(repo, "workflow validate", { exitCode: 1 })).toMatch(/\n1 passed, 3 failed$/);
  });

  test("what it finds in a graph keeps a workflow from being run, also where another calls it", async () => {
    repo.model("web-01", "touch ran");
    const after = (job: string) => [{ job, condition: { type: "succeeded" } }];
    const steps = [{ name: "s", task: call("web-01") }];
    const file = workflow(1, "circle", [
      { name: "a", dependsOn: after("b"), steps },
      { name: "b", dependsOn: after("a"), steps },
    ]);
    workflow(2, "outer", [call("web-01"), { type: "workflow", workflowIdOrName: "circle" }]);
    for (const name of ["circle", "outer"])
      expect(await errorOf(repo, `workflow run ${name}`)).toMatchObject({
        code: "workflow_invalid",
        file,
        problems: [{ key: "jobs.0.dependsOn", message: "jobs wait for each other: a -> b -> a" }],
        hint: "Mend the file, then check it with: fen workflow validate",
      });
    workflow(1, "hole", [{ name: "a", dependsOn: after("b"), steps }]);
    expect(await errorOf(repo, "workflow run hole")).toMatchObject({ code: "workflow_invalid" });
    workflow(1, "elsewhere", [{ name: "a", steps: [{ ...steps[0], driver: "docker" }] }]);
    expect(await errorOf(repo, "workflow run elsewhere")).toMatchObject({ code: "not_yet", driver: "docker" });
    expect(existsSync(join(repo.path, "ran"))).toBe(false);
  });

  test("a workflow that isn't there is an error, not a failed check", async () => {
    expect(await errorOf(repo, "workflow validate nowhere")).toMatchObject({ code: "workflow_missing", exitCode: 1 });
  });
});

describe("workflow schema", () => {
  test("gives each part of the format as a JSON Schema, under both names", async () => {
    const document = await documentOf(repo, "workflow schema");
    expect(Object.keys(document)).toEqual([
      "workflow",
      "job",
      "jobDependency",
      "step",
      "stepDependency",
      "stepTask",
      "triggerCondition",
    ]);
    expect(await documentOf(repo, "workflow schema get")).toEqual(document);
    expect(JSON.parse(await textOf(repo, "workflow schema get"))).toEqual(document);
    expect(problemsOf("workflow-schema", document)).toEqual([]);
    expect(await errorOf(repo, "workflow schema job")).toMatchObject({ code: "usage", exitCode: 2 });
    expect(await errorOf(repo, "workflow schema get job")).toMatchObject({ code: "usage", exitCode: 2 });
  });

  test("needs no repository", async () => {
    const folder = mkdtempSync(join(tmpdir(), "fen-nowhere-"));
    mkdirSync(join(folder, "x"));
    expect(await documentOf({ path: folder }, "workflow schema")).toMatchObject({ job: { type: "object" } });
    rmSync(folder, { recursive: true });
  });
});
