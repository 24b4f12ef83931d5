/** `workflow evaluate`: what is written, what stays as it was, what is refused. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseYaml } from "../../../src/repo/yaml.ts";
import { documentOf, errorOf, textOf } from "../../support/documents.ts";
import { after, nested, step, type WorkflowRepo, workflowId, workflowRepo } from "../../support/workflow-repo.ts";

let repo: WorkflowRepo;
beforeEach(async () => {
  repo = await workflowRepo();
  repo.model("web-a", "true");
  repo.model("web-b", "true");
});
afterEach(() => repo.remove());

const env = { TOKEN: "s3cret" };

const evaluated = (n: number) =>
  // oxlint-disable-next-line typescript/no-explicit-any -- a test says what it expects of it
  parseYaml(repo.read(`.swamp/workflows-evaluated/workflow-${workflowId(n)}.yaml`), "evaluated") as any;

describe("one workflow", () => {
  beforeEach(() => {
    repo.workflow(
      "fleet",
      [
        step("run-${{ self.h }}", "web-${{ self.h }}", {
          forEach: { item: "h", in: "${{ inputs.hosts }}" },
          inputs: { run: "echo ${{ self.h }}", env: { TOKEN: "${{ env.TOKEN }}" } },
        }),
        step("last", "web-a", {
          ...after("run-${{ self.h }}", "succeeded"),
          inputs: { run: "${{ string(data.latest('web-b', 'result').version) }}" },
        }),
      ],
      { inputs: { properties: { hosts: { type: "array", default: ["a", "b"] } } } },
    );
  });

  test("fan-outs are plain steps then, names and inputs have their values, who waits for the fan-out waits for all of it", async () => {
    const document = await documentOf(repo, "workflow evaluate fleet", { env });
    expect(document).toMatchObject({
      name: "fleet",
      hadExpressions: true,
      forEachExpanded: true,
      jobs: [{ name: "only", steps: ["run-a", "run-b", "last"] }],
    });
    const [a, b, last] = evaluated(1).jobs[0].steps;
    expect([a.task.modelIdOrName, b.task.modelIdOrName]).toEqual(["web-a", "web-b"]);
    expect(a.task.inputs.run).toBe("echo a");
    expect(last.dependsOn.map((one: { step: string }) => one.step)).toEqual(["run-a", "run-b"]);
  });

  test("what comes from the environment or depends on data stays as it is written", async () => {
    await documentOf(repo, "workflow evaluate fleet", { env });
    const text = repo.read(`.swamp/workflows-evaluated/workflow-${workflowId(1)}.yaml`);
    expect(text).not.toContain("s3cret");
    expect(text).toContain("${{ env.TOKEN }}");
    expect(text).toContain("data.latest");
  });

  test("the evaluated file is a workflow that could be run", async () => {
    await documentOf(repo, 'workflow evaluate fleet --input hosts=["b"]', { env });
    repo.write(
      `workflows/workflow-${workflowId(1)}.yaml`,
      repo.read(`.swamp/workflows-evaluated/workflow-${workflowId(1)}.yaml`),
    );
    expect(await documentOf(repo, "workflow validate fleet")).toMatchObject({ passed: true });
  });

  test("people get the path of what was written", async () => {
    expect(await textOf(repo, "workflow evaluate fleet", { env })).toMatch(/workflows-evaluated\/workflow-.+\.yaml$/m);
  });
});

describe("what is refused", () => {
  test("nothing named, a workflow that isn't there, inputs that are missing", async () => {
    expect(await errorOf(repo, "workflow evaluate")).toMatchObject({ code: "usage", exitCode: 2 });
    expect(await errorOf(repo, "workflow evaluate nope")).toMatchObject({ code: "workflow_missing", exitCode: 1 });
    repo.workflow("needs", [step("a", "web-a")], {
      inputs: { properties: { x: { type: "string" } }, required: ["x"] },
    });
    expect(await errorOf(repo, "workflow evaluate needs")).toMatchObject({ code: "input_invalid", exitCode: 65 });
    expect(repo.has(".swamp/workflows-evaluated")).toBe(true);
    expect(repo.has(`.swamp/workflows-evaluated/workflow-${workflowId(1)}.yaml`)).toBe(false);
  });
});

test.each(["1.0 / 0.0", "0.0 / 0.0", "double('inf')"])(
  "%s, which no file can keep, is refused with its place",
  async (expression) => {
    repo.model("takes", "true", { inputs: { properties: { deep: { type: "object" } } } });
    repo.workflow("endless", [step("a", "takes", { inputs: { deep: { list: ["x", `\${{ ${expression} }}`] } } })]);
    const error = await errorOf(repo, "workflow evaluate endless");
    expect(error).toMatchObject({ code: "expression_failed", exitCode: 65 });
    expect(error.message).toMatch(/workflow-.+\.yaml:\d+ \(.+\): the input deep\.list\.1 of step a gives a number/);
    expect(repo.has(`.swamp/workflows-evaluated/workflow-${workflowId(1)}.yaml`)).toBe(false);
  },
);

describe("all workflows", () => {
  test("one that needs inputs is told, and doesn't keep the others from being evaluated", async () => {
    repo.workflow("needs", [step("a", "web-a")], {
      inputs: { properties: { x: { type: "string" } }, required: ["x"] },
    });
    repo.workflow("outer", [nested("in", "inner")]);
    repo.workflow("inner", [step("a", "web-a")]);
    const document = await documentOf(repo, "workflow evaluate --all", { exitCode: 1 });
    expect(document).toMatchObject({ total: 3, evaluated: 2 });
    expect(document.items).toContainEqual(
      expect.objectContaining({ name: "needs", error: expect.objectContaining({ code: "input_invalid" }) }),
    );
    expect(await repo.locks()).toMatchObject({ datastore: null, models: [], waiting: [] });
  });
});
