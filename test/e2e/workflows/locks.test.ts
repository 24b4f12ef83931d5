/** What locks a run takes and when it lets them go; commands that its steps call; runs that meet. */
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemMachine } from "../../../src/kernel/machine.ts";
import { claimFile } from "../../../src/store/drivers/filesystem/claim-file.ts";
import { program, until } from "../../support/cli.ts";
import { documentOf, errorOf } from "../../support/documents.ts";
import { after, nested, step, workflowId, type WorkflowRepo, workflowRepo } from "../../support/workflow-repo.ts";

const fen = `${process.execPath} ${program}`;
const waitFor = (file: string) => `while [ ! -e ${file} ]; do sleep 0.02; done`;
let repo: WorkflowRepo;
beforeEach(async () => {
  repo = await workflowRepo();
});
afterEach(() => repo.remove());

const heldNames = async () => (await repo.locks()).models.map((one) => one.modelName).sort();

describe("lock: run", () => {
  test("takes every model before the first step, nested ones too, and lets each go as soon as its last step has ended", async () => {
    repo.model("first", `touch begun; ${waitFor("go-1")}`);
    repo.model("second", `touch begun-2; ${waitFor("go-2")}`);
    repo.model("third", "true");
    repo.model("never", "true");
    repo.workflow("outer", [
      step("a", "first"),
      step("b", "second", after("a", "succeeded")),
      nested("c", "inner", after("b", "succeeded")),
      step("d", "never", after("a", "failed")),
    ]);
    repo.workflow("inner", [step("deep", "third")]);
    const run = repo.start("workflow", "run", "outer");
    await repo.appears("begun");
    expect(await heldNames()).toEqual(["first", "never", "second", "third"]);
    repo.write("go-1", "");
    await repo.appears("begun-2");
    // `first` has had its last step, and `never` won't have any.
    await until(
      async () => (await heldNames()).join() === "second,third",
      () => "the models that are done to be let go",
    );
    expect((await repo.fen("model", "method", "run", "first", "execute", "--lock-timeout", "0")).exitCode).toBe(0);
    expect(await errorOf(repo, "model method run third execute --lock-timeout 100ms")).toMatchObject({
      code: "lock_timeout",
      holder: { pid: run.child.pid },
    });
    repo.write("go-2", "");
    expect((await run.done).exitCode).toBe(0);
    await repo.expectNothingLeft();
  });

  test("an expression in a name doesn't lock the datastore: it is evaluated, and another model stays free", async () => {
    repo.model("web-1", `touch begun; ${waitFor("go")}`);
    repo.model("other", "true");
    repo.workflow("named", [step("a", "${{ inputs.kind + '-1' }}")], {
      inputs: { properties: { kind: { type: "string" } } },
    });
    const run = repo.start("workflow", "run", "named", "--input", "kind=web");
    await repo.appears("begun");
    expect(await repo.locks()).toMatchObject({ datastore: null, models: [{ modelName: "web-1" }] });
    expect((await repo.fen("model", "method", "run", "other", "execute", "--lock-timeout", "0")).exitCode).toBe(0);
    repo.write("go", "");
    expect((await run.done).exitCode).toBe(0);
  });

  test("lock-55: a run that gives up its wait for one lock holds none, and has left no trace", async () => {
    repo.model("busy", `touch begun; ${waitFor("go")}`);
    repo.model("free", "true");
    repo.workflow("w", [step("a", "free"), step("b", "busy")]);
    const holder = repo.start("model", "method", "run", "busy", "execute");
    await repo.appears("begun");
    expect(await errorOf(repo, "workflow run w --lock-timeout 200ms")).toMatchObject({ code: "lock_timeout" });
    expect(repo.runIds()).toEqual([]);
    expect(await heldNames()).toEqual(["busy"]);
    repo.write("go", "");
    await holder.done;
  });

  test("a run that waits for its locks is there for others: it is listed, keeps its workflow from being deleted, and can be cancelled", async () => {
    repo.model("busy", `touch begun; ${waitFor("go")}`);
    repo.model("free", "true");
    repo.workflow("w", [step("a", "free"), step("b", "busy")]);
    const holder = repo.start("model", "method", "run", "busy", "execute");
    await repo.appears("begun");
    const run = repo.start("workflow", "run", "w", "--json");
    await run.says("lock.waiting");
    const [id = ""] = repo.runIds();
    expect((await documentOf(repo, "workflow history search")).results).toMatchObject([
      { runId: id, status: "running" },
    ]);
    expect(await errorOf(repo, "workflow delete w -f")).toMatchObject({ code: "workflow_running", id });
    expect(await documentOf(repo, `workflow cancel ${id}`)).toMatchObject({ id, status: "ended" });
    expect((await run.done).json()).toMatchObject({ id, status: "cancelled", jobs: [{ steps: [{}, {}] }] });
    expect(await heldNames()).toEqual(["busy"]);
    repo.write("go", "");
    await holder.done;
    expect(await documentOf(repo, `workflow resume ${id}`)).toMatchObject({ id, status: "succeeded" });
    await repo.expectNothingLeft();
  });

  test("a resume that waits for its locks is alive: its run isn't deleted under it, and is what it was once the wait is given up", async () => {
    repo.model("busy", `touch begun; ${waitFor("go")}`);
    repo.workflow("w", [step("a", "busy")]);
    const dead = repo.start("workflow", "run", "w");
    await repo.appears("begun");
    dead.kill("SIGINT");
    await dead.done;
    rmSync(join(repo.path, "begun"));
    const [id = ""] = repo.runIds();
    const holder = repo.start("model", "method", "run", "busy", "execute");
    await repo.appears("begun");
    const run = repo.start("workflow", "resume", id, "--json");
    await run.says("lock.waiting");
    expect(await errorOf(repo, "workflow delete w -f")).toMatchObject({ code: "workflow_running", id });
    expect(await errorOf(repo, `workflow resume ${id}`)).toMatchObject({ code: "run_alive" });
    await repo.fen("workflow", "cancel", id);
    expect((await run.done).exitCode).not.toBe(0);
    expect((await documentOf(repo, "workflow history search")).results).toMatchObject([
      { runId: id, status: "cancelled" },
    ]);
    repo.write("go", "");
    await holder.done;
    expect(await documentOf(repo, `workflow resume ${id}`)).toMatchObject({ id, status: "succeeded" });
    await repo.expectNothingLeft();
  });

  test("no run begins while its workflow is being deleted", async () => {
    repo.model("m", "true");
    repo.workflow("w", [step("a", "m")]);
    const name = createHash("sha256")
      .update(`workflow/id/${workflowId(1)}`)
      .digest("hex");
    const path = join(repo.path, ".swamp/name-claims", name);
    const { signal } = new AbortController();
    const claim = await claimFile(systemMachine(), path, { what: "it", timeoutMs: 0, signal });
    expect(await errorOf(repo, "workflow run w --lock-timeout 0")).toMatchObject({ code: "lock_timeout" });
    expect(repo.runIds()).toEqual([]);
    claim.release();
    expect((await repo.fen("workflow", "run", "w")).exitCode).toBe(0);
  });

  test("lock-40: the first run of a model in a workflow holds the same lock as the second", async () => {
    repo.model("fresh", `touch begun; ${waitFor("go")}`);
    repo.workflow("w", [step("a", "fresh")]);
    for (const _ of ["first", "second"]) {
      const run = repo.start("workflow", "run", "w");
      await repo.appears("begun");
      expect(await repo.locks()).toMatchObject({ datastore: null, models: [{ modelName: "fresh", state: "held" }] });
      repo.write("go", "");
      expect((await run.done).exitCode).toBe(0);
      for (const file of ["go", "begun"]) rmSync(join(repo.path, file));
    }
    await repo.expectNothingLeft();
  });

  test("lock-39: 8 first runs at once of one workflow leave one model and 8 results", async () => {
    const id = repo.model("fresh", "true");
    repo.workflow("w", [step("a", "fresh")]);
    const runs = Array.from({ length: 8 }, () => repo.start("workflow", "run", "w"));
    expect((await Promise.all(runs.map((run) => run.done))).map((run) => run.exitCode)).toEqual(Array(8).fill(0));
    expect(repo.contents("fresh", "result")).toHaveLength(8);
    expect((await documentOf(repo, "model search")).results).toMatchObject([{ id, name: "fresh" }]);
    await repo.expectNothingLeft();
  });

  test("lock-45: two runs whose models overlap in opposite orders both end, and never work on one model at once", async () => {
    for (const name of ["x", "y"]) repo.model(name, `echo in >> ${name}.log; sleep 0.1; echo out >> ${name}.log`);
    repo.workflow("there", [step("a", "x"), step("b", "y", after("a", "succeeded"))]);
    repo.workflow("back", [step("a", "y"), step("b", "x", after("a", "succeeded"))]);
    const runs = ["there", "back", "there", "back"].map((name) => repo.start("workflow", "run", name));
    expect((await Promise.all(runs.map((run) => run.done))).map((run) => run.exitCode)).toEqual([0, 0, 0, 0]);
    for (const name of ["x", "y"]) expect(repo.read(`${name}.log`)).toBe("in\nout\n".repeat(4));
    await repo.expectNothingLeft();
  });

  test("lock-41: a model that is deleted while the run waits for its lock isn't run", async () => {
    const id = repo.model("doomed", `[ -e begun ] && touch ran-again; touch begun; ${waitFor("go")}`);
    repo.workflow("w", [step("a", "doomed")]);
    const holder = repo.start("model", "method", "run", "doomed", "execute");
    await repo.appears("begun");
    const run = repo.start("workflow", "run", "w", "--json");
    await run.says("lock.waiting");
    rmSync(join(repo.path, `models/command/shell/${id}.yaml`)); // as a checkout of another branch does
    repo.write("go", "");
    await holder.done;
    const { exitCode, json } = await run.done;
    expect(exitCode).toBe(1);
    expect(json().jobs[0].steps).toMatchObject([{ status: "failed", error: expect.stringContaining("doomed") }]);
    expect(repo.has("ran-again")).toBe(false);
    expect(repo.contents("doomed")).toHaveLength(1);
    await repo.expectNothingLeft();
  });
});

