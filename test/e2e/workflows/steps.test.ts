/** What steps of a run do, on the built program: conditions, fan-outs, failures, limits, retries, tags, data. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunDocument } from "../../../src/app/workflow-run-document.ts";
import { runFen } from "../../support/cli.ts";
import { documentOf, errorOf } from "../../support/documents.ts";
import { isAtWork } from "../../support/processes.ts";
import { after, nested, step, type WorkflowRepo, workflowId, workflowRepo } from "../../support/workflow-repo.ts";

let repo: WorkflowRepo;
beforeAll(async () => {
  repo = await workflowRepo();
  repo.model("ok", "echo ok");
  repo.model("bad", "echo kept; echo told >&2; exit 3");
});
afterAll(() => repo.remove());

type Job = RunDocument["jobs"][number];
type Step = Job["steps"][number];

/** By name, "succeeded", or "skipped: why". */
// oxlint-disable-next-line typescript/no-explicit-any -- a document
const ends = (document: any): Record<string, string> =>
  Object.fromEntries(
    document.jobs.flatMap((job: Job) => [
      [job.name, job.status],
      ...job.steps.map(({ name, status, reason }) => [
        `${job.name}/${name}`,
        `${status}${reason === undefined ? "" : `: ${reason}`}`,
      ]),
    ]),
  );

describe("conditions", () => {
  test("defect-1, defect-2: what waits for a fan-out is judged by all its expansions; what can't run is skipped, and says why", async () => {
    const over = (list: string) => ({ forEach: { item: "m", in: `\${{ ${list} }}` } });
    repo.workflow("judged", [
      {
        name: "fan",
        steps: [
          step("all", "${{ self.m }}", over("['ok', 'ok']")),
          step("after-all", "ok", after("all", "succeeded")),
          step("none", "${{ self.m }}", over("[]")),
          step("after-none", "ok", after("none", "succeeded")),
          step("some", "${{ self.m }}", { ...over("['ok', 'bad']"), allowFailure: true }),
          step("after-some", "ok", after("some", "succeeded")),
          step("on-failure", "ok", after("some", "failed")),
          step("both", "ok", {
            dependsOn: [
              { step: "some", condition: { type: "completed" } },
              { step: "after-some", condition: { type: "skipped" } },
            ],
          }),
        ],
      },
      { name: "broken", steps: [step("b", "bad"), step("c", "ok", after("b", "succeeded")), step("d", "ok")] },
      { name: "next", dependsOn: [{ job: "broken", condition: { type: "succeeded" } }], steps: [step("e", "ok")] },
      {
        name: "last",
        dependsOn: [{ job: "next", condition: { type: "or", conditions: [{ type: "skipped" }, { type: "failed" }] } }],
        steps: [step("f", "ok", { dependsOn: [] })],
      },
    ]);
    const document = await documentOf(repo, "workflow run judged", { exitCode: 1 });
    expect(ends(document)).toEqual({
      fan: "succeeded",
      "fan/all-ok": "succeeded",
      "fan/all-ok-2": "succeeded",
      "fan/after-all": "succeeded",
      "fan/after-none": "succeeded",
      "fan/some-ok": "succeeded",
      "fan/some-bad": "failed",
      "fan/after-some": "skipped: step some failed",
      "fan/on-failure": "succeeded",
      "fan/both": "succeeded",
      broken: "failed",
      "broken/b": "failed",
      "broken/c": "skipped: step b failed",
      "broken/d": "succeeded",
      next: "skipped",
      "next/e": "skipped: job broken failed",
      last: "succeeded",
      "last/f": "succeeded",
    });
    const record = repo.record(document.id);
    expect(JSON.stringify(record)).not.toMatch(/pending|running/);
    expect(record.jobs[0].steps.map((one: { stepName: string }) => one.stepName)).toContain("some-bad");
  });

  test("a step starts the moment its own conditions hold, not when its level does", async () => {
    repo.model("long", "while [ ! -e passed ]; do sleep 0.02; done");
    repo.model("pass", "touch passed");
    // The second of the chain ends the step that stands on the first one's level.
    repo.workflow("levels", [step("a", "long"), step("b", "ok"), step("c", "pass", after("b", "succeeded"))]);
    expect((await documentOf(repo, "workflow run levels")).status).toBe("succeeded");
  });
});

