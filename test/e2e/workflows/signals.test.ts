/** Runs that are stopped: by a key, a signal, another process, a kill. Their children end first, then the records, then the locks. */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startFen, until } from "../../support/cli.ts";
import { documentOf, errorOf } from "../../support/documents.ts";
import { isAtWork } from "../../support/processes.ts";
import { after, nested, step, workflowId, type WorkflowRepo, workflowRepo } from "../../support/workflow-repo.ts";

let repo: WorkflowRepo;
beforeEach(async () => {
  repo = await workflowRepo();
});
afterEach(() => repo.remove());

const pidIn = (file: string) => Number(repo.read(file));
const leavesPid = (file: string) => `echo $$ > ${file}.tmp; mv ${file}.tmp ${file}`;
const waitFor = (file: string) => `while [ ! -e ${file} ]; do sleep 0.02; done`;

/** Runs the workflow w, which dies without warning while these are at work, and they with it; gives the run's id. */
async function dies(...children: readonly string[]): Promise<string> {
  const run = repo.start("workflow", "run", "w");
  await Promise.all(children.map((child) => repo.appears(child)));
  run.kill("SIGKILL");
  await run.done;
  for (const child of children) process.kill(-pidIn(child), "SIGKILL");
  const [id = ""] = repo.runIds();
  return id;
}