describe("names that depend on data", () => {
  const latest = (model: string) => `\${{ data.latest('${model}', 'result').attributes.stdout }}`;

  test("are locked when they are known: of what was made in the same run, and not before", async () => {
    repo.model("chooser", "echo target-2");
    repo.model("target-1", "true");
    repo.model("target-2", `touch begun; ${waitFor("go")}`);
    repo.workflow("w", [step("choose", "chooser"), step("call", latest("chooser"), after("choose", "succeeded"))]);
    expect(await documentOf(repo, "workflow run w --explain")).toMatchObject({
      locks: [{ model: "chooser" }],
      open: [{ step: "only/call", expression: expect.stringContaining("chooser") }],
    });
    const run = repo.start("workflow", "run", "w");
    await repo.appears("begun");
    expect(await heldNames()).toEqual(["target-2"]);
    repo.write("go", "");
    expect((await run.done).exitCode).toBe(0);
    await repo.expectNothingLeft();
  });

  test("lock-35: of two runs that wait for each other one gives way, the other goes on", async () => {
    for (const [name, other] of [
      ["left", "right"],
      ["right", "left"],
    ] as const) {
      repo.model(`choose-${name}`, `echo ${other}; touch ${name}.begun; ${waitFor("go")}`);
      repo.model(name, "true");
      repo.workflow(`run-${name}`, [
        step("choose", `choose-${name}`),
        step("call", latest(`choose-${name}`), after("choose", "succeeded")),
        step("own", name, after("call", "completed")),
      ]);
    }
    const runs = ["left", "right"].map((name) => repo.start("workflow", "run", `run-${name}`, "--json"));
    await Promise.all([repo.appears("left.begun"), repo.appears("right.begun")]);
    repo.write("go", "");
    const done = await Promise.all(runs.map((run) => run.done));
    const calls = done.map((one) => one.json().jobs[0].steps[1]);
    expect(calls.map((one) => one.status).sort()).toEqual(["failed", "succeeded"]);
    expect(calls.find((one) => one.status === "failed").error).toContain("wait for each other in a circle");
    expect(done.flatMap((one) => one.json().jobs[0].steps[2].status)).toContain("succeeded");
    await repo.expectNothingLeft();
  });
});