describe("failures", () => {
  test("a failed step keeps its result and its log, marked failed; the run's log tells it", async () => {
    repo.model("failing", "echo kept; exit 3");
    repo.workflow("fails", [step("a", "failing", { allowFailure: true })]);
    const { id, jobs } = await documentOf(repo, "workflow run fails");
    expect(jobs[0].steps[0]).toMatchObject({ status: "failed", allowedFailure: true });
    expect(repo.contents("failing", "result")).toHaveLength(1);
    expect(await documentOf(repo, "data get failing result")).toMatchObject({
      tags: { status: "failed", workflow: "fails", step: "a", source: "step-output" },
    });
    expect(repo.record(id).jobs[0].steps[0]).toMatchObject({ status: "failed", allowedFailure: true });
    expect(repo.log(id)).toContain("kept");
  });

  test("an expression that can't be resolved names its line within a block of lines, with a caret: before the run, or when its step begins", async () => {
    repo.model("script", "true", { inputs: { properties: { text: {} } } });
    const text = (expression: string) => `id: ${workflowId(901)}
name: blocks
jobs:
  - name: only
    steps:
      - name: first
        task: { type: model_method, modelIdOrName: script, methodName: execute }
      - name: second
        dependsOn: [{ step: first, condition: { type: succeeded } }]
        task:
          type: model_method
          modelIdOrName: script
          methodName: execute
          inputs:
            text: |
              one

              two \${{ ${expression} }}
`;
    const place = "workflow-blocks.yaml:18 (jobs.0.steps.1.task.inputs.text): ";
    repo.write("workflows/workflow-blocks.yaml", text("data.latest('script', 'result').attributes.nope"));
    const { jobs } = await documentOf(repo, "workflow run blocks", { exitCode: 1 });
    expect(jobs[0].steps[1].error).toContain(place);
    expect(jobs[0].steps[1].error).toMatch(/\n {2}data\.latest\(.*\)\.attributes\.nope\n {2} {43}\^/);
    repo.write("workflows/workflow-blocks.yaml", text("1 + 'a'"));
    expect((await errorOf(repo, "workflow run blocks")).message).toContain(place);
  });

  test("steps that wait to be tried again keep no others from their model; a cancelled run begins none of those that wait for it", async () => {
    repo.model("picky", "${{ inputs.run }}", { inputs: { properties: { run: { type: "string" } } } });
    const bad = { inputs: { run: "exit 1" }, retry: { attempts: 2, backoff: 600_000, on: ["failure"] } };
    const slow = { inputs: { run: "touch slow-began; sleep 60" } };
    repo.workflow("crowd", [
      ...["a", "b", "c"].map((name) => step(name, "picky", bad)),
      step("d", "picky", slow),
      ...["e", "f", "g"].map((name) => step(name, "picky", { inputs: { run: `touch ${name}-began` } })),
    ]);
    const run = repo.start("workflow", "run", "crowd", "--stream");
    await repo.appears("slow-began");
    run.kill("SIGTERM");
    expect((await run.done).exitCode).toBe(143);
    const id = repo.runIds().find((one) => repo.record(one).workflowName === "crowd") ?? "";
    const journal = repo.journal(id);
    expect(journal.filter(({ e }) => e === "retry")).toHaveLength(3);
    expect(journal.flatMap((entry) => (entry.e === "start" ? [entry.n] : []))).toEqual([0, 1, 2, 3]);
    expect(["e", "f", "g"].filter((name) => repo.has(`${name}-began`))).toEqual([]);
    await repo.expectNothingLeft();
  });

  test("retry tries again after its back-off, only on what it names, and counts", async () => {
    repo.model("third", "echo x >> tries; [ $(wc -l < tries) -ge 3 ]");
    repo.model("once", "echo x >> once-tries; exit 1");
    const retry = (on: readonly string[]) => ({ attempts: 5, backoff: 20, on });
    repo.workflow("retries", [
      step("a", "third", { retry: retry(["failure"]) }),
      step("b", "once", { retry: retry(["timeout"]), allowFailure: true }),
    ]);
    const { id, jobs } = await documentOf(repo, "workflow run retries");
    expect(jobs[0].steps).toMatchObject([{ status: "succeeded", attempts: 3 }, { status: "failed" }]);
    expect(repo.read("once-tries")).toBe("x\n");
    const at = (e: string, a: number) =>
      repo.journal(id).find((entry) => entry.e === e && "a" in entry && entry.n === 0 && entry.a === a)?.at ?? 0;
    expect(at("start", 2) - at("retry", 1)).toBeGreaterThanOrEqual(19);
    expect(at("start", 3) - at("retry", 2)).toBeGreaterThanOrEqual(39);
  });

  test("defect-8: a timeout ends everything that the step has started, and returns promptly, in nested workflows too", async () => {
    repo.model("stuck", "sleep 60 & echo $! > grandchild; wait");
    repo.workflow("inner-stuck", [step("deep", "stuck")]);
    repo.workflow("timed", [
      step("a", "stuck", { timeout: "200ms", allowFailure: true }),
      nested("b", "inner-stuck", { timeout: "200ms", allowFailure: true, ...after("a", "failed") }),
      step("c", "ok", after("b", "failed")),
    ]);
    const start = Date.now();
    const { jobs } = await documentOf(repo, "workflow run timed");
    expect(Date.now() - start).toBeLessThan(8000);
    expect(jobs[0].steps).toMatchObject([
      { status: "failed", error: "Step a took longer than 0.2 s." },
      { status: "failed", error: "Step b took longer than 0.2 s." },
      { status: "succeeded" },
    ]);
    expect(repo.contents("stuck")).toEqual(["[stderr]\ntimed out", "[stderr]\ntimed out"]);
    expect(isAtWork(Number(repo.read("grandchild")))).toBe(false);
    await repo.expectNothingLeft();
  });
});

