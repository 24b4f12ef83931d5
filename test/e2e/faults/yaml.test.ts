/** Definitions that are broken, hostile or odd: refused with the place, or read as they are meant. */
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { program, runFen, type Scratch, scratchRepo } from "../../support/cli.ts";
import { execute, expectRefusal, tree } from "./attack.ts";

const id = "a0000000-0000-4000-a000-000000000001";
const file = "models/command/shell/bad.yaml";
const sound = `type: command/shell
id: ${id}
name: bad
version: 1
tags: {}
globalArguments: {}
methods:
  execute:
    arguments:
      run: echo fine
`;

let repo: Scratch;
beforeAll(async () => {
  repo = await scratchRepo();
});
afterAll(() => repo.remove());

const bytes = (text: string | Uint8Array): void => {
  mkdirSync(join(repo.path, "models/command/shell"), { recursive: true });
  writeFileSync(join(repo.path, file), text);
};
const nested = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`;
const bomb = Array.from({ length: 12 }, (_, level) =>
  level === 0
    ? "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]"
    : `a${level}: &a${level} [${Array.from({ length: 9 }, () => `*a${level - 1}`).join(",")}]`,
).join("\n");

describe("a file that isn't well-formed", () => {
  test.each([
    ["a bracket that is never closed", `${sound}inputs: [a, b\n`, /bad\.yaml:\d+:\d+: /],
    ["a tab as indent", sound.replace("    arguments:", "\targuments:"), /bad\.yaml:9:\d+: /],
    ["a duplicate key", `${sound}name: bad\n`, /bad\.yaml:11:\d+: .*duplicate/i],
    ["a tag that would run code", `${sound}inputs: !!js/function "function () {}"\n`, /bad\.yaml:11:\d+: .*tag/i],
    ["a tag of its own", `${sound}inputs: !foo bar\n`, /bad\.yaml:11:\d+: .*tag/i],
    ["an alias without its anchor", `${sound}inputs: *nobody\n`, /bad\.yaml:11:\d+: .*alias/i],
    ["aliases that expand to billions", `${sound}globalArguments2:\n  ${bomb.replaceAll("\n", "\n  ")}\n`, /bad\.yaml/],
    ["an alias of itself", `${sound}inputs: &me [*me]\n`, /bad\.yaml/],
    ["nesting 100,000 deep", `${sound}inputs: ${nested(100_000)}\n`, /bad\.yaml/],
    ["two documents", `${sound}---\n${sound}`, /bad\.yaml/],
    ["binary junk", Buffer.concat([Buffer.from("name: bad\n"), Buffer.from([0, 1, 2, 255, 254, 0])]), /bad\.yaml/],
    ["bytes that aren't UTF-8", Buffer.from(`${sound}more: {a: "\xE9"}\n`, "latin1"), /bad\.yaml:11:12: .*UTF-8/],
    ["UTF-16", Buffer.from(`\uFEFF${sound}`, "utf16le"), /bad\.yaml/],
  ])("%s is refused with its place, and the run never starts", async (_, text, message) => {
    bytes(text);
    expect(expectRefusal(await repo.fen(...execute("bad"), "--json"), "yaml_invalid", 65).message).toMatch(message);
    expect(tree(join(repo.path, ".swamp/outputs"))).toEqual([]);
  });
});

describe("a file that breaks a rule", () => {
  const without = (key: string): string => sound.replace(new RegExp(`^${key}:.*\\n`, "m"), "");
  test.each([
    ["no id", without("id"), "id", /id is missing/],
    ["no version", without("version"), "version", /version is missing/],
    ["an id that isn't one", sound.replace(id, "42"), "id", /bad\.yaml:2:1: id must be a UUID/],
    ["an id that leads out", sound.replace(id, "../../../../tmp"), "id", /id must be a UUID/],
    [
      "a version in quotes",
      sound.replace("version: 1", 'version: "1"'),
      "version",
      /:4:1: version must be a whole number/,
    ],
    ["version 0", sound.replace("version: 1", "version: 0"), "version", /whole number from 1/],
    ["a type that leads out", sound.replace("command/shell", "../.."), "type", /type must be a name/],
    ["a type that is a list", sound.replace("command/shell", "[a]"), "type", /type must be a name/],
    [
      "a tag that is a number",
      sound.replace("tags: {}", "tags: { rack: 7 }"),
      "tags.rack",
      /:5:9: tag rack must be text/,
    ],
    ["tags in a list", sound.replace("tags: {}", "tags: [a]"), "tags", /tags must be a map/],
    [
      "global arguments in a text",
      sound.replace("globalArguments: {}", "globalArguments: x"),
      "globalArguments",
      /must be a map/,
    ],
    ["inputs in a list", `${sound}inputs: [a]\n`, "inputs", /:11:1: inputs must be a map/],
    [
      "methods in a text",
      `${without("methods").replace(/^ .*\n/gm, "")}methods: execute\n`,
      "methods",
      /must be a map/,
    ],
    [
      "a method in a list",
      sound.replace("execute:", "execute: [a] #").replace(/^ {4,}.*\n/gm, ""),
      "methods.execute",
      /must be a map/,
    ],
    [
      "arguments in a text",
      sound.replace(/arguments:\n.*\n/, "arguments: run\n"),
      "methods.execute.arguments",
      /:9:5: .*must be a map/,
    ],
  ])("%s is named with its place, and the run never starts", async (_, text, key, message) => {
    bytes(text);
    const error = expectRefusal(await repo.fen(...execute("bad"), "--json"), "definition_invalid", 65);
    expect(error.message).toMatch(message);
    expect(error.problems).toContainEqual(expect.objectContaining({ key }));
  });

  test.each([
    ["a name that leads out", sound.replace("name: bad", "name: ../bad"), /name must be text/],
    ["a name with a NUL", sound.replace("name: bad", 'name: "b\\0d"'), /name must be text/],
    ["no name", without("name"), /name is missing/],
    ["a name that is a number", sound.replace("name: bad", "name: 42"), /name must be text/],
    ["an empty file", "", /must be a map/],
    ["nothing but a comment", "# nothing\n", /must be a map/],
    ["a list", "- a\n- b\n", /must be a map/],
    ["a text", "just words\n", /must be a map/],
  ])("%s is found by validate, by its file", async (_, text, message) => {
    bytes(text);
    const all = await repo.fen("model", "validate", "--json");
    expect(all.exitCode).toBe(1);
    const [model] = all.json().models;
    expect(model.modelName).toContain(file);
    expect(model.validations[0].error).toMatch(message);
    expect((await repo.fen("model", "search", "--json")).stderr).toContain(file);
  });

  test.each([
    ["arguments of the wrong type", "run: [a]", /run: must be of type string/],
    ["a timeout in words", "run: x\n      timeout: soon", /timeout: must be a whole number/],
    ["a timeout of nothing", "run: x\n      timeout: 0", /timeout: must be more than 0/],
    ["variables in a list", "run: x\n      env: [a]", /env: must be of type object/],
    ["a misspelt argument", "run: x\n      workingdir: /", /workingdir: no such key. Did you mean workingDir/],
    ["no command", "timeout: 1", /run: is missing/],
    ["an empty command", 'run: ""', /run: must not be empty/],
  ])("%s are refused before anything runs", async (_, args, message) => {
    bytes(sound.replace("run: echo fine", args));
    expect(expectRefusal(await repo.fen(...execute("bad"), "--json"), "arguments_invalid", 65).message).toMatch(
      message,
    );
  });

  test("a driver that this version doesn't have is refused: what is meant for a container doesn't run here", async () => {
    bytes(`${sound.replace("echo fine", "touch ran")}driver: docker\n`);
    expectRefusal(await repo.fen(...execute("bad"), "--json"), "not_yet", 2);
    expect(tree(repo.path)).not.toContain("ran");
    bytes(`${sound}driver: raw\n`);
    expect((await repo.fen(...execute("bad"))).exitCode).toBe(0);
  });
});

describe("a file that is odd but right", () => {
  test.each([
    ["a byte order mark", `\uFEFF${sound}`],
    ["line ends of Windows", sound.replaceAll("\n", "\r\n")],
    ["a number as typeVersion", `${sound}typeVersion: 2026\n`],
    ["no type, in the folder of its type", sound.replace(/^type:.*\n/, "")],
    ["no end of the last line", sound.trimEnd()],
    ["a document start and comments", `# top\n---\n# here\n${sound}`],
    [
      "JSON",
      JSON.stringify({
        type: "command/shell",
        id,
        name: "bad",
        version: 1,
        methods: { execute: { arguments: { run: "echo fine" } } },
      }),
    ],
    ["anchors", sound.replace("tags: {}", "tags: &t { a: b }").replace("globalArguments: {}", "globalArguments: *t")],
    [
      "keys that JavaScript has",
      `${sound}inputs:\n  properties:\n    __proto__: { type: string }\n    constructor: { type: string }\n`,
    ],
    ["a method that JavaScript has", sound.replace("execute:", "__proto__:\n    arguments: {}\n  execute:")],
    ["nesting 60 deep", sound.replace("globalArguments: {}", `globalArguments: { deep: ${nested(60)} }`)],
  ])("%s runs", async (_, text) => {
    bytes(text);
    const result = await repo.fen(...execute("bad"), "--json");
    expect(result.exitCode, result.stderr).toBe(0);
    expect(result.json().data.attributes.stdout).toBe("fine");
  });

  test("unknown and misspelt keys are warned of with the nearest known one, and stay when the file is edited", async () => {
    const text = `# The first line\n${sound.replace("tags: {}", "tag: {} # misspelt")}zebra: 1\n`;
    bytes(text.replace(/^id:.*\n/m, `id: ${id}\n`));
    const run = await repo.fen(...execute("bad"));
    expect(run.exitCode).toBe(0);
    expect(run.stderr).toMatch(/bad\.yaml:6: unknown key tag\. Did you mean tags\?/);
    expect(run.stderr).toMatch(/unknown key zebra/);
    const edited = await runFen(["model", "edit", "bad", "--json"], {
      cwd: repo.path,
      input: text.replace(/^id:.*\n/m, "").replace("echo fine", "echo better"),
    });
    expect(edited.json()).toMatchObject({ status: "updated" });
    const now = readFileSync(join(repo.path, file), "utf8");
    expect(now.replace(/^id:.*\n/m, "")).toBe(text.replace(/^id:.*\n/m, "").replace("echo fine", "echo better"));
  });

  test("a declaration of inputs that has no effect is warned of", async () => {
    bytes(`${sound}inputs:\n  properties:\n    n: { type: nubmer }\n    m: text\n  required: n\n`);
    const { stderr } = await repo.fen("model", "get", "bad");
    expect(stderr).toMatch(/:13: input n has an unknown type nubmer\. Did you mean number\?/);
    expect(stderr).toMatch(/:14: input m must be a map/);
    expect(stderr).toMatch(/:15: required must be a list/);
  });
});

