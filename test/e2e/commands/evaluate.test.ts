/** `model evaluate`, what `model validate` says of expressions, and what expressions read of other models and of data. */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runFen, type Scratch, scratchRepo, startFen } from "../../support/cli.ts";
import { documentOf, errorOf, eventsIn, textOf } from "../../support/documents.ts";

let repo: Scratch;
const secret = "s3cr3t-of-the-environment";
const env = { TOKEN: secret };

beforeAll(async () => {
  repo = await scratchRepo();
  repo.model("db-01", "printf 5432", { globalArguments: { port: "${{ 5000 + 432 }}", zone: "ams" } });
  repo.model(
    "web-01",
    "echo ${{ model.db-01.input.globalArguments.port }} ${{ self.globalArguments.host }} ${{ inputs.pkg }}",
    {
      tags: { site: "ams" },
      globalArguments: {
        host: "${{ self.name }}.example",
        token: "${{ env.TOKEN }}",
        url: "https://${{ self.globalArguments.host }}/${{ self.globalArguments.token }}",
        ports: ["${{ model.db-01.input.globalArguments.port }}", 80],
      },
      inputs: { properties: { pkg: { type: "string", default: "curl" } } },
    },
  );
  repo.model("plain", "echo plain");
  repo.model("secret", "echo ${{ vault.get(store, api-token) }} ${{ 1 + 1 }}", {
    globalArguments: { number: "${{ int(env.NUMBER) + 1 }}", next: "${{ self.globalArguments.number + 1 }}" },
  });
});
afterAll(() => repo.remove());

const evaluated = (path: string): string => readFileSync(path, "utf8");