describe("limits", () => {
  /** Steps that write down when they come and go; gives the most at once. */
  const most = (file: string): number => {
    let [now, highest] = [0, 0];
    for (const line of repo.read(file).trim().split("\n")) highest = Math.max(highest, (now += Number(line)));
    return highest;
  };

  test.each([
    ["the flag", "--concurrency 2", {}, {}, 2],
    ["the environment", "", { SWAMP_MAX_CONCURRENT_STEPS: "3" }, {}, 3],
    ["the workflow", "", {}, { concurrency: 1 }, 1],
  ])("of a run from %s", async (name, flag, env, more, expected) => {
    const file = `order-${name.replace(" ", "-")}`;
    for (let n = 0; n < 6; n++) repo.model(`${file}-${n}`, `echo 1 >> ${file}; sleep 0.1; echo -1 >> ${file}`);
    const steps = Array.from({ length: 6 }, (_, n) => step(`s${n}`, `${file}-${n}`));
    repo.workflow(`limited-${file}`, steps, more);
    await documentOf(repo, `workflow run limited-${file} ${flag}`, { env });
    expect(most(file)).toBe(expected);
  });

  test("of a job and of a fan-out, also of nested workflows", async () => {
    for (let n = 0; n < 8; n++) {
      const file = n < 4 ? "order-fan" : "order-nested";
      repo.model(`limit-${n}`, `echo 1 >> ${file}; sleep 0.1; echo -1 >> ${file}`);
    }
    const over = (list: string) => ({ forEach: { item: "m", in: `\${{ ${list} }}` }, concurrency: 2 });
    repo.workflow("call-one", [step("only", "${{ inputs.m }}")], { inputs: { properties: { m: { type: "string" } } } });
    repo.workflow("limits", [
      step("fan", "limit-${{ self.m }}", over("[0, 1, 2, 3]")),
      nested("call", "call-one", { ...over("[4, 5, 6, 7]"), inputs: { m: "limit-${{ self.m }}" } }),
    ]);
    await documentOf(repo, "workflow run limits --concurrency 8");
    expect([most("order-fan"), most("order-nested")]).toEqual([2, 2]);
  });

  test("lock-36, defect-3, defect-4: 300 steps of a fan-out on one model are 300 results, each recorded, in the order of the queue", async () => {
    repo.model("one", "echo ${{ inputs.n }}", { inputs: { properties: { n: {} } } });
    repo.workflow("queue", [
      step("s", "one", { forEach: { item: "n", in: "${{ inputs.list }}" }, inputs: { n: "${{ self.n }}" } }),
    ]);
    const list = Array.from({ length: 300 }, (_, n) => n);
    const { jobs } = await documentOf(repo, `workflow run queue --input '${JSON.stringify({ list })}'`);
    expect(jobs[0].steps.every((one: { status: string }) => one.status === "succeeded")).toBe(true);
    expect(repo.printed("one").map(Number)).toEqual(list);
    expect(new Set(jobs[0].steps.map((one: { outputId: string }) => one.outputId)).size).toBe(300);
    expect((await documentOf(repo, "model output search one --limit 1000")).results).toHaveLength(300);
    await repo.expectNothingLeft();
  });
});