describe("lock: step", () => {
  test("each step takes its own, and holds nothing before and after", async () => {
    repo.model("first", `touch begun; ${waitFor("go")}`);
    repo.model("second", "true");
    repo.workflow("w", [step("a", "first"), step("b", "second", after("a", "succeeded"))], { lock: "step" });
    expect((await documentOf(repo, "workflow run w --explain")).lock).toBe("step");
    const run = repo.start("workflow", "run", "w");
    await repo.appears("begun");
    expect(await heldNames()).toEqual(["first"]);
    expect((await repo.fen("model", "method", "run", "second", "execute", "--lock-timeout", "0")).exitCode).toBe(0);
    repo.write("go", "");
    expect((await run.done).exitCode).toBe(0);
    await repo.expectNothingLeft();
  });

  test("a step that waits for a lock says for whom, and lets others have its slot", async () => {
    repo.model("busy", `touch begun; ${waitFor("go")}`);
    repo.model("free", "touch free-ran");
    repo.workflow("w", [step("a", "busy"), step("b", "free")], { lock: "step" });
    const holder = repo.start("model", "method", "run", "busy", "execute");
    await repo.appears("begun");
    const run = repo.start("workflow", "run", "w", "--concurrency", "1", "--stream");
    await repo.appears("free-ran");
    await run.says('"e":"wait"');
    repo.write("go", "");
    await holder.done;
    expect((await run.done).exitCode).toBe(0);
    const [id = ""] = repo.runIds();
    const wait = repo.journal(id).find((entry) => entry.e === "wait");
    expect(wait).toMatchObject({ n: 0, model: "busy", by: expect.stringContaining(`(pid ${holder.child.pid})`) });
  });

  test("a lock that isn't had in time fails the step, and its retry gets it", async () => {
    repo.model("busy", `touch begun; ${waitFor("go")}`);
    repo.workflow("w", [step("a", "busy", { retry: { attempts: 50, backoff: 50, on: ["lock"] } })], { lock: "step" });
    const holder = repo.start("model", "method", "run", "busy", "execute");
    await repo.appears("begun");
    const run = repo.start("workflow", "run", "w", "--lock-timeout", "100ms", "--stream");
    await run.says('"e":"retry"');
    repo.write("go", "");
    await holder.done;
    expect((await run.done).exitCode).toBe(0);
    await repo.expectNothingLeft();
  });
});

