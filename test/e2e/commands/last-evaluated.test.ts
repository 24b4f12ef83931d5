/** `--last-evaluated`: what runs is what was evaluated, whatever the files say by now. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { documentOf, errorOf } from "../../support/documents.ts";
import { after, nested, step, type WorkflowRepo, workflowId, workflowRepo } from "../../support/workflow-repo.ts";

let repo: WorkflowRepo;
beforeEach(async () => {
  repo = await workflowRepo();
});
afterEach(() => repo.remove());

const env = { WHO: "ann" };
const greeter = (greeting: string, more = "") =>
  repo.model("greeter", `echo ${greeting} \${{ inputs.whom }} from \${{ env.WHO }}${more}`, {
    inputs: { properties: { whom: { type: "string" } } },
  });
/** The file says something else now. */
const change = (id: string, from: string, to: string): void => {
  const path = `models/command/shell/${id}.yaml`;
  repo.write(path, repo.read(path).replace(from, to));
};

describe("model method run", () => {
  test("runs the definition as it was evaluated; what was left open is resolved now", async () => {
    const id = greeter("hello");
    await documentOf(repo, "model evaluate greeter");
    change(id, "hello", "goodbye");
    for (const flag of ["--last-evaluated", ""])
      await documentOf(repo, `model method run greeter execute --input whom=bob ${flag}`, { env });
    expect(repo.printed("greeter")).toEqual(["hello bob from ann", "goodbye bob from ann"]);
  });

  test("refuses a model that was never evaluated, and one that is gone since", async () => {
    const id = greeter("hello");
    expect(await errorOf(repo, "model method run greeter execute --last-evaluated")).toMatchObject({
      ...{ code: "evaluation_missing", model: "greeter", hint: expect.stringContaining("fen model evaluate greeter") },
    });
    await documentOf(repo, "model evaluate greeter");
    change(id, '"name":"greeter"', '"name":"other"');
    expect(await errorOf(repo, "model method run greeter execute --last-evaluated")).toMatchObject({
      code: "model_missing",
    });
    expect(repo.contents("greeter")).toEqual([]);
  });

  test("has the inputs of the evaluation in texts that were left open, unless it is given others", async () => {
    repo.model("mixed", "echo ${{ env.WHO }}-${{ inputs.suffix }}-${{ inputs.list[0] }}", {
      inputs: {
        properties: { suffix: { type: "string", default: "dflt" }, list: { type: "array" } },
        required: ["list"],
      },
    });
    await documentOf(repo, `model evaluate mixed --input '{"suffix":"abc","list":["x"]}'`, { env });
    for (const more of ["", "--input suffix=new"])
      await documentOf(repo, `model method run mixed execute --last-evaluated ${more}`, { env });
    expect(repo.printed("mixed")).toEqual(["ann-abc-x", "ann-new-x"]);
  });

  test("prints what data and inputs said, and doesn't evaluate it", async () => {
    const said = "${{ env.WHO }}";
    repo.model("src", "printf %s '$'; printf %s '{{ env.WHO }}'");
    await documentOf(repo, "model method run src execute");
    const run = 'printf "%s %s" "$A" "$B"';
    const variables = { A: "${{ data.latest('src', 'result').attributes.stdout }}", B: "<${{ inputs.msg }}>" };
    repo.model("says", run, {
      inputs: { properties: { msg: { type: "string" } } },
      methods: { execute: { arguments: { run, env: variables } } },
    });
    await documentOf(repo, `model evaluate says --input '{"msg":"${said}"}'`, { env });
    await documentOf(repo, "model method run says execute --last-evaluated", { env });
    expect(repo.printed("says")).toEqual([`${said} <${said}>`]);
  });
});