describe("lock-50, lock-52: a signal ends the children, then the records are written, then the locks let go", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)("%s: exit %d, the run is cancelled and can be resumed", async (signal, code) => {
    // It takes its time to end: whoever waits for its model must not get it before.
    repo.model(
      "slow",
      [
        "echo in >> order; grep -hs ^status: .swamp/outputs/command/shell/execute/*-* >> records",
        "trap 'sleep 0.4; echo out >> order; exit 1' TERM",
        `${leavesPid("child")}; ${waitFor("go")} & wait $!; ${waitFor("go")}`,
      ].join("; "),
    );
    repo.model("quick", "echo quick >> quick");
    repo.workflow("w", [
      step("q", "quick"),
      nested("n", "inner", after("q", "succeeded")),
      step("z", "quick", after("n", "succeeded")),
    ]);
    repo.workflow("inner", [step("s", "slow")]);
    const run = repo.start("workflow", "run", "w");
    await repo.appears("child");
    const child = pidIn("child");
    run.kill(signal);
    const next = repo.start("model", "method", "run", "slow", "execute", "--stream");
    const { exitCode, stderr } = await run.done;
    expect(exitCode).toBe(code);
    expect(stderr).toContain(`Interrupted by ${signal}.`);
    expect(stderr).toContain("fen workflow resume");
    expect(isAtWork(child)).toBe(false);
    await next.says("run.started");
    repo.write("go", "");
    expect((await next.done).exitCode).toBe(0);
    // The next one came in when the child had ended and the record of its step was there.
    expect(repo.read("order")).toBe("in\nout\nin\n");
    expect(repo.read("records")).toContain("status: cancelled");
    const parent = repo.runIds().find((id) => repo.record(id).workflowName === "w") ?? "";
    for (const id of repo.runIds()) expect(repo.record(id).status).toBe("cancelled");
    expect(repo.record(parent).jobs[0].steps.map((one: { status: string }) => one.status)).toEqual([
      "succeeded",
      "cancelled",
      "skipped",
    ]);
    await repo.expectNothingLeft();
    expect((await documentOf(repo, `workflow resume ${parent}`)).status).toBe("succeeded");
    expect(repo.read("quick")).toBe("quick\nquick\n");
    expect(repo.runIds()).toHaveLength(2);
  });

  test("a step that was stopped, and whose run died before it could say so, begins again as any that was stopped", async () => {
    repo.model("m", `[ -e go ] && exit 0; trap 'exit 1' TERM; touch begun; ${waitFor("never")}`);
    repo.workflow("w", [step("s", "m")]);
    const run = repo.start("workflow", "run", "w");
    await repo.appears("begun");
    run.kill("SIGINT");
    const { stderr } = await run.done;
    expect(stderr).toContain("Steps of w: 1 cancelled.");
    const [id = ""] = repo.runIds();
    const path = `.swamp/workflow-runs/${workflowId(1)}/workflow-run-${id}.journal`;
    const lines = repo.read(path).split("\n");
    repo.write(
      path,
      `${lines
        .slice(
          0,
          lines.findIndex((line) => line.includes('"e":"end"')),
        )
        .join("\n")}\n`,
    );
    repo.write("go", "");
    expect(await documentOf(repo, `workflow resume ${id}`)).toMatchObject({ status: "succeeded" });
    expect(repo.journal(id).filter((one) => one.e === "end")).toMatchObject([{ s: "cancelled" }, { s: "succeeded" }]);
    await repo.expectNothingLeft();
  });

  test("a run that died before it had given back what nobody wants any more leaves nothing when it is gone on with", async () => {
    const early = repo.model("early", "true");
    const late = repo.model("late", `[ -e go ] || { ${leavesPid("late")}; ${waitFor("never")}; }`);
    repo.workflow("w", [step("a", "early"), step("b", "late", after("a", "succeeded"))]);
    const id = await dies("late");
    const recordOf = (model: string) => `.swamp/data/command/shell/${model}/.lock`;
    repo.write(recordOf(early), repo.read(recordOf(late)));
    const left = async () => (await repo.locks()).models.filter(({ state }) => state === "stale");
    await until(
      async () => (await left()).length === 2,
      () => "what it has left",
    );
    repo.write("go", "");
    const record = repo.read(recordOf(early));
    expect((await documentOf(repo, `workflow resume ${id} --retry-unknown`)).status).toBe("succeeded");
    await repo.expectNothingLeft();
    // It may die when it has ended, too.
    repo.write(recordOf(late), record);
    expect(await errorOf(repo, `workflow resume ${id}`)).toMatchObject({ code: "run_ended" });
    await repo.expectNothingLeft();
  });

  test("lock-51: the second Ctrl-C ends it at once; what is left shows as what it is, and can be resumed", async () => {
    repo.model("stubborn", `[ -e go ] && exit 0; trap 'touch asked' TERM; ${leavesPid("child")}; ${waitFor("go")}`);
    repo.workflow("w", [step("s", "stubborn")]);
    const run = repo.start("workflow", "run", "w");
    await repo.appears("child");
    run.kill("SIGINT");
    await repo.appears("asked");
    const before = Date.now();
    run.kill("SIGINT");
    expect((await run.done).exitCode).toBe(130);
    expect(Date.now() - before).toBeLessThan(3000);
    expect((await repo.locks()).models).toMatchObject([{ modelName: "stubborn", state: "orphaned" }]);
    expect((await documentOf(repo, "workflow history search")).results).toMatchObject([{ status: "interrupted" }]);
    repo.write("go", "");
    await until(
      () => !isAtWork(pidIn("child")),
      () => "the end of the child",
    );
    const [id = ""] = repo.runIds();
    expect((await documentOf(repo, `workflow resume ${id} --retry-unknown`)).status).toBe("succeeded");
    await repo.expectNothingLeft();
  });

  test("lock-54: a signal while the run waits for its locks ends it promptly and leaves the holder alone", async () => {
    repo.model("busy", `touch begun; ${waitFor("go")}`);
    repo.workflow("w", [step("s", "busy")]);
    const holder = repo.start("model", "method", "run", "busy", "execute");
    await repo.appears("begun");
    const run = repo.start("workflow", "run", "w");
    await run.says("waiting for the lock");
    const before = Date.now();
    run.kill("SIGINT");
    expect((await run.done).exitCode).toBe(130);
    expect(Date.now() - before).toBeLessThan(2000);
    expect(repo.runIds()).toEqual([]);
    expect((await repo.locks()).models).toMatchObject([{ modelName: "busy" }]);
    repo.write("go", "");
    expect((await holder.done).exitCode).toBe(0);
  });
});

