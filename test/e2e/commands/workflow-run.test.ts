/** `workflow run|resume|cancel`: documents, events, text, refusals. What runs do is in test/e2e/workflows. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { documentOf, errorOf, eventsIn, textOf } from "../../support/documents.ts";
import { isAtWork } from "../../support/processes.ts";
import { after, nested, step, type WorkflowRepo, workflowRepo } from "../../support/workflow-repo.ts";

let repo: WorkflowRepo;
beforeEach(async () => {
  repo = await workflowRepo();
});
afterEach(() => repo.remove());

const executed = () => repo.runIds().length > 0;

describe("workflow run", () => {
  beforeEach(() => {
    repo.model("good", "echo out; echo err >&2");
    repo.model("bad", "exit 3");
  });

  test("--quiet: nothing is said of a run that succeeds, and of one that fails what failed", async () => {
    repo.workflow("fine", [step("a", "good")]);
    repo.workflow("mixed", [step("a", "good"), step("b", "bad")]);
    expect(await repo.fen("workflow", "run", "fine", "--quiet")).toMatchObject({ exitCode: 0, stdout: "", stderr: "" });
    const failing = await repo.fen("workflow", "run", "mixed", "--quiet");
    expect(failing).toMatchObject({ exitCode: 1, stdout: "" });
    expect(failing.stderr).toMatch(/^failed mixed in .*\n {2}failed only\/b: The command exited with code 3\.\n/);
  });

  test("prints how each step ended, and ends with 1 where the run failed", async () => {
    repo.workflow("mixed", [step("a", "good"), step("b", "bad"), step("c", "good", after("b", "succeeded"))]);
    const document = await documentOf(repo, "workflow run mixed", { exitCode: 1 });
    expect(document).toMatchObject({
      workflowName: "mixed",
      status: "failed",
      jobs: [
        {
          name: "only",
          status: "failed",
          steps: [
            { name: "a", status: "succeeded", dataArtifacts: [{ name: "result" }, { name: "log" }] },
            { name: "b", status: "failed", error: "The command exited with code 3." },
            { name: "c", status: "skipped", reason: "step b failed" },
          ],
        },
      ],
    });
    expect(await documentOf(repo, `model output get ${document.jobs[0].steps[0].outputId}`)).toMatchObject({
      status: "succeeded",
    });
    await repo.expectNothingLeft();
  });

  test("says it in one line to people, with what failed and how to go on", async () => {
    repo.workflow("mixed", [step("a", "good"), step("b", "bad")]);
    const { stderr, exitCode } = await repo.fen("workflow", "run", "mixed");
    expect(exitCode).toBe(1);
    expect(stderr).toContain("1 succeeded, 1 failed");
    expect(stderr).toContain("only/b: The command exited with code 3.");
    expect(stderr).toMatch(/fen workflow resume [0-9a-f-]{36} --failed/);
  });

  test("--stream gives every line of the journal, what steps print, and the document last", async () => {
    repo.workflow("fan", [
      step("one", "good", { forEach: { item: "n", in: "${{ [1, 2] }}" } }),
      step("two", "bad", { allowFailure: true, retry: { attempts: 2, backoff: 1 } }),
      nested("three", "inner", after("two", "failed")),
    ]);
    repo.workflow("inner", [step("deep", "good")]);
    const { stdout, exitCode } = await repo.fen("workflow", "run", "fan", "--stream");
    expect(exitCode).toBe(0);
    const events = eventsIn(stdout);
    const last = events.at(-1);
    expect(last).toMatchObject({ event: "result", result: { status: "succeeded" } });
    const entries = events.filter((one) => one.event === "workflow.entry");
    for (const run of repo.runIds())
      expect(entries.filter((one) => one.run === run).map((one) => one.entry)).toEqual(repo.journal(run));
    expect(new Set(entries.map((one) => one.run)).size).toBe(2);
    const printed = events.filter((one) => one.event === "workflow.output");
    expect(printed.map((one) => one.line).sort()).toEqual(["err", "err", "err", "out", "out", "out"]);
  });

  test("--explain and --dry-run say what would be locked and done, wait for nobody, and write nothing", async () => {
    repo.model("held", "touch begun; while [ ! -e go ]; do sleep 0.05; done");
    const holder = repo.start("model", "method", "run", "held", "execute");
    await repo.appears("begun");
    repo.workflow("plan", [
      step("a-${{ self.m }}", "${{ self.m }}", { forEach: { item: "m", in: "${{ inputs.models }}" } }),
      nested("n", "inner"),
    ]);
    repo.workflow("inner", [step("deep", "good")]);
    const input = `--input '{"models":["held","bad"]}'`;
    const expected = {
      lock: "run",
      locks: [
        { model: "good", mode: "exclusive", steps: ["only/n > only/deep"] },
        { model: "bad", mode: "exclusive", steps: ["only/a-bad"] },
        { model: "held", mode: "exclusive", steps: ["only/a-held"] },
      ],
      open: [],
    };
    expect(await documentOf(repo, `workflow run plan --explain ${input}`)).toMatchObject(expected);
    expect(await documentOf(repo, `workflow run plan --dry-run ${input}`)).toMatchObject(expected);
    const text = await textOf(repo, `workflow run plan --dry-run ${input}`);
    expect(text).toContain("a-held: held execute");
    expect(await textOf(repo, `workflow run plan --explain ${input}`)).not.toContain("a-held: held execute");
    expect(executed()).toBe(false);
    repo.write("go", "");
    expect((await holder.done).exitCode).toBe(0);
  });
});

describe("workflow run --dry-run", () => {
  const condition = (type: string) => ({ type });

  beforeEach(() => {
    repo.model("good", "true", { inputs: { properties: { level: {}, last: {}, target: {} } } });
    repo.model("bad", "exit 3");
    repo.workflow(
      "plan",
      [
        {
          name: "build",
          steps: [
            step("compile-${{ self.t }}", "good", {
              forEach: { item: "t", in: "${{ inputs.targets }}" },
              inputs: { target: "${{ self.t }}", level: "${{ inputs.level + 1 }}" },
            }),
            step("none", "good", { forEach: { item: "t", in: "${{ [] }}" } }),
            step("mend", "bad", { dependsOn: [{ step: "none", condition: condition("failed") }] }),
          ],
        },
        {
          name: "after",
          dependsOn: [
            { job: "build", condition: { type: "or", conditions: [condition("failed"), condition("skipped")] } },
          ],
          steps: [
            nested("call", "inner", {
              inputs: {
                token: "${{ env.TOKEN }}",
                last: "${{ data.latest('good', 'result') }}",
                level: "${{ inputs.level }}",
              },
            }),
            step("each", "good", { forEach: { item: "x", in: "${{ data.listVersions('good', 'result') }}" } }),
          ],
        },
      ],
      { inputs: { properties: { targets: { type: "array", default: ["x86", "arm"] }, level: { type: "number" } } } },
    );
    repo.workflow("inner", [
      step("deep", "good", { inputs: { last: "${{ inputs.last }}", level: "${{ inputs.level }}" } }),
    ]);
  });

  test("the document has conditions, what each call is given, and what depends on how something ends", async () => {
    const env = { TOKEN: "s3cret" };
    const document = await documentOf(repo, "workflow run plan --dry-run --input level=2", { env });
    expect(document.inputs).toEqual({ targets: ["x86", "arm"], level: 2 });
    const [build, later] = document.jobs;
    expect(build).toMatchObject({ outlook: "runs", dependsOn: [] });
    expect(build.steps).toMatchObject([
      {
        outlook: "runs",
        calls: [
          { name: "compile-x86", target: "good", inputs: { target: "x86", level: 3 }, open: [] },
          { name: "compile-arm", inputs: { target: "arm", level: 3 } },
        ],
      },
      { outlook: "runs", calls: [] },
      { outlook: "never", dependsOn: [{ step: "none", condition: condition("failed") }] },
    ]);
    expect(later).toMatchObject({ outlook: "depends", dependsOn: [{ job: "build", condition: { type: "or" } }] });
    const [call, each] = later.steps;
    expect(call).toMatchObject({
      calls: [
        {
          target: "inner",
          inputs: { token: "${{ env.TOKEN }}", last: "${{ data.latest('good', 'result') }}", level: 2 },
          open: ["last"],
          jobs: [{ steps: [{ calls: [{ target: "good", inputs: { level: 2 }, open: ["last"] }] }] }],
        },
      ],
    });
    expect(each).toMatchObject({ calls: "open", each: { target: "good", method: "execute" } });
    expect(JSON.stringify(document)).not.toContain("s3cret");
  });

  test("so has the text", async () => {
    const text = await textOf(repo, "workflow run plan --dry-run --concurrency 2 --input level=2", {
      env: { TOKEN: "x" },
    });
    expect(text).toMatchInlineSnapshot(`
      "plan: at most 2 steps at work at once
      inputs: level = 2, targets = ["x86","arm"]
      build
        compile-x86: good execute, target = "x86", level = 3
        compile-arm: good execute, target = "arm", level = 3
        none: a fan-out over nothing
        mend never: it needs none failed
      after if build failed or skipped
        call: inner, token = "\${{ env.TOKEN }}", last known when it starts, from "\${{ data.latest('good', 'result') }}", level = 2
          only
            deep: good execute, last known when it starts, from "\${{ inputs.last }}", level = 2
        each: how many is known when it starts; each: good execute

      Locks, before the first step, in this order:
      model  mode       for
      good   exclusive  build/compile-x86, build/compile-arm and 2 more
      bad    exclusive  build/mend"
    `);
  });

  test("a number for which JSON has no word is shown as it is written", async () => {
    const inputs = { level: "${{ 1.0 / 0.0 }}", last: ["${{ 0.0 / 0.0 }}"], target: "${{ 1.0 / 2.0 }}" };
    repo.workflow("endless", [step("one", "good", { inputs })]);
    const { jobs } = await documentOf(repo, "workflow run endless --dry-run");
    expect(jobs[0].steps[0].calls).toMatchObject([{ inputs: { ...inputs, target: 0.5 }, open: [] }]);
    expect(await textOf(repo, "workflow run endless --dry-run")).toContain('level = "${{ 1.0 / 0.0 }}"');
  });
});

describe("workflow resume", () => {
  test("--failed begins what failed again, and what had been skipped because of it; nothing else", async () => {
    repo.model("count", "echo ran >> count");
    repo.model("gate", "[ -e open ]");
    repo.workflow("w", [
      { name: "one", steps: [step("a", "count"), step("b", "count", after("a", "failed"))] },
      {
        name: "two",
        dependsOn: [{ job: "one", condition: { type: "succeeded" } }],
        steps: [step("g", "gate"), step("h", "count", after("g", "succeeded"))],
      },
      { name: "three", dependsOn: [{ job: "two", condition: { type: "succeeded" } }], steps: [step("z", "count")] },
    ]);
    const { id } = await documentOf(repo, "workflow run w", { exitCode: 1 });
    expect(await errorOf(repo, `workflow resume ${id}`)).toMatchObject({ code: "run_ended" });
    repo.write("open", "");
    const resumed = await documentOf(repo, `workflow resume ${id.slice(0, 8)} --failed`);
    expect(resumed).toMatchObject({
      id,
      status: "succeeded",
      jobs: [
        { steps: [{ status: "succeeded" }, { status: "skipped", reason: "step a succeeded" }] },
        { steps: [{ status: "succeeded" }, { status: "succeeded" }] },
        { steps: [{ status: "succeeded" }] },
      ],
    });
    expect(repo.read("count")).toBe("ran\nran\nran\n");
    expect(repo.record(id)).toMatchObject({ status: "succeeded" });
    expect(await errorOf(repo, `workflow resume ${id} --failed`)).toMatchObject({ code: "run_ended" });
    await repo.expectNothingLeft();
  });

  test("refuses a concurrency in the environment that is no number before anything of the run has changed", async () => {
    repo.model("gate", "[ -e open ]");
    repo.workflow("w", [step("g", "gate")]);
    const { id } = await documentOf(repo, "workflow run w", { exitCode: 1 });
    const before = repo.journal(id);
    const env = { SWAMP_MAX_CONCURRENT_STEPS: "lots" };
    expect(await errorOf(repo, `workflow resume ${id} --failed`, { env })).toMatchObject({ code: "usage" });
    expect(repo.journal(id)).toEqual(before);
    await repo.expectNothingLeft();
  });

  test("refuses a run that isn't there, one that is alive, and choices that exclude each other", async () => {
    repo.model("slow", "touch begun; while [ ! -e go ]; do sleep 0.05; done");
    repo.workflow("w", [step("a", "slow")]);
    expect(await errorOf(repo, "workflow resume 12345678")).toMatchObject({ code: "run_missing" });
    const running = repo.start("workflow", "run", "w");
    await repo.appears("begun");
    const [id] = repo.runIds();
    expect(await errorOf(repo, `workflow resume ${id}`)).toMatchObject({ code: "run_alive", retryable: true });
    expect(await errorOf(repo, `workflow resume ${id} --retry-unknown --skip-unknown`)).toMatchObject({
      code: "usage",
    });
    repo.write("go", "");
    expect((await running.done).exitCode).toBe(0);
  });
});

describe("workflow cancel", () => {
  test("lock-56: ends a run from another process: its child first, then the records, then the locks; it can be resumed", async () => {
    repo.model("slow", "echo $$ > pid; mv pid child; while [ ! -e go ]; do sleep 0.05; done");
    repo.model("next", "true");
    repo.workflow("w", [step("a", "slow"), step("b", "next", after("a", "succeeded"))]);
    expect(await errorOf(repo, "workflow cancel 12345678")).toMatchObject({ code: "run_missing" });
    const running = repo.start("workflow", "run", "w", "--json");
    await repo.appears("child");
    const [id = ""] = repo.runIds();
    expect(await documentOf(repo, `workflow cancel ${id}`)).toMatchObject({ id, status: "ended" });
    const { exitCode, json } = await running.done;
    expect(exitCode).toBe(1);
    expect(json()).toMatchObject({
      status: "cancelled",
      jobs: [
        {
          status: "cancelled",
          steps: [
            { name: "a", status: "cancelled" },
            { name: "b", status: "skipped" },
          ],
        },
      ],
    });
    expect(isAtWork(Number(repo.read("child")))).toBe(false);
    expect(repo.record(id)).toMatchObject({ status: "cancelled" });
    await repo.expectNothingLeft();
    expect(await errorOf(repo, `workflow cancel ${id}`)).toMatchObject({ code: "run_ended" });
    repo.write("go", "");
    expect(await documentOf(repo, `workflow resume ${id}`)).toMatchObject({
      status: "succeeded",
      jobs: [{ steps: [{ status: "succeeded" }, { status: "succeeded" }] }],
    });
    expect(await textOf(repo, "model output search slow")).toContain("cancelled");
  });

  test("a run within another is ended with the one that it belongs to", async () => {
    repo.model("slow", "touch begun; while :; do sleep 0.05; done");
    repo.workflow("outer", [nested("n", "inner")]);
    repo.workflow("inner", [step("a", "slow")]);
    const running = repo.start("workflow", "run", "outer", "--json");
    await repo.appears("begun");
    const [outer = "", inner = ""] = repo
      .runIds()
      .toSorted((one) => (repo.record(one).workflowName === "outer" ? -1 : 1));
    expect(await errorOf(repo, `workflow cancel ${inner}`)).toMatchObject({ code: "run_nested", parent: outer });
    expect(await documentOf(repo, `workflow cancel ${outer}`)).toMatchObject({ status: "ended" });
    await running.done;
    expect([outer, inner].map((id) => repo.record(id).status)).toEqual(["cancelled", "cancelled"]);
    await repo.expectNothingLeft();
  });

  test("says to people what has become of the run", async () => {
    repo.model("slow", "touch begun; while :; do sleep 0.05; done");
    repo.workflow("w", [step("a", "slow")]);
    const running = repo.start("workflow", "run", "w");
    await repo.appears("begun");
    const [id = ""] = repo.runIds();
    const { stderr } = await repo.fen("workflow", "cancel", id);
    expect(stderr).toContain(`The run ${id} has ended. Go on with it: fen workflow resume ${id}`);
    expect((await running.done).stderr).toContain("cancelled");
  });
});