describe("lock-34: commands that a step calls", () => {
  const within = (name: string, command: string) =>
    [
      `[ -n "$INNER" ] && exit; export INNER=1; date +%s%3N > ${name}.from`,
      `${fen} ${command} --json > ${name}.out 2> ${name}.err; echo $? > ${name}.code; date +%s%3N > ${name}.to`,
    ].join("; ");
  const errorIn = (name: string) => JSON.parse(repo.read(`${name}.err`)).error;

  test("the same model and one outside work; another of the run, the whole datastore and a workflow over it are refused within a second", async () => {
    repo.model("same", within("same", "model method run same execute"));
    repo.model("outside", "true");
    repo.model("calls-outside", within("outside", "model method run outside execute"));
    repo.model("calls-other", within("other", "model method run same execute"));
    repo.model("calls-gc", within("gc", "data gc --force"));
    repo.model("calls-sibling", within("sibling", "workflow run sibling"));
    repo.model("calls-apart", within("apart", "workflow run apart"));
    repo.workflow("sibling", [step("x", "same")]);
    repo.workflow("apart", [step("x", "outside")]);
    // The model `same` stays locked until the last of the others has ended.
    const others = ["calls-outside", "calls-other", "calls-gc", "calls-sibling", "calls-apart"];
    repo.workflow("w", [
      ...others.map((name) => step(name, name)),
      step("same", "same", {
        dependsOn: others.map((name) => ({ step: name, condition: { type: "succeeded" } })),
      }),
    ]);
    const { jobs } = await documentOf(repo, "workflow run w --concurrency 2");
    expect(jobs[0].status).toBe("succeeded");
    const codes = Object.fromEntries(
      ["same", "outside", "apart", "other", "gc", "sibling"].map((name) => [name, repo.read(`${name}.code`).trim()]),
    );
    expect(codes).toEqual({ same: "0", outside: "0", apart: "0", other: "75", gc: "75", sibling: "75" });
    for (const name of ["other", "gc", "sibling"]) {
      expect(errorIn(name)).toMatchObject({ code: "lock_would_deadlock", retryable: false });
      // With the start of the program: of two at once, on a machine that has other things to do.
      expect(Number(repo.read(`${name}.to`)) - Number(repo.read(`${name}.from`))).toBeLessThan(5000);
    }
    expect(repo.contents("same")).toHaveLength(2);
    await repo.expectNothingLeft();
  });

  test("what a step tells its commands gives others no access", async () => {
    repo.model("same", `env | grep ^FEN_ > words; touch begun; ${waitFor("go")}`);
    repo.workflow("w", [step("s", "same")]);
    const run = repo.start("workflow", "run", "w");
    await repo.appears("begun");
    const words = repo.read("words").trim().split("\n");
    const env = Object.fromEntries(
      words.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
    expect(Object.keys(env)).not.toEqual([]);
    expect(await errorOf(repo, "model method run same execute --lock-timeout 200ms", { env })).toMatchObject({
      code: "lock_timeout",
    });
    repo.write("go", "");
    expect((await run.done).exitCode).toBe(0);
    expect(repo.contents("same")).toHaveLength(1);
  });

  test("two levels deep, with two steps at once", async () => {
    for (const name of ["l", "r"]) {
      repo.model(`${name}-bottom`, `echo ${name} >> bottom`);
      repo.workflow(`${name}-inner`, [step("x", `${name}-bottom`)]);
      repo.model(`${name}-middle`, `${fen} workflow run ${name}-inner`);
      repo.model(`${name}-top`, `${fen} model method run ${name}-middle execute`);
    }
    repo.workflow("w", [step("l", "l-top"), step("r", "r-top")]);
    await documentOf(repo, "workflow run w");
    expect(repo.read("bottom").split("\n").sort().join("")).toBe("lr");
    await repo.expectNothingLeft();
  });
});
