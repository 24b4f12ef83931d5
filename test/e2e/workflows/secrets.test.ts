/** A value of the environment that a workflow hands to another one, or fans out over, stays out of everything that fen shows and writes. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Result, runFen } from "../../support/cli.ts";
import { nested, step, type WorkflowRepo, workflowRepo } from "../../support/workflow-repo.ts";
import { filesHolding } from "../faults/attack.ts";

const secret = "hunter2secret";
const env = { SECRET_TOKEN: secret, SECRET_LIST: `${secret}-a,${secret}-b` };
const token = { token: "${{ env.SECRET_TOKEN }}" };
const takesToken = { inputs: { properties: { token: { type: "string" } } } };

let repo: WorkflowRepo;
beforeAll(async () => {
  repo = await workflowRepo();
  repo.model("ok", "echo ok");
  repo.model("takes", "echo \"${{ inputs.run == '' ? 'none' : 'given' }}\"", {
    inputs: { properties: { run: { type: "string" } } },
  });
  repo.model("length", "x='${{ inputs.token }}'; echo ${#x}", takesToken);
  repo.model("counts", "echo ${{ int(inputs.token) }}", takesToken);
});
afterAll(() => repo.remove());

const fen = (...args: string[]): Promise<Result> => runFen(args, { cwd: repo.path, env });

/** In nothing that was shown, in no journal, log, record, data or lock. */
function expectNoSecret(...shown: readonly Result[]): void {
  for (const { stdout, stderr } of shown) expect(stdout + stderr).not.toContain(secret);
  expect(filesHolding(join(repo.path, ".swamp"), secret)).toEqual([]);
}

async function expectFailure(workflow: string, said: string): Promise<void> {
  const results = [
    await fen("workflow", "run", workflow),
    await fen("workflow", "run", workflow, "--json"),
    await fen("workflow", "run", workflow, "--dry-run"),
  ];
  for (const result of results.slice(0, 2)) {
    expect(result.exitCode, result.stderr).not.toBe(0);
    expect(result.stdout + result.stderr).toContain(said);
  }
  expectNoSecret(...results);
}

describe("a value of the environment that a nested workflow is given", () => {
  test.each(["--dry-run", "--explain"])("reaches its models, and %s shows it as it is written", async (flag) => {
    repo.workflow(`deep ${flag}`, [step("deep", "length", { inputs: { token: "${{ inputs.token }}" } })], takesToken);
    repo.workflow(
      `child ${flag}`,
      [
        step("s", "takes", { inputs: { run: "echo ${{ inputs.token }}" } }),
        nested("on", `deep ${flag}`, { inputs: { token: "${{ inputs.token }}" } }),
      ],
      takesToken,
    );
    repo.workflow(`outer ${flag}`, [nested("call", `child ${flag}`, { inputs: token })]);
    const text = await fen("workflow", "run", `outer ${flag}`, flag);
    const json = await fen("workflow", "run", `outer ${flag}`, flag, "--json");
    expect(text.exitCode, text.stderr).toBe(0);
    if (flag === "--dry-run")
      for (const { stdout } of [text, json]) expect(stdout).toContain("echo ${{ inputs.token }}");
    expectNoSecret(text, json);
    const run = await fen("workflow", "run", `outer ${flag}`);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(repo.printed("length").at(-1)).toBe(String(secret.length));
    expectNoSecret(run);
  });

  test("isn't told by an expression of it that fails before the run", async () => {
    repo.workflow("fails", [step("s", "takes", { inputs: { run: "${{ int(inputs.token) }}" } })], takesToken);
    repo.workflow("calls fails", [nested("call", "fails", { inputs: token })]);
    await expectFailure("calls fails", "inputs.token is text");
  });

  test("isn't told by an expression of a model that is called with it", async () => {
    repo.workflow("hands", [step("s", "counts", { inputs: { token: "${{ inputs.token }}" } })], takesToken);
    repo.workflow("calls hands", [nested("call", "hands", { inputs: token })]);
    await expectFailure("calls hands", "inputs.token is text");
  });

  test("isn't told by an expression of it that fails once it is known which workflow is called: not in log or journal either", async () => {
    repo.workflow("late", [step("s", "takes", { inputs: { run: "${{ int(inputs.token) }}" } })], takesToken);
    repo.model("namer", "echo late");
    const name = "${{ data.latest('namer', 'result').attributes.stdout.trim() }}";
    repo.workflow("calls late", [
      step("name", "namer"),
      nested("call", name, { inputs: token, dependsOn: [{ step: "name", condition: { type: "succeeded" } }] }),
    ]);
    await expectFailure("calls late", "inputs.token is text");
    const last = repo.runIds().map((id) => JSON.stringify(repo.journal(id)) + repo.log(id));
    expect(last.filter((one) => one.includes("inputs.token is text"))).not.toEqual([]);
  });

  test("names no step that is fanned out over it", async () => {
    const fan = { forEach: { item: "x", in: "${{ inputs.token.split(',') }}" } };
    repo.workflow("fans", [step("each-${{ self.x }}", "ok", fan), step("all", "ok", fan)], takesToken);
    repo.workflow("calls fans", [nested("call", "fans", { inputs: { token: "${{ env.SECRET_LIST }}" } })]);
    const results = [
      await fen("workflow", "run", "calls fans", "--dry-run"),
      await fen("workflow", "run", "calls fans", "--dry-run", "--json"),
      await fen("workflow", "run", "calls fans", "--json"),
    ];
    for (const { stdout } of results.slice(0, 2)) expect(stdout).toMatch(/each-1.*all-1/s);
    expect(results[2]?.json().status).toBe("succeeded");
    expectNoSecret(...results);
  });
});