test("what takes longer than 10 s after a signal is broken off: that is said, and the run can be gone on with", async () => {
  repo.model("m", `${leavesPid("child")}; ${waitFor("go")}`);
  repo.workflow("w", [step("s", "m")]);
  // A disk that doesn't answer any more.
  const slow = "fs.existsSync('hung') ? setTimeout(done, 60_000) : ask(fd, done)";
  const each = `const ask = fs[name]; fs[name] = (fd, done) => ${slow};`;
  repo.write("disk.cjs", `const fs = require("node:fs"); for (const name of ["fsync", "fdatasync"]) { ${each} }`);
  const env = { NODE_OPTIONS: "--require ./disk.cjs" };
  const run = startFen(["workflow", "run", "w"], { cwd: repo.path, env });
  await repo.appears("child");
  repo.write("hung", "");
  run.kill("SIGTERM");
  const { exitCode, stderr } = await run.done;
  expect(exitCode).toBe(143);
  expect(stderr).toContain(
    "Interrupted by SIGTERM, and ended before everything was written: that took longer than 10 s.",
  );
  const [id = ""] = repo.runIds();
  repo.write("go", "");
  expect(await documentOf(repo, `workflow resume ${id} --retry-unknown`)).toMatchObject({ status: "succeeded" });
  await repo.expectNothingLeft();
}, 30_000);