describe("an edit", () => {
  const edit = (input: string) => runFen(["model", "edit", "bad", "--json"], { cwd: repo.path, input });
  test.each([
    ["broken YAML", "a: [", "yaml_invalid", 65],
    ["broken YAML without an id", sound.replace(/^id:.*\n/m, "x: [\n"), "yaml_invalid", 65],
    ["a text", "hello", "definition_invalid", 65],
    ["nothing", "\n", "definition_invalid", 65],
    ["another id", sound.replace(id, id.replace("a0", "b0")), "definition_invalid", 65],
    ["another type", sound.replace("type: command/shell", "type: acme/disk"), "definition_invalid", 65],
    ["2 MB", `${sound}# ${"x".repeat(2_000_000)}\n`, "file_too_large", 65],
  ])("to %s is refused and changes nothing", async (_, input, code, exitCode) => {
    bytes(sound);
    expectRefusal(await edit(input), code, exitCode);
    expect(readFileSync(join(repo.path, file), "utf8")).toBe(sound);
  });
});

describe("files of many kinds", () => {
  test("100 MB are refused at once and in little memory", async () => {
    bytes(sound + `# ${"x".repeat(1024)}\n`.repeat(100 * 1024));
    const start = Date.now();
    const result = await runFen(["model", "get", "bad", "--json"], {
      cwd: repo.path,
      as: ["/bin/sh", "-c", `ulimit -v 4000000; exec "$@"`, "sh", process.execPath, "--max-old-space-size=40", program],
    });
    expectRefusal(result, "file_too_large", 65);
    expect(Date.now() - start).toBeLessThan(3000);
  });

  test("an input that never ends is refused at once and in little memory", async () => {
    bytes(sound);
    const start = Date.now();
    for (const flags of [
      ["--input-file", "/dev/zero"],
      ["--input", "a=@/dev/zero"],
    ])
      expectRefusal(await repo.fen(...execute("bad"), ...flags, "--json"), "file_too_large", 65);
    expect(Date.now() - start).toBeLessThan(5000);
  });

  test("two files with one name are ambiguous, and both are named", async () => {
    bytes(sound);
    repo.write("models/other/twin.yaml", sound.replace(id, id.replace("a0", "b0")));
    const error = expectRefusal(await repo.fen(...execute("bad"), "--json"), "model_ambiguous", 65);
    expect(error.files).toHaveLength(2);
    const byId = await repo.fen(...execute(id), "--json");
    expect(byId.exitCode, byId.stderr).toBe(0);
    rmSync(join(repo.path, "models/other"), { recursive: true });
  });

  test("a folder called x.yaml, a link to nowhere, to itself and to the outside hide nothing", async () => {
    bytes(sound);
    mkdirSync(join(repo.path, "models/x.yaml"));
    repo.write(
      "models/x.yaml/inner.yaml",
      sound.replace(id, id.replace("a0", "c0")).replace("name: bad", "name: inner"),
    );
    const outside = join(repo.path, "../outside.yaml");
    writeFileSync(outside, sound.replace("name: bad", "name: outside"));
    for (const [name, target] of [
      ["gone", "/nowhere"],
      ["self", "self.yaml"],
      ["out", outside],
      ["dir", "/"],
    ] as const)
      symlinkSync(target, join(repo.path, `models/${name}.yaml`));
    const names = (await repo.fen("model", "search", "--json")).json().results.map((one: { name: string }) => one.name);
    expect(names).toEqual(["bad", "inner"]);
    expectRefusal(await repo.fen("model", "get", "outside", "--json"), "model_missing", 1);
    for (const name of ["gone", "self", "out", "dir"]) rmSync(join(repo.path, `models/${name}.yaml`));
    rmSync(outside);
  });

  test("a link inside of the repository is one model, and an edit leaves it a link", async () => {
    bytes(sound);
    repo.write("shared/linked.yaml", sound.replace(id, id.replace("a0", "d0")).replace("name: bad", "name: linked"));
    symlinkSync("../../../shared/linked.yaml", join(repo.path, "models/command/shell/linked.yaml"));
    symlinkSync("bad.yaml", join(repo.path, "models/command/shell/again.yaml"));
    expect((await repo.fen(...execute("bad"))).exitCode).toBe(0);
    const edited = await runFen(["model", "edit", "linked"], {
      cwd: repo.path,
      input: readFileSync(join(repo.path, "shared/linked.yaml"), "utf8").replace("echo fine", "echo through"),
    });
    expect(edited.exitCode, edited.stderr).toBe(0);
    expect(readFileSync(join(repo.path, "shared/linked.yaml"), "utf8")).toContain("echo through");
    rmSync(join(repo.path, "models/command/shell/again.yaml"));
  });

  test("a file that may not be read hides no other model, and is named when it is asked for", async () => {
    bytes(sound);
    repo.write("models/secret.yaml", sound.replace(id, id.replace("a0", "e0")).replace("name: bad", "name: secret"));
    chmodSync(join(repo.path, "models/secret.yaml"), 0);
    chmodSync(repo.path, 0o755);
    const asNobody = (...args: string[]) =>
      runFen(args, { cwd: repo.path, as: ["setpriv", "--reuid=65534", "--clear-groups", process.execPath, program] });
    const other = await asNobody("model", "get", "bad", "--json");
    expect(other.exitCode, other.stderr).toBe(0);
    expectRefusal(await asNobody("model", "get", "secret", "--json"), "not_writable", 69);
    const search = await asNobody("model", "search", "--json");
    expect(search.exitCode).toBe(0);
    expect(search.stderr).toContain("secret.yaml");
    rmSync(join(repo.path, "models/secret.yaml"));
  });
});