describe("a value of the environment in another model's arguments", () => {
  const read = "model.holds.input.globalArguments.token";
  beforeAll(() => repo.model("holds", "echo ok", { globalArguments: token }));

  test("that is read twice is written in neither place", async () => {
    repo.model("reads", `x='\${{ ${read} }}'; echo \${#x}`, { globalArguments: { again: `\${{ ${read} }}` } });
    repo.workflow("twice", [step("s", "length", { inputs: { token: "${{ inputs.token + inputs.other }}" } })], {
      inputs: { properties: { token: { type: "string" }, other: { type: "string" } } },
    });
    const inputs = { token: `\${{ ${read} }}`, other: `<\${{ ${read} }}>` };
    repo.workflow("both", [step("r", "reads"), nested("call", "twice", { inputs })]);
    const results = [
      await fen("workflow", "run", "both", "--dry-run"),
      await fen("workflow", "run", "both", "--json"),
      await fen("model", "evaluate", "reads", "--json"),
      await fen("workflow", "evaluate", "both", "--json"),
    ];
    for (const { exitCode, stderr } of results) expect(exitCode, stderr).toBe(0);
    expect(repo.printed("reads").at(-1)).toBe(String(secret.length));
    expectNoSecret(...results);
  });

  test("isn't told where it is the key of a map that hasn't it", async () => {
    repo.workflow("key", [
      step("s", "takes", { inputs: { one: `\${{ ${read} }}`, run: `\${{ {"a": "b"}[${read}] }}` } }),
    ]);
    await expectFailure("key", "nothing is called so here");
  });
});

describe("a value of the environment in a name", () => {
  const fan = { forEach: { item: "x", in: "${{ ['a', 'b'] }}" } };

  test("of steps that are fanned out gives way to their numbers", async () => {
    repo.workflow("named", [step("s-${{ env.SECRET_TOKEN }}-${{ self.x }}", "ok", fan)]);
    const results = [await fen("workflow", "run", "named", "--dry-run"), await fen("workflow", "run", "named")];
    for (const { stdout, stderr } of results) expect(stdout + stderr).toMatch(/s-0.*s-1/s);
    expectNoSecret(...results);
  });

  test.each([
    ["before the run", []],
    [
      "when the step starts",
      [{ name: "word", task: { type: "model_method", modelIdOrName: "ok", methodName: "execute" } }],
    ],
  ])("of a method isn't told where there is none, %s", async (when, before) => {
    const data = before.length === 0 ? "''" : "data.latest('ok', 'result').attributes.stderr";
    const task = { type: "model_method", modelIdOrName: "ok", methodName: `\${{ env.SECRET_TOKEN + ${data} }}` };
    const dependsOn = before.map(({ name }) => ({ step: name, condition: { type: "succeeded" } }));
    repo.workflow(`method ${when}`, [...before, { name: "s", task, dependsOn }]);
    await expectFailure(`method ${when}`, "has no method that is called what methodName gives");
  });
});

describe("an element of a list of the environment", () => {
  const fan = { forEach: { item: "x", in: "${{ env.SECRET_LIST.split(',') }}" } };

  test("that a model is given is neither shown nor written", async () => {
    repo.workflow("fan", [step("s", "length", { ...fan, inputs: { token: "${{ self.x }}" } })]);
    const results = [await fen("workflow", "run", "fan", "--dry-run"), await fen("workflow", "run", "fan", "--json")];
    for (const { exitCode, stderr } of results) expect(exitCode, stderr).toBe(0);
    expect(repo.printed("length").slice(-2)).toEqual([String(secret.length + 2), String(secret.length + 2)]);
    expectNoSecret(...results);
  });

  test("that a nested workflow is given is neither shown nor written", async () => {
    repo.workflow("given", [step("s", "takes", { inputs: { run: "echo ${{ inputs.token }}" } })], takesToken);
    repo.workflow("fan nested", [nested("call", "given", { ...fan, inputs: { token: "${{ self.x }}" } })]);
    const results = [
      await fen("workflow", "run", "fan nested", "--dry-run"),
      await fen("workflow", "run", "fan nested", "--dry-run", "--json"),
      await fen("workflow", "run", "fan nested", "--json"),
    ];
    for (const { exitCode, stderr } of results) expect(exitCode, stderr).toBe(0);
    expectNoSecret(...results);
  });

  test("is neither shown nor written by a run that is gone on with", async () => {
    repo.model("waits", "[ -e go ] # ${{ inputs.token }}", takesToken);
    repo.workflow("fan again", [step("s", "waits", { ...fan, inputs: { token: "${{ self.x }}" } })]);
    const failed = await fen("workflow", "run", "fan again", "--json");
    expect(failed.exitCode, failed.stderr).toBe(1);
    repo.write("go", "");
    const resumed = await fen("workflow", "resume", failed.json().id, "--failed", "--json");
    expect(resumed.exitCode, resumed.stderr).toBe(0);
    expectNoSecret(failed, resumed);
  });

  test("isn't told by an expression that fails", async () => {
    repo.workflow("fan fails", [step("s", "takes", { ...fan, inputs: { run: "${{ int(self.x) }}" } })]);
    await expectFailure("fan fails", "self.x is text");
  });
});