describe("model evaluate", () => {
  test("stores the definition with its expressions resolved, and what comes from the environment as it is written", async () => {
    const document = await documentOf(repo, "model evaluate web-01", { env });
    expect(document).toMatchObject({
      name: "web-01",
      type: "command/shell",
      hadExpressions: true,
      outputPath: join(repo.path, `.swamp/definitions-evaluated/command/shell/${document.id}.yaml`),
      globalArguments: {
        host: "web-01.example",
        token: "${{ env.TOKEN }}",
        url: "https://${{ self.globalArguments.host }}/${{ self.globalArguments.token }}",
        ports: [5432, 80],
      },
    });
    expect(document).not.toHaveProperty("unresolved");
    const text = evaluated(document.outputPath);
    expect(text).toContain("run: echo 5432 web-01.example curl\n");
    expect(text).toContain("site: ams");
    expect(text).not.toContain(secret);
  });

  test("needs neither the environment nor a vault", async () => {
    const document = await documentOf(repo, "model evaluate secret");
    expect(document).toMatchObject({
      hadExpressions: true,
      globalArguments: { number: "${{ int(env.NUMBER) + 1 }}", next: "${{ self.globalArguments.number + 1 }}" },
    });
    expect(evaluated(document.outputPath)).toContain("run: echo ${{ vault.get(store, api-token) }} ${{ 1 + 1 }}\n");
    repo.model("of-secret", "echo ${{ model.secret.input.globalArguments.next }} ${{ model.secret.input.name }}");
    const other = await documentOf(repo, "model evaluate of-secret");
    expect(evaluated(other.outputPath)).toContain("echo ${{ model.secret.input.globalArguments.next }}");
    await documentOf(repo, "model delete of-secret --force");
    expect(await errorOf(repo, "model method run secret execute")).toMatchObject({ code: "expression_not_yet" });
  });

  test("says what it did", async () => {
    expect(await textOf(repo, "model evaluate web-01 --input pkg=git", { env })).toMatchInlineSnapshot(`
      "Evaluated web-01
      <repo>/.swamp/definitions-evaluated/command/shell/<id>.yaml"
    `);
    const { outputPath } = await documentOf(repo, "model evaluate web-01 --input pkg=git", { env });
    expect(evaluated(outputPath)).toContain("web-01.example git");
    expect(await textOf(repo, "model evaluate plain")).toMatch(/^No expressions in plain\n/);
  });

  test("what it stores is a definition that can be read again", async () => {
    const { outputPath } = await documentOf(repo, "model evaluate web-01", { env });
    const copy = join(repo.path, "models/command/shell/copy.yaml");
    writeFileSync(
      copy,
      evaluated(outputPath)
        .replace("name: web-01", "name: copy")
        .replace(/^id: .*/m, "id: c0000000-0000-4000-a000-00000000000c"),
    );
    expect(await documentOf(repo, "model validate copy")).toMatchObject({ passed: true });
    rmSync(copy);
  });

  test("an input that has no value leaves its texts as they are written, with a note", async () => {
    repo.model("open", "echo ${{ inputs.must }} ${{ self.globalArguments.a }}", {
      globalArguments: { a: "${{ inputs.must }}!", b: "${{ self.globalArguments.a + '?' }}", c: "${{ 1 + 1 }}" },
      inputs: { properties: { must: { type: "string" } }, required: ["must"] },
    });
    const result = await runFen(["model", "evaluate", "open", "--json"], { cwd: repo.path });
    expect(result.json()).toMatchObject({
      globalArguments: { a: "${{ inputs.must }}!", b: "${{ self.globalArguments.a + '?' }}", c: 2 },
      unresolved: ["globalArguments.a", "globalArguments.b", "methods.execute.arguments.run"],
    });
    expect(eventsIn(result.stderr)).toHaveLength(3);
    expect(result.stderr).toContain("need inputs without a default");
    const given = await documentOf(repo, "model evaluate open --input must=x");
    expect(given).toMatchObject({ globalArguments: { a: "x!", b: "x!?", c: 2 } });
    repo.model("of-open", "echo ${{ model.open.input.globalArguments.b }}");
    expect(await documentOf(repo, "model evaluate of-open")).toMatchObject({
      unresolved: ["methods.execute.arguments.run"],
    });
    expect(await errorOf(repo, "model method run of-open execute")).toMatchObject({
      code: "expression_failed",
      message: expect.stringContaining("globalArguments.b of open needs inputs that have no default"),
    });
    for (const name of ["open", "of-open"]) await documentOf(repo, `model delete ${name} --force`);
  });

  test("what another model has from the environment isn't stored either", async () => {
    repo.model(
      "via",
      "echo ${{ model.web-01.input.globalArguments.url }} ${{ model.web-01.input.globalArguments.host }}",
      {
        globalArguments: {
          a: "${{ model.web-01.definition.globalArguments.token }}",
          b: "${{ model.web-01.input.globalArguments.host }}",
        },
      },
    );
    const document = await documentOf(repo, "model evaluate via", { env });
    expect(document.globalArguments).toEqual({
      a: "${{ model.web-01.definition.globalArguments.token }}",
      b: "web-01.example",
    });
    expect(evaluated(document.outputPath)).not.toContain(secret);
    const all = await runFen(["model", "evaluate", "--all", "--json"], { cwd: repo.path, env });
    expect(all.exitCode, all.stderr).toBe(0);
    expect(all.stdout + all.stderr).not.toContain(secret);
    await documentOf(repo, "model delete via --force");
  });

  test("--all does them all, in the order in which they need each other", async () => {
    const all = await documentOf(repo, "model evaluate --all", { env });
    expect(all).toMatchObject({ total: 4, evaluated: 3 });
    expect(all.items.map((one: { name: string }) => one.name).sort()).toEqual(["db-01", "plain", "secret", "web-01"]);
    for (const { outputPath } of all.items) expect(existsSync(outputPath)).toBe(true);
    expect(await textOf(repo, "model evaluate --all", { env })).toBe("Evaluated 4 models, 3 of them with expressions.");
  });

  test("where one of all can't be evaluated, none is stored", async () => {
    repo.model("broken-1", "echo ${{ model.nobody.input.name }}");
    repo.model("broken-2", "echo ${{ self.globalArguments.nothing }}");
    rmSync(join(repo.path, ".swamp/definitions-evaluated"), { recursive: true });
    const error = await errorOf(repo, "model evaluate --all", { env });
    expect(error).toMatchObject({ code: "expression_failed", exitCode: 65 });
    expect(error.message).toContain("no model is called nobody");
    expect(error.message).toContain("nothing is called nothing here");
    expect(error.problems).toHaveLength(2);
    expect(existsSync(join(repo.path, ".swamp/definitions-evaluated"))).toBe(false);
    for (const name of ["broken-1", "broken-2"]) await documentOf(repo, `model delete ${name} --force`);
  });

  test("a circle is shown, whether it is of one model or of several", async () => {
    repo.model("ring-a", "echo", { globalArguments: { x: "${{ model.ring-b.input.globalArguments.y }}" } });
    repo.model("ring-b", "echo", { globalArguments: { y: "${{ model.ring-a.definition.globalArguments.x }}", z: 1 } });
    repo.model("ring-c", "echo ${{ model.ring-b.input.globalArguments.z }}", {
      globalArguments: { p: "${{ self.globalArguments.q }}", q: "${{ self.globalArguments.p }}" },
    });
    expect(await errorOf(repo, "model evaluate ring-a")).toMatchObject({
      code: "expression_circle",
      exitCode: 65,
      circle: ["ring-a: globalArguments.x", "ring-b: globalArguments.y", "ring-a: globalArguments.x"],
    });
    expect(await errorOf(repo, "model evaluate --all", { env })).toMatchObject({ code: "expression_circle" });
    expect(await errorOf(repo, "model method run ring-c execute")).toMatchObject({
      code: "expression_circle",
      circle: ["ring-c: globalArguments.p", "ring-c: globalArguments.q", "ring-c: globalArguments.p"],
    });
    const checked = await documentOf(repo, "model validate ring-b", { exitCode: 1 });
    expect(JSON.stringify(checked)).toContain("ring-a: globalArguments.x");
    for (const name of ["ring-a", "ring-b", "ring-c"]) await documentOf(repo, `model delete ${name} --force`);
  });

  test.each([
    ["model evaluate", "usage", 2, "fen model evaluate web-01   or: fen model evaluate --all"],
    ["model evaluate web-01 --all", "usage", 2, "fen model evaluate web-01   or: fen model evaluate --all"],
    ["model evaluate --all --input a=b", "usage", 2, "fen model evaluate web-01   or: fen model evaluate --all"],
    ["model evaluate web-02", "model_missing", 1, "Did you mean web-01? List the models: fen model search."],
    ["model evaluate web-01 --input pkgs=x", "input_invalid", 65, "It takes pkg."],
    ["model evaluate web-01 --input pkg", "input_invalid", 65, "For example: --input pkg=curl"],
    ["model evaluate missing-data", "expression_failed", 65, "Where it may be absent: .?attributes.orValue(...)"],
  ])("refuses: %s", async (line, code, exitCode, hint) => {
    const id = repo.model("missing-data", "echo ${{ data.latest('plain', 'result').attributes.x }}");
    expect(await errorOf(repo, line)).toMatchObject({ code, exitCode, hint });
    rmSync(join(repo.path, `models/command/shell/${id}.yaml`));
  });

  test("waits for the model's lock, and --all for those of all", async () => {
    repo.model("busy", "echo started; sleep 30");
    const holder = startFen(["model", "method", "run", "busy", "execute"], { cwd: repo.path });
    await holder.says("started");
    for (const line of ["model evaluate busy --lock-timeout 100ms", "model evaluate --all --lock-timeout 100ms"])
      expect(await errorOf(repo, line, { env })).toMatchObject({ code: "lock_timeout", exitCode: 75 });
    expect(await documentOf(repo, "model evaluate web-01", { env })).toMatchObject({ name: "web-01" });
    holder.kill("SIGINT");
    await holder.done;
    await documentOf(repo, "model delete busy --force");
  });
});

