/** `model create|get|search|list|edit|delete|validate`, `model type search|describe|get`, `model method describe`. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Scratch, scratchRepo } from "../../support/cli.ts";
import { documentOf, errorOf, onTerminal, textOf } from "../../support/documents.ts";

let repo: Scratch;
beforeAll(async () => {
  repo = await scratchRepo();
  repo.model("web-01", "echo ${{ inputs.pkg }}", {
    tags: { site: "ams" },
    globalArguments: { host: "web-01.example" },
    inputs: { properties: { pkg: { type: "string", default: "curl" } } },
  });
  repo.model("web-02", "echo hello");
  repo.model("db-01", "exit 3");
});
afterAll(() => repo.remove());

const fileOf = async (name: string): Promise<string> => (await documentOf(repo, `model get ${name}`)).path;

describe("model create", () => {
  test("writes a definition that can be run, and says so", async () => {
    expect(await textOf(repo, "model create command/shell made-01")).toMatchInlineSnapshot(`
      "Made made-01 (command/shell)
      <repo>/models/command/shell/<id>.yaml
      Next: fen model edit made-01   then: fen model method run made-01 execute"
    `);
    const made = await documentOf(repo, "model create command/shell made-02 --global-arg host=x --global-arg a.b=1");
    expect(made).toMatchObject({ name: "made-02", type: "command/shell", version: 1, methods: [{ name: "execute" }] });
    expect(made.path).toBe(join(repo.path, `models/command/shell/${made.id}.yaml`));
    expect(await documentOf(repo, "model get made-02")).toMatchObject({
      id: made.id,
      globalArguments: { host: "x", a: { b: "1" } },
    });
    expect((await documentOf(repo, "model method run made-01 execute")).data.attributes.stdout).toBe(
      "hello from made-01",
    );
  });

  test.each([
    [
      "model create command/shel x",
      "type_missing",
      1,
      "Did you mean command/shell? List the types: fen model type search",
    ],
    [
      "model create command/shell ../x",
      "name_invalid",
      65,
      "Use lowercase letters, digits, - and _, at most 64, beginning with a letter or digit.",
    ],
    ["model create command/shell web-01", "model_exists", 1, "Look at it: fen model get web-01"],
    ["model create command/shell x --global-arg host", "input_invalid", 65, "For example: --global-arg pkg=curl"],
    ["model create command/shell", "usage", 2, "Usage: fen model create <type> <name>"],
  ])("refuses: %s", async (line, code, exitCode, hint) => {
    expect(await errorOf(repo, line)).toMatchObject({ code, exitCode, hint });
  });
});

describe("model get", () => {
  test("shows the definition and what the type can do", async () => {
    expect(await textOf(repo, "model get web-01")).toMatchInlineSnapshot(`
      "web-01
      type             command/shell
      id               <id>
      version          1
      tags             {"site":"ams"}
      globalArguments  {"host":"web-01.example"}
      inputs           {"properties":{"pkg":{"type":"string","default":"curl"}}}
      file             <repo>/models/command/shell/<id>.yaml
      methods
        execute  Run a shell command and keep its output
          run: echo \${{ inputs.pkg }}"
    `);
    const document = await documentOf(repo, "model get web-01");
    expect(document).toMatchObject({
      name: "web-01",
      type: "command/shell",
      version: 1,
      tags: { site: "ams" },
      globalArguments: { host: "web-01.example" },
      inputs: { properties: { pkg: { type: "string", default: "curl" } } },
      methods: [{ name: "execute", configured: { run: "echo ${{ inputs.pkg }}" } }],
    });
    expect(await documentOf(repo, `model get ${document.id}`)).toEqual(document);
  });

  test("shows a model of a type that isn't known here, with a warning", async () => {
    repo.write(
      "models/x/switch.yaml",
      "type: Acme::Net::Switch\nid: c0000000-0000-4000-a000-000000000009\nname: switch-01\nversion: 1\n",
    );
    expect(await documentOf(repo, "model get switch-01")).toMatchObject({ type: "acme/net/switch", methods: [] });
    const { stderr } = await repo.fen("model", "get", "switch-01");
    expect(stderr).toContain("warning: No model type is called acme/net/switch");
    expect((await documentOf(repo, "model validate switch-01", { exitCode: 1 })).validations).toContainEqual({
      name: "Type",
      passed: false,
      error: "No model type is called acme/net/switch.",
    });
    expect(await documentOf(repo, "model delete switch-01")).toMatchObject({ deleted: { name: "switch-01" } });
  });

  test("names what was probably meant", async () => {
    expect(await errorOf(repo, "model get web-1")).toMatchObject({
      code: "model_missing",
      exitCode: 1,
      model: "web-1",
      hint: expect.stringContaining("Did you mean web-01?"),
    });
    expect(await errorOf(repo, "model get")).toMatchObject({ code: "usage", exitCode: 2 });
  });

  test("tells file, line, column and key of what is wrong in a definition", async () => {
    const file = join(repo.path, "models/broken.yaml");
    writeFileSync(file, "id: c0000000-0000-4000-a000-000000000008\nname: broken\nversion: one\n");
    try {
      expect(await errorOf(repo, "model get broken")).toMatchObject({
        code: "definition_invalid",
        exitCode: 65,
        file,
        line: 3,
        column: 1,
        problems: [{ key: "version", severity: "error" }, { key: "type" }],
        hint: "Mend the file, then check it with: fen model validate",
      });
      writeFileSync(file, "name: broken\n  id: [\n");
      expect(await errorOf(repo, "model get broken")).toMatchObject({ code: "yaml_invalid", exitCode: 65, file });
    } finally {
      rmSync(file);
    }
  });
});

describe("model search", () => {
  test("lists by name, type or id; exactly one match of a query is the model itself", async () => {
    expect(await textOf(repo, "model search web")).toMatchInlineSnapshot(`
      "NAME    TYPE           ID
      web-01  command/shell  <id>
      web-02  command/shell  <id>"
    `);
    const list = await documentOf(repo, "model search WEB");
    expect(list.results.map((one: { name: string }) => one.name)).toEqual(["web-01", "web-02"]);
    expect(await documentOf(repo, "model search db-")).toEqual(await documentOf(repo, "model get db-01"));
    expect(await documentOf(repo, "model list web")).toEqual({ ...list, query: "web" });
    expect(await documentOf(repo, "model search nothing")).toEqual({ query: "nothing", results: [] });
    expect(await textOf(repo, "model search nothing")).toBe("No model matches nothing.");
    expect((await documentOf(repo, "model search command/")).results.length).toBeGreaterThanOrEqual(3);
  });

  test("takes one query and no unknown flag", async () => {
    expect(await errorOf(repo, "model search a b")).toMatchObject({ code: "usage", exitCode: 2 });
    expect(await errorOf(repo, "model search --jsno")).toMatchObject({
      code: "usage",
      hint: "Did you mean --json? See: fen model search --help",
    });
    expect(await errorOf(repo, "model list a b")).toMatchObject({
      code: "usage",
      hint: "Usage: fen model list [query]",
    });
  });
});

describe("model edit", () => {
  test("replaces a definition from standard input after checking it; id stays, comments too", async () => {
    const file = await fileOf("web-02");
    const text = "# the second\nname: web-02\nversion: 2\nmethods: { execute: { arguments: { run: echo edited } } }\n";
    expect(await documentOf(repo, "model edit web-02", { input: text })).toEqual({
      path: file,
      status: "updated",
      name: "web-02",
      type: "command/shell",
      editType: "model",
    });
    expect(readFileSync(file, "utf8")).toMatch(/^# the second\n[^]*id: /);
    expect(await textOf(repo, "model edit web-02", { input: readFileSync(file, "utf8") })).toBe(
      `Unchanged web-02\n${file.replace(repo.path, "<repo>").replace(/[0-9a-f-]{36}/, "<id>")}`,
    );
  });

  test("opens $EDITOR on a copy, and keeps what was written where it can't be used", async () => {
    const file = await fileOf("web-01");
    const before = readFileSync(file, "utf8");
    const script = join(repo.path, "editor.sh");
    writeFileSync(script, `sed -i 's/curl/wget/' "$1"`);
    const said = onTerminal(repo, "model edit web-01 --json", { env: { VISUAL: "", EDITOR: `sh ${script}` } });
    expect(JSON.parse(said)).toMatchObject({ status: "updated", editor: `sh ${script}` });
    expect(readFileSync(file, "utf8")).toBe(before.replace("curl", "wget"));
    writeFileSync(script, `sed -i 's/version/vresion/' "$1"`);
    const refused = onTerminal(repo, "model edit web-01", { env: { VISUAL: "", EDITOR: `sh ${script}` } });
    expect(refused).toContain("version is missing");
    const [, kept = ""] = /Your text is kept: mend (\S+), then: fen model edit web-01 < /.exec(refused) ?? [];
    expect(readFileSync(kept, "utf8")).toContain("vresion");
    rmSync(dirname(kept), { recursive: true });
    expect(readFileSync(file, "utf8")).not.toContain("vresion");
    expect(onTerminal(repo, "model edit web-01", { env: { VISUAL: "", EDITOR: "false" } })).toBe(
      "error: The editor ended with an error: false\nSet EDITOR to an editor that is installed.\n",
    );
  });

  test.each([
    ["nothing at all", "", "definition_invalid"],
    ["what isn't YAML", "name: [\n", "yaml_invalid"],
    ["what isn't a definition", "name: web-02\nversion: x\n", "definition_invalid"],
    ["another id", "id: c0000000-0000-4000-a000-000000000001\nname: web-02\nversion: 1\n", "definition_invalid"],
  ])("leaves the definition as it is when given %s", async (_what, input, code) => {
    const file = await fileOf("web-02");
    const before = readFileSync(file, "utf8");
    expect(await errorOf(repo, "model edit web-02", { input })).toMatchObject({ code, exitCode: 65 });
    expect(readFileSync(file, "utf8")).toBe(before);
  });

  test("refuses a name that another model has", async () => {
    const input = "name: web-01\nversion: 1\n";
    expect(await errorOf(repo, "model edit web-02", { input })).toMatchObject({ code: "model_exists", exitCode: 1 });
  });
});

describe("model delete", () => {
  test("deletes definition, data, outputs and logs; data only with --force", async () => {
    const id = repo.model("doomed", "echo x");
    await documentOf(repo, "model method run doomed execute");
    expect(await errorOf(repo, "model delete doomed")).toMatchObject({
      code: "model_has_data",
      exitCode: 1,
      data: ["log", "result"],
      hint: "Delete it all with: fen model delete doomed --force",
    });
    expect(await documentOf(repo, "model delete doomed --force")).toEqual({
      deleted: {
        id,
        name: "doomed",
        type: "command/shell",
        inputPath: join(repo.path, `models/command/shell/${id}.yaml`),
      },
      resourceDeleted: true,
      outputsDeleted: 1,
      evaluatedInputDeleted: false,
      dataDeleted: 2,
    });
    expect(
      execFileSync("find", [repo.path, "-type", "f", "-path", `*${id}*`, "-not", "-path", "*/.fen/*"], {
        encoding: "utf8",
      }),
    ).toBe("");
    repo.model("doomed", "echo x");
    expect(await textOf(repo, "model delete doomed --force")).toBe(
      "Deleted doomed: its definition, 0 data, 0 outputs.",
    );
  });

  test("asks on a terminal, and takes only yes for yes", async () => {
    repo.model("asked", "true");
    expect(onTerminal(repo, "model delete asked", { input: "n\n" })).toMatch(
      /Delete the model asked \(.*\)\? \[y\/N\] [^]*Nothing was deleted\.\n$/,
    );
    expect(existsSync(await fileOf("asked"))).toBe(true);
    expect(onTerminal(repo, "model delete asked", { input: "y\n" })).toContain("Deleted asked");
    expect(await errorOf(repo, "model get asked")).toMatchObject({ code: "model_missing" });
  });

  test("asks, and refuses where nobody can answer; refuses what a workflow names", async () => {
    const asked = await repo.fen("model", "delete", "db-01");
    expect(asked).toMatchObject({ exitCode: 2, stdout: "" });
    expect(asked.stderr).toContain("Say --force to go on without asking.");
    repo.write("workflows/workflow-1.yaml", "jobs: [{ steps: [{ task: { modelIdOrName: db-01 } }] }]\n");
    expect(await errorOf(repo, "model delete db-01 --force")).toMatchObject({
      code: "model_in_use",
      exitCode: 1,
      workflow: join(repo.path, "workflows/workflow-1.yaml"),
      hint: "Take the model out of the workflow first.",
    });
    expect(existsSync(await fileOf("db-01"))).toBe(true);
  });
});

describe("model validate", () => {
  test("checks one definition, and fails with exit code 1", async () => {
    expect(await documentOf(repo, "model validate web-01")).toMatchObject({
      modelName: "web-01",
      type: "command/shell",
      passed: true,
      validations: [
        { name: "Definition", passed: true },
        { name: "Type", passed: true },
        { name: "Method execute", passed: true },
      ],
    });
    repo.model("wrong", "echo ${{ self.nam }}", { methods: { exekute: {} }, colour: "red" });
    const wrong = await documentOf(repo, "model validate wrong", { exitCode: 1 });
    expect(wrong.passed).toBe(false);
    expect(await textOf(repo, "model validate wrong", { exitCode: 1 })).toMatchInlineSnapshot(`
      "failed wrong
        Definition: <repo>/models/command/shell/<id>.yaml:1:152: unknown key colour (Known keys: type, typeVersion, id, name, version, tags, globalArguments, inputs, methods, checks, driver, driverConfig, resources, reports.)
        Method exekute: command/shell has no method exekute."
    `);
  });

  test("checks all; a file that can't be read is one that failed", async () => {
    repo.write("models/unreadable.yaml", "name: [\n");
    const all = await documentOf(repo, "model validate", { exitCode: 1 });
    expect(all).toMatchObject({ passed: false, totalPassed: all.models.length - all.totalFailed });
    expect(all.models.find((one: { passed: boolean }) => !one.passed)).toMatchObject({ modelId: "", type: "" });
    expect(all.models.map((one: { modelName: string }) => one.modelName)).toContain("web-01");
    expect(await textOf(repo, "model validate", { exitCode: 1 })).toMatch(/\d+ passed, \d+ failed$/);
    rmSync(join(repo.path, "models/unreadable.yaml"));
  });

  test("a model that isn't there is an error, not a failed check", async () => {
    expect(await errorOf(repo, "model validate web-03")).toMatchObject({ code: "model_missing", exitCode: 1 });
  });
});

describe("types and methods", () => {
  test("model type search lists types", async () => {
    expect(await textOf(repo, "model type search")).toMatchInlineSnapshot(`
      "TYPE           DESCRIPTION
      command/shell  Runs a shell command"
    `);
    expect(await documentOf(repo, "model type search shell")).toEqual({
      query: "shell",
      results: [{ raw: "command/shell", normalized: "command/shell", description: "Runs a shell command" }],
    });
    expect(await documentOf(repo, "model type search nothing")).toEqual({ query: "nothing", results: [] });
    expect(await errorOf(repo, "model type search a b")).toMatchObject({ code: "usage", exitCode: 2 });
  });

  test("model type describe shows methods, arguments and data", async () => {
    expect(await textOf(repo, "model type describe command/shell")).toMatchInlineSnapshot(`
      "command/shell  Runs a shell command  2026.02.09.1
        execute  Run a shell command and keep its output
        arguments
          run (required)  string  The command, for sh -c
          workingDir  string  Folder to run in; default: where fen was called
          timeout  integer  Milliseconds until the command and all that it started are ended
          env  object  Variables added to the environment
          ignoreExitCode  boolean  Succeed whatever the exit code
        data
          result  resource, application/json  Exit code, standard output and standard error of the command
          log  file, text/plain  Everything that the command wrote"
    `);
    const document = await documentOf(repo, "model type describe Command::Shell");
    expect(document).toMatchObject({
      type: { raw: "Command::Shell", normalized: "command/shell" },
      version: "2026.02.09.1",
    });
    expect(await documentOf(repo, "model type get Command::Shell")).toEqual(document);
    expect(await errorOf(repo, "model type describe comand/shell")).toMatchObject({
      code: "type_missing",
      exitCode: 1,
      hint: "Did you mean command/shell? List the types: fen model type search",
    });
    expect(await errorOf(repo, "model type get")).toMatchObject({ code: "usage", exitCode: 2 });
  });

  test("model method describe shows one method", async () => {
    expect(await textOf(repo, "model method describe web-01 execute")).toMatchInlineSnapshot(`
      "web-01  command/shell
        execute  Run a shell command and keep its output
        arguments
          run (required)  string  The command, for sh -c
          workingDir  string  Folder to run in; default: where fen was called
          timeout  integer  Milliseconds until the command and all that it started are ended
          env  object  Variables added to the environment
          ignoreExitCode  boolean  Succeed whatever the exit code
        data
          result  resource, application/json  Exit code, standard output and standard error of the command
          log  file, text/plain  Everything that the command wrote"
    `);
    const { method, ...rest } = await documentOf(repo, "model method describe web-01 execute");
    expect(rest).toEqual({ modelName: "web-01", modelType: "command/shell", version: "2026.02.09.1" });
    expect(method.arguments.required).toEqual(["run"]);
    expect(await errorOf(repo, "model method describe web-01 exec")).toMatchObject({
      code: "method_missing",
      exitCode: 1,
      hint: expect.stringContaining("Its methods: execute."),
    });
  });
});

test("who edits what isn't there is told that, whatever is piped in; who pipes in nothing is told how", async () => {
  expect(await errorOf(repo, "model edit nope")).toMatchObject({ code: "model_missing" });
  expect(await errorOf(repo, "workflow edit nope")).toMatchObject({ code: "workflow_missing" });
  expect(await errorOf(repo, "model edit web-01")).toMatchObject({
    code: "definition_invalid",
    message: "Standard input is empty: the model web-01 stays as it is.",
    hint: expect.stringContaining("fen model edit web-01 < "),
  });
});
