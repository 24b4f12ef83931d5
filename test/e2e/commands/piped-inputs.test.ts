/** `--input-file -`: inputs from standard input, for every command that takes inputs. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { documentOf, errorOf, onTerminal, textOf } from "../../support/documents.ts";
import { step, type WorkflowRepo, workflowRepo } from "../../support/workflow-repo.ts";

let repo: WorkflowRepo;
beforeAll(async () => {
  repo = await workflowRepo();
  const inputs = { properties: { pkg: { type: "string" }, times: { type: "integer", default: 1 } }, required: ["pkg"] };
  repo.model("say", "echo ${{ inputs.pkg }} ${{ string(inputs.times) }}", { inputs });
  const given = { pkg: "${{ inputs.pkg }}", times: "${{ inputs.times }}" };
  repo.workflow("all", [step("one", "say", { inputs: given })], { inputs });
});
afterAll(() => repo.remove());

test("a method takes them, as YAML and as JSON; a pair goes over them", async () => {
  const line = "model method run say execute --input-file -";
  expect(await textOf(repo, line, { input: "pkg: git\ntimes: 2\n" })).toBe("git 2");
  expect(await textOf(repo, `${line} --input times=3`, { input: '{"pkg":"curl","times":2}' })).toBe("curl 3");
});

test("so do a workflow, what it would do, and what evaluates", async () => {
  const input = "pkg: git\ntimes: 4\n";
  await documentOf(repo, "workflow run all --input-file -", { input });
  expect(repo.printed("say").at(-1)).toContain("git 4");
  expect(await documentOf(repo, "workflow run all --dry-run --input-file -", { input })).toMatchObject({
    inputs: { pkg: "git", times: 4 },
  });
  const { outputPath } = await documentOf(repo, "workflow evaluate all --input-file=-", { input });
  expect(repo.read(outputPath.slice(repo.path.length))).toContain("pkg: git");
  await documentOf(repo, "model evaluate say --input-file -", { input });
});

test.each([
  ["nothing that is required", "", "input_invalid", "pkg: is required"],
  ["no map", "- git\n", "input_invalid", "The input file must hold a map: standard input"],
  ["no YAML", "pkg: [\n", "yaml_invalid", "standard input:"],
  ["too much", " ".repeat(16 * 1024 * 1024 + 1), "file_too_large", "Standard input is larger than 16777216 bytes."],
])("%s is refused", async (_, input, code, message) => {
  const error = await errorOf(repo, "model method run say execute --input-file -", { input });
  expect(error).toMatchObject({ code, message: expect.stringContaining(message) });
});

test("a terminal isn't waited for", () => {
  expect(onTerminal(repo, "workflow run all --input-file -")).toContain(
    "error: --input-file - reads standard input, and nothing is piped in.\nPipe the inputs in: --input-file - < inputs.yaml",
  );
});