describe("model validate", () => {
  test.each([
    ["${{ model.db-02.input.name }}", "no model is called db-02"],
    ["${{ data.latest('db-02', 'result') }}", "no model is called db-02"],
    ["${{ data.findBySpec('db-01', 'results') }}", "command/shell declares no output results"],
    ["${{ model.db-01.resource.log.log }}", "command/shell declares no resource log"],
    ["${{ model.db-01.file.logs.log }}", "command/shell declares no file logs"],
    ["${{ file.contents('db-01', 'logs') }}", "command/shell declares no output logs"],
    ["${{ self.host }}", "self has no host"],
    ["${{ self.globalArguments.hots }}", "there is no global argument hots"],
    ["${{ inputs.pkg + }}", "Unexpected token"],
    ["${{ 'port ' + 80 }}", "+ doesn't work on string and int"],
    ["${{ today() }}", "there is no today()"],
  ])("finds %s without running anything", async (expression, problem) => {
    const id = repo.model("checked", `echo ok\necho ${expression}`, { globalArguments: { host: "h" } });
    const document = await documentOf(repo, "model validate checked", { exitCode: 1 });
    const failed = document.validations.find((one: { passed: boolean }) => !one.passed);
    expect(failed).toMatchObject({ name: "Method execute", error: expect.stringContaining(problem) });
    expect(failed.error).toContain(`${id}.yaml:1 (methods.execute.arguments.run): `);
    rmSync(join(repo.path, `models/command/shell/${id}.yaml`));
  });

  test("tells misspelt keys of a method's arguments and of the inputs, with their lines and what was probably meant", async () => {
    const file = "models/command/shell/11111111-0000-4000-a000-00000000000f.yaml";
    repo.write(
      file,
      `id: 11111111-0000-4000-a000-00000000000f
name: misspelt
type: command/shell
version: 1
inputs:
  properties:
    pkg: { type: string, defalt: curl }
methods:
  execute:
    arguments:
      run: echo
      timout: 5
`,
    );
    const { validations } = await documentOf(repo, "model validate misspelt", { exitCode: 1 });
    const failed = validations.filter((one: { passed: boolean }) => !one.passed);
    expect(failed).toMatchObject([
      {
        name: "Definition",
        error: expect.stringMatching(/f\.yaml:7:\d+: .*unknown key defalt \(Did you mean default\?\)/),
      },
      {
        name: "Method execute",
        error: expect.stringMatching(/f\.yaml:12:7: unknown argument timout \(Did you mean timeout\?\)/),
      },
    ]);
    rmSync(join(repo.path, file));
  });

  test("tells arguments whose values don't fit, with their lines; what an expression gives isn't known, what is missing a call may give", async () => {
    const file = "models/command/shell/f.yaml";
    const definition = (args: string) =>
      `id: 11111111-0000-4000-a000-00000000000f
name: unfit
type: command/shell
version: 1
methods:
  execute:
    arguments:
${args.replaceAll(/^/gm, "      ")}
`;
    const validate = async (args: string, exitCode: number) => {
      repo.write(file, definition(args));
      const { validations } = await documentOf(repo, "model validate unfit", { exitCode });
      return validations.find(({ name }: { name: string }) => name === "Method execute").error;
    };
    const error = await validate("run: ''\ntimeout: soon\nenv: { A: 1, B: b }\nignoreExitCode: 0", 1);
    expect(error.split("\n").slice(0, 4)).toEqual([
      expect.stringMatching(/f\.yaml:8:\d+: run: must not be empty/),
      expect.stringMatching(/f\.yaml:9:\d+: timeout: must be a whole number/),
      expect.stringMatching(/f\.yaml:10:\d+: env\.A: must be of type string/),
      expect.stringMatching(/f\.yaml:11:\d+: ignoreExitCode: must be of type boolean/),
    ]);
    for (const args of [
      "timeout: '500'\nignoreExitCode: 'true'",
      "timeout: ${{ inputs.t }}\nenv: { A: '${{ 1 }}' }\nignoreExitCode: ${{ inputs.t > 1 }}",
      "env: ${{ inputs.e }}",
    ])
      expect(await validate(args, 0)).toBeUndefined();
    rmSync(join(repo.path, file));
  });

  test("lets pass what is there, or may be there when it runs", async () => {
    const fine = [
      "model.db-01.input.globalArguments.port",
      "model[inputs.x].input.name",
      "data.latest('db-01', 'whatever').attributes.x",
      "data.latest(self.name, 'result')",
      "data.findBySpec('db-01', 'log')",
      "file.contents('db-01', 'log')",
      "self.tags.site",
      "self.globalArguments.host",
      "env.NOT_SET",
      "inputs.undeclared",
      "now()",
    ];
    const id = repo.model("checked", fine.map((one) => `\${{ ${one} }}`).join(" "), { globalArguments: { host: "h" } });
    expect(await documentOf(repo, "model validate checked")).toMatchObject({ passed: true });
    rmSync(join(repo.path, `models/command/shell/${id}.yaml`));
  });
});