describe("data", () => {
  test("tags of workflow and command line, overrides, and names that vary", async () => {
    repo.model("vary", "echo ${{ inputs.host }}", { inputs: { properties: { host: { type: "string" } } } });
    repo.workflow(
      "varied",
      [
        step("v", "vary", {
          forEach: { item: "h", in: "${{ ['a', 'b'] }}" },
          inputs: { host: "${{ self.h }}" },
          dataOutputOverrides: [{ specName: "result", lifetime: "30d", tags: { kind: "patch" }, vary: ["host"] }],
        }),
      ],
      { tags: { team: "sre" } },
    );
    const { id, jobs } = await documentOf(repo, "workflow run varied --tag day=today");
    expect(jobs[0].steps.map((one: Step) => one.dataArtifacts?.map((data) => data.name))).toEqual([
      ["result-a", "log"],
      ["result-b", "log"],
    ]);
    expect(await documentOf(repo, "data get vary result-b")).toMatchObject({
      lifetime: "30d",
      tags: { team: "sre", day: "today", workflow: "varied", step: "v-b", specName: "result", kind: "patch" },
      ownerDefinition: { workflowRunId: id },
    });
    expect(repo.record(id).tags).toEqual({ team: "sre", day: "today" });
  });

  test("steps of a fan-out over maps are named by their text, none like another and none empty", async () => {
    repo.model("any", "true");
    const list = "${{ [{'a': 1}, {'a': 1}, null, 'x', 'x', ''] }}";
    repo.workflow("named", [step("${{ self.x }}", "any", { forEach: { item: "x", in: list } })]);
    const { jobs } = await documentOf(repo, "workflow run named");
    const names = jobs[0].steps.map((one: Step) => one.name);
    expect(names).toEqual(['{"a":1}', '{"a":1}-2', "null", "x", "x-2", "step-5"]);
  });

  test("defect-12: what a step is given stays with it", async () => {
    repo.model("plain", "echo [${{ inputs.given }}]", { inputs: { properties: { given: { default: "none" } } } });
    const given = (name: string, more: object = {}) => step(name, "plain", more);
    repo.workflow("scopes", [
      given("a", { inputs: { given: "a" } }),
      given("b", after("a", "succeeded")),
      given("c", {
        forEach: { item: "x", in: "${{ ['p', 'q'] }}" },
        inputs: { given: "${{ self.x }}" },
        ...after("b", "succeeded"),
      }),
      given("d", after("c", "succeeded")),
    ]);
    await documentOf(repo, "workflow run scopes");
    expect(repo.printed("plain")).toEqual(["[a]", "[none]", "[p]", "[q]", "[none]"]);
  });

  test("defect-9, defect-10, defect-14: braces of the shell are text, two expressions stand in one string, log text is text", async () => {
    repo.model("braces", "X=1; echo ${X} {{y}} ${{ inputs.a }}-${{ inputs.b }} {x}", {
      inputs: { properties: { a: {}, b: {} } },
    });
    repo.workflow("braced", [step("s", "braces", { inputs: { a: "l", b: "r" } })]);
    const { id } = await documentOf(repo, "workflow run braced");
    expect(repo.log(id)).toContain("1 {{y}} l-r {x}");
    expect(repo.printed("braces")[0]).toContain("1 {{y}} l-r {x}");
  });

  test("defect-11: an expression of a definition that can't be resolved never reaches the shell", async () => {
    repo.model("unresolved", "touch reached-${{ inputs.nope }}");
    repo.workflow("unresolvable", [step("s", "unresolved")]);
    const run = await runFen(["workflow", "run", "unresolvable", "--json"], { cwd: repo.path });
    expect(run.exitCode).not.toBe(0);
    expect(run.stdout + run.stderr).toContain("inputs.nope");
    expect(repo.has("reached-")).toBe(false);
    expect(repo.contents("unresolved")).toEqual([]);
  });

  test("defect-13: no error tells a secret of the environment", async () => {
    repo.model("secret", "echo ${{ env.HIDDEN.nope() }}");
    repo.workflow("secretive", [step("s", "secret")]);
    const run = await runFen(["workflow", "run", "secretive", "--json"], {
      cwd: repo.path,
      env: { HIDDEN: "hunter2hunter2" },
    });
    expect(run.exitCode).not.toBe(0);
    expect(run.stdout + run.stderr).not.toContain("hunter2");
    for (const id of repo.runIds()) expect(JSON.stringify(repo.journal(id)) + repo.log(id)).not.toContain("hunter2");
  });

  test("defect-15: of two models with data of one name, each run's output leads to its own", async () => {
    repo.model("left", "echo from-left");
    repo.model("right", "echo from-right");
    repo.workflow("two", [step("l", "left"), step("r", "right")]);
    const { jobs } = await documentOf(repo, "workflow run two");
    const [left, right] = jobs[0].steps.map((one: { outputId: string }) => one.outputId);
    expect((await repo.fen("model", "output", "data", left, "--json")).stdout).toContain("from-left");
    expect((await repo.fen("model", "output", "data", right, "--json")).stdout).not.toContain("from-left");
    // defect-19: the log of a step is found by its output.
    expect((await repo.fen("model", "output", "logs", right)).stdout).toContain("from-right");
  });
});
