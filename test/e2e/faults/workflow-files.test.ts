/** Workflow files as bad as they come: each is told for what it is, none hides another, none is a defect of fen. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Scratch, scratchRepo } from "../../support/cli.ts";
import { documentOf, errorOf } from "../../support/documents.ts";

let repo: Scratch;
beforeEach(async () => {
  repo = await scratchRepo();
  repo.model("web-01", "true");
  repo.write("workflows/workflow-good.yaml", textOf({ name: "good" }));
});
afterEach(() => repo.remove());

function textOf({ name, more = "", inputs = "{}" }: { name: string; more?: string; inputs?: string }): string {
  const task = `{ type: model_method, modelIdOrName: web-01, methodName: execute, inputs: ${inputs} }`;
  return `id: c0000000-0000-4000-a000-000000000001\nname: ${name}\n${more}jobs: [{ name: a, steps: [{ name: s, task: ${task} }] }]\n`;
}

const namesOf = async (): Promise<string[]> =>
  (await documentOf(repo, "workflow search")).results.map((one: { name: string }) => one.name);

test.each<[string, string | Uint8Array, string, RegExp]>([
  ["an empty file", "", "workflow_invalid", /must be a map of keys/],
  ["a list", "- name: bad\n", "workflow_invalid", /must be a map of keys/],
  ["what isn't text", new Uint8Array([0x6e, 0x61, 0xff, 0xfe]), "yaml_invalid", /:1:3: the file isn't UTF-8/],
  ["a key twice", textOf({ name: "bad", more: "name: bad\n" }), "yaml_invalid", /:3:1: duplicated mapping key/],
  ["a bracket too few", "name: bad\njobs: [\n", "yaml_invalid", /bad\.yaml:3:1:/],
  ["nested without end", textOf({ name: "bad", inputs: `{ a: ${"[".repeat(9000)}` }), "yaml_invalid", /depth/i],
  ["a bomb of aliases", bomb(), "yaml_invalid", /aliases expand too far/],
  [
    "words of the language as names",
    textOf({ name: "bad", inputs: "[__proto__]" }),
    "workflow_invalid",
    /inputs must be/,
  ],
  [
    "a type that objects have",
    textOf({ name: "bad" }).replace("model_method", "toString"),
    "workflow_invalid",
    /type must be one of model_method, workflow/,
  ],
  ["a custom tag", textOf({ name: "!!js/function 'x'" }), "yaml_invalid", /unknown tag|js\/function/],
  [
    "more than a megabyte",
    textOf({ name: "bad", more: `# ${"x".repeat(1024 * 1024)}\n` }),
    "file_too_large",
    /1048576/,
  ],
])("%s", async (_what, content, code, message) => {
  writeFileSync(join(repo.path, "workflows/workflow-bad.yaml"), content);
  expect(await errorOf(repo, "workflow get bad")).toMatchObject({
    code,
    exitCode: 65,
    message: expect.stringMatching(message),
  });
  expect(await namesOf()).toEqual(["good"]);
  expect(await documentOf(repo, "workflow validate", { exitCode: 1 })).toMatchObject({
    totalPassed: 1,
    totalFailed: 1,
  });
  expect(await documentOf(repo, "workflow get good")).toMatchObject({ name: "good" });
});

function bomb(): string {
  const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
  for (let n = 1; n < 9; n++)
    lines.push(
      `a${n}: &a${n} [${Array(10)
        .fill(`*a${n - 1}`)
        .join(", ")}]`,
    );
  return `${lines.join("\n")}\n${textOf({ name: "bad" })}`;
}

test("keys that objects have anyway are keys like others", async () => {
  const inputs = "{ __proto__: { polluted: yes }, constructor: 1, toString: 2 }";
  repo.write("workflows/workflow-keys.yaml", textOf({ name: "__proto__", inputs, more: "tags: { constructor: x }\n" }));
  const document = await documentOf(repo, "workflow get __proto__");
  expect(Object.keys(document.jobs[0].steps[0].task.inputs)).toEqual(["__proto__", "constructor", "toString"]);
  expect(document.tags).toEqual({ constructor: "x" });
  expect((await documentOf(repo, "workflow validate __proto__")).passed).toBe(true);
});

test("a folder of that name and links hide nothing, and lead nowhere", async () => {
  mkdirSync(join(repo.path, "workflows/workflow-folder.yaml"));
  symlinkSync("/etc/passwd", join(repo.path, "workflows/workflow-outside.yaml"));
  symlinkSync("workflow-good.yaml", join(repo.path, "workflows/workflow-twin.yaml"));
  mkdirSync(join(repo.path, "extensions/workflows"), { recursive: true });
  symlinkSync("/etc/passwd", join(repo.path, "extensions/workflows/outside.yaml"));
  symlinkSync("nowhere", join(repo.path, "extensions/workflows/nowhere.yaml"));
  symlinkSync("loop.yaml", join(repo.path, "extensions/workflows/loop.yaml"));
  symlinkSync("..", join(repo.path, "extensions/workflows/up.yaml"));
  expect(await namesOf()).toEqual(["good"]);
  expect(await documentOf(repo, "workflow validate")).toMatchObject({ totalPassed: 1, totalFailed: 0 });
});

test("extensions that are said to be where the workflows of the repository are change nothing", async () => {
  const env = { SWAMP_WORKFLOWS_DIR: "workflows" };
  const text = readFileSync(join(repo.path, "workflows/workflow-good.yaml"), "utf8");
  expect((await documentOf(repo, "workflow search", { env })).results).toHaveLength(1);
  const input = text.replace("name: good", "name: better");
  expect(await documentOf(repo, "workflow edit good", { env, input })).toMatchObject({ status: "updated" });
  expect(await documentOf(repo, "workflow delete better", { env })).toMatchObject({ deleted: { name: "better" } });
});