describe("data of other models", () => {
  let readers: string[] = [];
  const reader = (run: string): void => {
    for (const id of readers) rmSync(join(repo.path, `models/command/shell/${id}.yaml`));
    readers = [repo.model("reader", run)];
  };
  const shown = async (expression: string): Promise<string> => {
    reader(`cat <<'X'\n${expression}\nX`);
    const result = await runFen(["model", "method", "run", "reader", "execute", "--json"], { cwd: repo.path, env });
    expect(result.exitCode, result.stderr).toBe(0);
    return result.json().data.attributes.stdout;
  };

  test("is what was committed last", async () => {
    await documentOf(repo, "model method run db-01 execute");
    await documentOf(repo, "model method run db-01 execute");
    expect(await shown("${{ data.latest('db-01', 'result').attributes.stdout }}")).toBe("5432");
    expect(
      await shown("${{ data.latest('db-01', 'result').version }} of ${{ data.listVersions('db-01', 'result') }}"),
    ).toBe("2 of [1,2]");
    expect(await shown("${{ data.version('db-01', 'result', 1).attributes.exitCode }}")).toBe("0");
    expect(await shown("${{ data.version('db-01', 'result', 7) == null }}")).toBe("true");
    expect(await shown("${{ data.latest('db-01', 'nothing').?attributes.orValue('none') }}")).toBe("none");
    expect(await shown("${{ data.findBySpec('db-01', 'result').map(r, r.tags.modelName).join() }}")).toBe("db-01");
    expect(await shown("${{ data.findByTag('specName', 'log').map(r, r.tags.modelName).join(' ') }}")).toBe(
      "db-01 reader",
    );
    expect(await shown("${{ file.contents('db-01', 'log') }}")).toContain("5432");
  });

  test("deprecated forms give the same, with a warning", async () => {
    reader("echo ${{ model.db-01.resource.result.result.attributes.stdout }} ${{ model.db-01.file.log.log.size > 0 }}");
    const result = await runFen(["model", "method", "run", "reader", "execute", "--json"], { cwd: repo.path });
    expect(result.json().data.attributes.stdout).toBe("5432 true");
    expect(eventsIn(result.stderr).filter(({ event }) => event === "warning")).toHaveLength(2);
    expect(result.stderr).toContain('Use data.latest(\\"db-01\\", \\"result\\") instead.');
  });

  test("is found under its old name, and isn't once it was deleted", async () => {
    await documentOf(repo, "data rename db-01 result measured");
    expect(await shown("${{ data.latest('db-01', 'result').name }}")).toBe("measured");
    expect(await shown("${{ data.findBySpec('db-01', 'result').map(r, r.name).join() }}")).toBe("measured");
    await documentOf(repo, "data delete db-01 measured --force");
    expect(await shown("${{ data.latest('db-01', 'measured') == null }}")).toBe("true");
  });

  test("of a model that was made anew is found by its tag", async () => {
    await documentOf(repo, "model method run db-01 execute");
    const { path } = await documentOf(repo, "model get db-01");
    const anew = join(dirname(path), "anew.yaml");
    writeFileSync(anew, readFileSync(path, "utf8").replace(/^id: .*/m, "id: d0000000-0000-4000-a000-00000000000d"));
    renameSync(path, `${path}.away`);
    expect(await shown("${{ data.latest('db-01', 'result').attributes.stdout }}")).toBe("5432");
    expect(await shown("${{ data.latest('plain', 'result') == null }}")).toBe("true");
    rmSync(anew);
    renameSync(`${path}.away`, path);
  });
});
