/** What `workflow run` refuses before it has locked, run or written anything. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorOf } from "../../support/documents.ts";
import { after, nested, step, type WorkflowRepo, workflowId, workflowRepo } from "../../support/workflow-repo.ts";

let repo: WorkflowRepo;
beforeAll(async () => {
  repo = await workflowRepo();
  repo.model("good", "true");
  const first = step("first", "good");
  repo.workflow("fine", [first]);
  repo.workflow("no-model", [first, step("x", "nope")]);
  repo.workflow("no-method", [
    first,
    { name: "x", task: { type: "model_method", modelIdOrName: "good", methodName: "nope" } },
  ]);
  repo.workflow("no-nested", [first, nested("x", "nope")]);
  repo.workflow("deep-model", [first, nested("x", "no-model")]);
  repo.workflow("needs", [first], { inputs: { properties: { n: { type: "number" } }, required: ["n"] } });
  const readsInput = { inputs: { properties: { limit: { type: "string", enum: ["number"] } } } };
  repo.model("reads", 'echo ${{ inputs.secs }} ${{ inputs["host-name"] }}', readsInput);
  repo.workflow("reads", [first, step("x", "reads")], {
    inputs: { properties: { n: { type: "number", default: 1 } } },
  });
  repo.workflow("unparsed", [first, step("x", "good", { inputs: { a: "${{ 1 + }}" } })]);
  repo.workflow("unresolved", [first, step("x", "good", { inputs: { a: "${{ inputs.nope.deeper }}" } })]);
  repo.workflow("deep-unresolved", [first, nested("x", "unresolved")]);
  repo.workflow("over-number", [first, step("x", "good", { forEach: { item: "i", in: "${{ 3 }}" } })]);
  repo.workflow("over-none", [step("x", "good", { forEach: { item: "i", in: "${{ [1.0, 0.0 / 0.0] }}" } })]);
  repo.workflow("from-env", [first, step("x", "${{ env.HIDDEN }}")]);
  repo.workflow("number-name", [first, step("x", "${{ 3 }}")]);
  repo.workflow("circle", [first, nested("x", "circle-2")]);
  repo.workflow("circle-2", [nested("x", "circle")]);
  repo.workflow("loop", [step("a", "good", after("b", "always")), step("b", "good", after("a", "always"))]);
  repo.workflow("drivers", [first], { driver: "docker" });
  repo.workflow("proto", [first, step("x", "good", { inputs: JSON.parse('{ "__proto__": 1 }') })]);
});
afterAll(() => repo.remove());

const files = () => readdirSync(join(repo.path, ".swamp"), { recursive: true }).map(String).sort();

describe("nothing has run, nothing is locked, nothing is written where there is", () => {
  test.each([
    ["a workflow that isn't there", "workflow run nope", "workflow_missing"],
    ["a model that isn't there", "workflow run no-model", "model_missing"],
    ["a method that isn't there", "workflow run no-method", "method_missing"],
    ["a nested workflow that isn't there", "workflow run no-nested", "workflow_missing"],
    ["a model of a nested workflow that isn't there", "workflow run deep-model", "model_missing"],
    ["an input that is missing", "workflow run needs", "input_invalid"],
    ["an input of the wrong type", "workflow run needs --input n=x", "input_invalid"],
    [
      "an input that is part of a name in a model only",
      "workflow run reads --input secs=1 --input host-name=1 --input sec=1",
      "input_invalid",
    ],
    [
      "an input that is part of another word of a model",
      "workflow run reads --input secs=1 --input host-name=1 --input num=1",
      "input_invalid",
    ],
    ["an input that no record can keep", `workflow run needs --input '{"n":1e400}'`, "input_invalid"],
    ["an expression that can't be parsed", "workflow run unparsed", "expression_invalid"],
    ["an expression in an input that can't be resolved", "workflow run unresolved", "expression_failed"],
    ["the same in a nested workflow", "workflow run deep-unresolved", "expression_failed"],
    ["a fan-out over a number", "workflow run over-number", "expression_failed"],
    ["a fan-out over a number that is none", "workflow run over-none", "expression_failed"],
    ["a name that is a number", "workflow run number-name", "expression_failed"],
    ["workflows that call each other", "workflow run circle", "workflow_invalid"],
    ["a concurrency that is no number", "workflow run fine --concurrency many", "usage"],
    ["a concurrency of nothing", "workflow run fine --concurrency 0", "usage"],
    ["steps that wait for each other", "workflow run loop", "workflow_invalid"],
    ["a driver that isn't there", "workflow run drivers", "not_yet"],
    ["an input that is called as what objects have", "workflow run proto", "arguments_invalid"],
  ])("%s", async (_, line, code) => {
    const before = files();
    expect(await errorOf(repo, line)).toMatchObject({ code, hint: expect.any(String) });
    expect(files()).toEqual(before);
  });

  test.each(["secs", "host-name", "limit", "n"])(
    "an input that a model or the workflow knows is taken: %s",
    async (name) => {
      const given = ["secs", "host-name"].flatMap((one) => ["--input", `${one}=1`]);
      const value = name === "limit" ? "number" : "1";
      const { exitCode, stderr } = await repo.fen(
        "workflow",
        "run",
        "reads",
        "--dry-run",
        ...given,
        "--input",
        `${name}=${value}`,
      );
      expect([exitCode, stderr]).toEqual([0, ""]);
    },
  );

  test("an input that is nested beyond all measure", async () => {
    const deep = `${"[".repeat(60_000)}${"]".repeat(60_000)}`;
    expect(await errorOf(repo, `workflow run fine --input '{"a":${deep}}'`)).toMatchObject({
      ...{ code: "input_invalid", message: "--input starts with { but is nested too deeply." },
    });
  });

  test("a run whose files can't be made leaves none", async () => {
    const folder = `.swamp/workflow-runs/${workflowId(1)}`;
    repo.write(folder, "a file");
    expect(await errorOf(repo, "workflow run fine")).toMatchObject({ code: "store_unavailable" });
    expect(files().filter((path) => /\.(owner|cancel|journal|log)$/.test(path))).toEqual([]);
    rmSync(join(repo.path, folder));
  });

  test("a name of nothing is told with its line, and not shown where it comes from the environment", async () => {
    expect((await errorOf(repo, "workflow run no-model")).message).toMatch(
      /\.yaml:\d+ \(jobs\.0\.steps\.1\.task\.modelIdOrName\): No model is called nope\.$/,
    );
    expect((await errorOf(repo, "workflow run over-number")).message).toMatch(
      /\.yaml:\d+ \(jobs.*forEach\.in\): forEach of/,
    );
    const error = await errorOf(repo, "workflow run from-env", { env: { HIDDEN: "hunter2hunter2" } });
    expect(error).toMatchObject({ code: "model_missing", message: expect.stringContaining("${{ env.HIDDEN }}") });
    expect(JSON.stringify(error)).not.toContain("hunter2");
  });

  test("a concurrency in the environment that is no number", async () => {
    const before = files();
    const env = { SWAMP_MAX_CONCURRENT_STEPS: "lots" };
    expect(await errorOf(repo, "workflow run fine", { env })).toMatchObject({ code: "usage" });
    expect(files()).toEqual(before);
  });
});