describe("workflow run", () => {
  const fan = (whom: string) => [
    step("greet", "greeter", {
      forEach: { item: "w", in: "${{ inputs.all }}" },
      inputs: { whom: `${whom}\${{ self.w }}` },
    }),
  ];
  const inputs = { properties: { all: { type: "array" } }, required: ["all"] };
  let id: string;
  beforeEach(async () => {
    id = greeter("hello");
    repo.workflow("all", fan("dear-"), { inputs });
    await documentOf(repo, `workflow evaluate all --input '{"all":["bob","eve"]}'`, { env });
    const path = `workflows/workflow-${workflowId(1)}.yaml`;
    repo.write(path, repo.read(path).replace("dear-", "mere-"));
  });

  test("runs the steps, inputs and definitions of the evaluation; no input is asked for", async () => {
    await documentOf(repo, "model evaluate greeter");
    change(id, "hello", "goodbye");
    expect(await documentOf(repo, "workflow run all --last-evaluated --dry-run", { env })).toMatchObject({
      jobs: [{ steps: [{ name: "greet-bob", calls: [{ inputs: { whom: "dear-bob" } }] }, { name: "greet-eve" }] }],
    });
    expect(await documentOf(repo, "workflow run all --last-evaluated", { env })).toMatchObject({ status: "succeeded" });
    expect(repo.printed("greeter").sort()).toEqual(["hello dear-bob from ann", "hello dear-eve from ann"]);
    await repo.expectNothingLeft();
  });

  test("has the inputs of the evaluation in texts that were left open, declared or not", async () => {
    await documentOf(repo, "model evaluate greeter");
    const whom = "${{ env.WHO }}-${{ inputs.suffix }}-${{ inputs.other }}-${{ inputs.third }}";
    const properties = { suffix: { type: "string", default: "dflt" }, third: { type: "string", default: "3" } };
    repo.workflow("mixed", [step("greet", "greeter", { inputs: { whom } })], { inputs: { properties } });
    await documentOf(repo, "workflow evaluate mixed --input suffix=abc --input other=o", { env });
    await documentOf(repo, "workflow run mixed --last-evaluated", { env });
    expect(repo.printed("greeter")).toEqual(["hello ann-abc-o-3 from ann"]);
  });

  test("a fan-out that uses its element beside the environment stays one, over the elements of the evaluation", async () => {
    await documentOf(repo, "model evaluate greeter");
    const more = { forEach: { item: "w", in: "${{ inputs.all }}" }, inputs: { whom: "${{ env.WHO }}-${{ self.w }}" } };
    repo.workflow("mixed", [step("greet", "greeter", more)], { inputs });
    expect(await documentOf(repo, `workflow evaluate mixed --input '{"all":["a","b"]}'`, { env })).toMatchObject({
      ...{ forEachExpanded: false, jobs: [{ steps: ["greet"] }] },
    });
    await documentOf(repo, "workflow run mixed --last-evaluated", { env });
    expect(repo.printed("greeter").sort()).toEqual(["hello ann-a from ann", "hello ann-b from ann"]);
  });

  test.each([
    ["an expression that isn't closed", "s-${{ self.w }}", ["a ${{ x"], ["s-a ${{ x"]],
    ["an expression", "s-${{ self.w }}", ["a ${{ env.WHO }}"], ["s-a ${{ env.WHO }}"]],
    ["nothing", "${{ self.w }}", [""], ["step-0"]],
    ["the name of another step", "s-${{ self.w }}", ["a", "b"], ["s-a-2", "s-b"]],
  ])("runs the steps of a fan-out whose element is %s", async (_, name, all, names) => {
    await documentOf(repo, "model evaluate greeter");
    const other = step("s-a", "greeter", { inputs: { whom: "me" } });
    const last = step("z", "greeter", { inputs: { whom: "you" }, ...after(name, "succeeded") });
    const fan = step(name, "greeter", { forEach: { item: "w", in: "${{ inputs.all }}" }, inputs: { whom: "all" } });
    repo.workflow("named", [other, fan, last], { inputs });
    await documentOf(repo, `workflow evaluate named --input '${JSON.stringify({ all })}'`, { env });
    const { jobs } = await documentOf(repo, "workflow run named --last-evaluated", { env });
    expect(jobs[0].steps.map((one: { name: string }) => one.name)).toEqual(["s-a", ...names, "z"]);
    expect(jobs[0].steps.every((one: { status: string }) => one.status === "succeeded")).toBe(true);
  });

  test("passes on what an input said, and doesn't evaluate it", async () => {
    await documentOf(repo, "model evaluate greeter");
    repo.workflow("one", [step("greet", "greeter", { inputs: { whom: "'${{ inputs.whom }}'" } })]);
    await documentOf(repo, `workflow evaluate one --input '{"whom":"\${{ env.WHO }}"}'`, { env });
    await documentOf(repo, "workflow run one --last-evaluated", { env });
    expect(repo.printed("greeter")).toEqual(["hello ${{ env.WHO }} from ann"]);
  });

  test("what isn't evaluated is told before anything is locked or written: the workflow, or a model that it or a nested one calls", async () => {
    expect(await errorOf(repo, "workflow run all --last-evaluated", { env })).toMatchObject({
      ...{ code: "evaluation_missing", model: "greeter" },
    });
    repo.workflow("outer", [nested("n", "all", { inputs: { all: ["x"] } })]);
    expect(await errorOf(repo, "workflow run outer --last-evaluated", { env })).toMatchObject({
      ...{ code: "evaluation_missing", workflow: "outer" },
    });
    await documentOf(repo, "workflow evaluate outer", { env });
    expect(await errorOf(repo, "workflow run outer --last-evaluated", { env })).toMatchObject({
      ...{ code: "evaluation_missing", model: "greeter" },
    });
    expect(repo.runIds()).toEqual([]);
  });

  test("a resume goes on with what was evaluated, too", async () => {
    change(id, "from ${{ env.WHO }}", "from ann $([ -e go ] || { touch begun; sleep 60; })");
    await documentOf(repo, "model evaluate greeter");
    change(id, "hello", "goodbye");
    const run = repo.start("workflow", "run", "all", "--last-evaluated");
    await repo.appears("begun");
    run.kill("SIGINT");
    await run.done;
    repo.write("go", "");
    const [runId = ""] = repo.runIds();
    expect(await documentOf(repo, `workflow resume ${runId}`)).toMatchObject({ status: "succeeded" });
    expect(
      repo
        .printed("greeter")
        .filter((line) => line.includes("ann"))
        .sort(),
    ).toEqual(["hello dear-bob from ann", "hello dear-eve from ann"]);
  });
});