describe("defect-17: kill -9", () => {
  test("the run isn't running; a step that was at work is asked about, and what had ended stays ended", async () => {
    repo.model("quick", "echo quick >> quick");
    repo.model("slow", `[ -e go ] && echo second && exit 0; ${leavesPid("child")}; ${waitFor("go")}`);
    repo.workflow("w", [
      step("q", "quick"),
      step("s", "slow", after("q", "succeeded")),
      step("z", "quick", after("s", "completed")),
      step("y", "quick", after("s", "skipped")),
    ]);
    const id = await dies("child");
    expect(await errorOf(repo, `workflow cancel ${id}`)).toMatchObject({ code: "run_ended" });
    const before = repo.journal(id);
    expect(await errorOf(repo, `workflow resume ${id}`)).toMatchObject({
      code: "resume_choice_needed",
      steps: ["only/s"],
      hint: expect.stringContaining("--retry-unknown"),
    });
    expect(repo.journal(id)).toEqual(before);
    repo.write("go", "");
    const resumed = await documentOf(repo, `workflow resume ${id} --skip-unknown`);
    expect(resumed.jobs[0].steps.map((one: { status: string }) => one.status)).toEqual([
      "succeeded",
      "skipped",
      "skipped",
      "succeeded",
    ]);
    expect(repo.read("quick")).toBe("quick\nquick\n");
    await repo.expectNothingLeft();
  });

  test("what was left out stays left out when failed steps are repeated", async () => {
    repo.model("bad", "[ -e fixed ] || exit 3; echo repaired");
    repo.model("slow", `${leavesPid("child")}; ${waitFor("go")}; echo again > again`);
    repo.workflow("w", [step("b", "bad"), step("s", "slow", after("b", "completed"))]);
    const id = await dies("child");
    repo.write("go", "");
    repo.write("fixed", "");
    expect((await repo.fen("workflow", "resume", id, "--skip-unknown")).exitCode).toBe(1);
    const repeated = await documentOf(repo, `workflow resume ${id} --failed`);
    expect(repeated.jobs[0].steps.map((one: { status: string }) => one.status)).toEqual(["succeeded", "skipped"]);
    expect(repo.has("again")).toBe(false);
    await repo.expectNothingLeft();
  });

  test("a policy for interrupted steps answers for them", async () => {
    repo.model("slow", `[ -e go ] && exit 0; ${leavesPid("child")}; ${waitFor("go")}`);
    repo.model("spent", `${leavesPid("spent-child")}; ${waitFor("go")}`);
    repo.workflow("w", [
      step("s", "slow", { retry: { attempts: 2, on: ["interrupted"] } }),
      step("t", "spent", { retry: { attempts: 1, on: ["interrupted"] }, allowFailure: true }),
    ]);
    const id = await dies("child", "spent-child");
    repo.write("go", "");
    expect(await documentOf(repo, `workflow resume ${id}`)).toMatchObject({
      status: "succeeded",
      jobs: [
        {
          steps: [
            { status: "succeeded", attempts: 2 },
            { status: "failed", allowedFailure: true, error: "The run died while the step was at work." },
          ],
        },
      ],
    });
    await repo.expectNothingLeft();
  });

  test("a run of a nested workflow goes on, too, where only the list of its fan-out depends on data", async () => {
    repo.model("list", "echo a,b");
    repo.model("slow", `${leavesPid("child")}; ${waitFor("go")}; echo \${{ inputs.x }} >> done`, {
      inputs: { properties: { x: { type: "string" } } },
    });
    const list = "${{ data.latest('list', 'result').attributes.stdout.trim().split(',') }}";
    const fan = { forEach: { item: "x", in: list }, inputs: { x: "${{ self.x }}" } };
    repo.workflow("w", [step("l", "list"), nested("n", "inner", { ...fan, ...after("l", "succeeded") })]);
    repo.workflow("inner", [step("s", "slow", { inputs: { x: "${{ inputs.x }}" } })], {
      inputs: { properties: { x: { type: "string" } } },
    });
    const id = await dies("child");
    repo.write("go", "");
    expect(await documentOf(repo, `workflow resume ${id} --retry-unknown`)).toMatchObject({ status: "succeeded" });
    expect(repo.read("done").split("\n").sort()).toEqual(["", "a", "b"]);
    await repo.expectNothingLeft();
  });

  test("records of steps that it had not come to are written: those of nested workflows that had ended, too", async () => {
    repo.model("slow", `[ -e go ] && exit 0; ${leavesPid("child")}; ${waitFor("go")}`);
    repo.model("quick", "true");
    repo.workflow("w", [nested("n", "outer"), step("s", "slow", after("n", "succeeded"))]);
    repo.workflow("outer", [nested("n", "inner"), step("o", "quick")]);
    repo.workflow("inner", [step("i", "quick")]);
    const id = await dies("child");
    const folder = ".swamp/outputs/command/shell/execute";
    const names = () => readdirSync(join(repo.path, folder));
    const [first, ...others] = names();
    repo.write(`${folder}/${first}`, ""); // as a power cut leaves it
    for (const name of others) rmSync(join(repo.path, folder, name));
    repo.write("go", "");
    expect(await documentOf(repo, `workflow resume ${id} --retry-unknown`)).toMatchObject({ status: "succeeded" });
    const steps = names().map((name) => /^ *stepName: (.*)$/m.exec(repo.read(`${folder}/${name}`))?.[1]);
    expect(steps.sort()).toEqual(["i", "o", "s"]);
  });

  test("of a large run, whose records another thread writes, each step has one in the end, whole", async () => {
    for (const n of [0, 1, 2, 3]) repo.model(`m-${n}`, "true");
    const fan = { item: "n", in: `\${{ ${JSON.stringify(Array.from({ length: 560 }, (_, n) => n))} }}` };
    const task = { type: "model_method", modelIdOrName: "m-${{ string(self.n % 4) }}", methodName: "execute" };
    repo.workflow("w", [{ name: "s-${{ self.n }}", forEach: fan, task }]);
    const run = repo.start("workflow", "run", "w", "--json");
    const folder = join(repo.path, ".swamp/outputs/command/shell/execute");
    const names = () => (existsSync(folder) ? readdirSync(folder) : []);
    await until(
      () => names().length > 530,
      () => `530 records, of ${names().length}`,
      { limitMs: 90_000 },
    );
    run.kill("SIGKILL");
    await run.done;
    const [id = ""] = repo.runIds();
    await documentOf(repo, `workflow resume ${id} --retry-unknown`);
    const steps = names().map((name) => /^ *stepName: (.*)$/m.exec(readFileSync(join(folder, name), "utf8"))?.[1]);
    expect(new Set(steps.filter((step) => step !== undefined)).size).toBe(560);
  });

  test("a resume that waits for what a step at work had locked itself can be cancelled, and leaves the run as it was", async () => {
    repo.model("slow", `[ -e again ] && ${waitFor("go")}; [ -e go ] || { ${leavesPid("child")}; ${waitFor("go")}; }`);
    repo.workflow("w", [step("s", "slow")], { lock: "step" });
    const id = await dies("child");
    repo.write("again", "");
    const holder = repo.start("model", "method", "run", "slow", "execute", "--stream");
    await holder.says("run.started");
    const resume = repo.start("workflow", "resume", id, "--retry-unknown", "--json");
    await resume.says("lock.waiting");
    expect(await documentOf(repo, `workflow cancel ${id}`)).toMatchObject({ id, status: "ended" });
    expect((await resume.done).error()).toMatchObject({ code: "run_cancelled" });
    expect((await documentOf(repo, "workflow history search")).results).toMatchObject([{ status: "interrupted" }]);
    repo.write("go", "");
    await holder.done;
    expect(await documentOf(repo, `workflow resume ${id} --retry-unknown`)).toMatchObject({ status: "succeeded" });
    await repo.expectNothingLeft();
  });

  test("of failed steps that begin again is one of which the journal doesn't know yet that it failed", async () => {
    repo.model("m", "[ -e go ]");
    repo.workflow("w", [step("s", "m"), step("t", "m", { ...after("s", "succeeded"), allowFailure: true })]);
    expect((await repo.fen("workflow", "run", "w")).exitCode).toBe(1);
    const [id = ""] = repo.runIds();
    const path = `.swamp/workflow-runs/${workflowId(1)}/workflow-run-${id}.journal`;
    const lines = repo.read(path).split("\n");
    const ended = lines.findIndex((line) => line.includes('"e":"end"'));
    repo.write(path, `${lines.slice(0, ended).join("\n")}\n`);
    repo.write("go", "");
    expect(await documentOf(repo, `workflow resume ${id} --failed`)).toMatchObject({ status: "succeeded" });
    expect(repo.journal(id).filter((one) => one.e === "end" && one.n === 0)).toMatchObject([
      { s: "failed" },
      { s: "succeeded" },
    ]);
    await repo.expectNothingLeft();
  });

  test("the time between its death and the resume is nobody's: not the run's, a job's or a step's, and in no timeline", async () => {
    repo.model("slow", `[ -e go ] && exit 0; ${leavesPid("child")}; ${waitFor("go")}`);
    repo.model("quick", "true");
    repo.workflow("w", [
      step("s", "slow", { retry: { attempts: 2, on: ["interrupted"] } }),
      step("z", "quick", after("s", "succeeded")),
    ]);
    const id = await dies("child");
    // As if that were an hour ago.
    const hour = 3_600_000;
    const path = `.swamp/workflow-runs/${workflowId(1)}/workflow-run-${id}.journal`;
    repo.write(
      path,
      repo.read(path).replaceAll(/"at":(\d+)/g, (_, at: string) => `"at":${Number(at) - hour}`),
    );
    repo.write("go", "");
    await documentOf(repo, `workflow resume ${id}`);
    const { duration, jobs, startedAt } = await documentOf(repo, `workflow history get ${id}`);
    expect(Date.now() - Date.parse(startedAt)).toBeGreaterThan(hour);
    const durations = [duration, jobs[0].duration, ...jobs[0].steps.map((one: { duration: number }) => one.duration)];
    expect(durations).toHaveLength(4);
    for (const one of durations) expect(one).toBeLessThan(hour / 2);
    for (const one of durations.slice(1)) expect(one).toBeLessThanOrEqual(duration);
    expect((await documentOf(repo, "workflow history search")).results[0].duration).toBe(duration);
    const timeline = await documentOf(repo, `workflow history timeline ${id}`);
    for (const { segments } of timeline.steps)
      for (const { to } of segments) expect(to).toBeLessThanOrEqual(timeline.duration);
  });

  test("of several who go on with a run one does", async () => {
    repo.model(
      "slow",
      `[ -e go ] && echo again >> again && sleep 0.3 && exit 0; ${leavesPid("child")}; ${waitFor("go")}`,
    );
    repo.workflow("w", [step("s", "slow")]);
    const id = await dies("child");
    repo.write("go", "");
    const resumes = Array.from({ length: 4 }, () => repo.start("workflow", "resume", id, "--retry-unknown", "--json"));
    const done = await Promise.all(resumes.map((one) => one.done));
    expect(done.filter((one) => one.exitCode === 0)).toHaveLength(1);
    for (const one of done.filter((other) => other.exitCode !== 0))
      expect(["run_alive", "run_ended"]).toContain(one.error().code);
    expect(repo.read("again")).toBe("again\n");
    await repo.expectNothingLeft();
  });
});