describe("the marker of the repository", () => {
  test.each([
    ["broken YAML", "a: ["],
    ["a list", "- a\n"],
    ["a datastore of an unknown kind", "datastore: { type: ftp, path: x }\n"],
    ["a datastore in a text", "datastore: here\n"],
    ["2 MB", `# ${"x".repeat(2_000_000)}\n`],
  ])("%s is refused", async (_, text) => {
    const before = readFileSync(join(repo.path, ".swamp.yaml"), "utf8");
    repo.write(".swamp.yaml", text);
    const result = await repo.fen("model", "search", "--json");
    repo.write(".swamp.yaml", before);
    expectRefusal(result, ["repository_invalid", "file_too_large"], result.exitCode === 65 ? 65 : 78);
  });

  test("init completes an empty one and keeps comments", async () => {
    const before = readFileSync(join(repo.path, ".swamp.yaml"), "utf8");
    for (const text of ["", "# ours\n", "# ours\nlogLevel: info # quiet\n"]) {
      repo.write(".swamp.yaml", text);
      expect((await repo.fen("init", "--json")).exitCode).toBe(0);
      expect(readFileSync(join(repo.path, ".swamp.yaml"), "utf8")).toContain(text.trimEnd());
    }
    repo.write(".swamp.yaml", before);
  });
});
