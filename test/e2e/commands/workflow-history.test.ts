/** Looking back at runs and following those that go on: `workflow history search|list|get|logs|timeline|watch`, `workflow run search`. */
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Scratch, scratchRepo, until } from "../../support/cli.ts";
import { documentOf, errorOf, eventsIn, textOf } from "../../support/documents.ts";
import { journalOf, leaveJournal } from "../../support/run-journals.ts";
import { problemsOf } from "../../support/schemas.ts";

const day = 24 * 3600 * 1000;

/** Writes a workflow of one job; each step calls a model of its name. */
function workflow(repo: Scratch, name: string, steps: Readonly<Record<string, string>>, more: object = {}): void {
  for (const [step, run] of Object.entries(steps)) repo.model(step, run);
  const id = `d0000000-0000-4000-a000-${name.length.toString().padStart(12, "0")}`;
  const task = (step: string) => ({ type: "model_method", modelIdOrName: step, methodName: "execute" });
  const jobs = [{ name: "all", steps: Object.keys(steps).map((step) => ({ name: step, task: task(step) })) }];
  repo.write(`workflows/workflow-${id}.yaml`, JSON.stringify({ id, name, jobs, ...more }));
}

describe("runs that were", () => {
  let repo: Scratch;
  let old: { run: string; workflow: string };
  beforeAll(async () => {
    repo = await scratchRepo();
    const names = ["first", "second", "third"];
    for (const [index, name] of names.entries()) {
      const startedAt = Date.now() - (3 - index) * 10 * day;
      const tags = { site: index === 1 ? "ams" : "fra" };
      const entries = journalOf({ seed: index + 1, steps: 12, failing: index === 2 ? 0.5 : 0, name, startedAt, tags });
      leaveJournal(repo.path, entries);
      if (index === 0 && entries[0]?.e === "run") old = { run: entries[0].run, workflow: entries[0].definition.id };
    }
  });
  afterAll(() => repo.remove());
  const names = (found: { results: { workflowName: string }[] }) => found.results.map((one) => one.workflowName);

  test("are listed newest first; text in ids, name or status", async () => {
    expect(await textOf(repo, "workflow history search")).toMatchInlineSnapshot(`
      "ID        WORKFLOW  STATUS     STARTED (UTC)        TOOK
      <id>  third     failed     <time>  <duration>
      <id>  second    succeeded  <time>  <duration>
      <id>  first     succeeded  <time>  <duration>"
    `);
    expect(names(await documentOf(repo, "workflow history search"))).toEqual(["third", "second", "first"]);
    expect(names(await documentOf(repo, "workflow history list"))).toEqual(["third", "second", "first"]);
    expect(names(await documentOf(repo, "workflow run search FAILED"))).toEqual(["third"]);
    expect((await documentOf(repo, `workflow history search ${old.run.slice(4, 18)}`)).results).toMatchObject([
      { runId: old.run, workflowId: old.workflow, workflowName: "first", status: "succeeded", tags: { site: "fra" } },
    ]);
    expect(await textOf(repo, "workflow history search nothing")).toBe("No runs.");
  });

  test("are narrowed by flags; the limit counts what fits", async () => {
    const found = async (flags: string) => names(await documentOf(repo, `workflow run search ${flags}`));
    expect(await found("--since 25d")).toEqual(["third", "second"]);
    expect(await found("--status succeeded")).toEqual(["second", "first"]);
    expect(await found("--workflow second")).toEqual(["second"]);
    expect(await found(`--workflow ${old.workflow}`)).toEqual(["first"]);
    expect(await found("--tag site=ams")).toEqual(["second"]);
    expect(await found("--tag site=ams --tag site2=x")).toEqual([]);
    expect(await found("first --limit 1")).toEqual(["first"]);
    expect(await found("--limit 2")).toEqual(["third", "second"]);
  });

  test("are shown by their id, its first digits, or as the newest of a workflow, also of one that is gone", async () => {
    const whole = await documentOf(repo, `workflow history get ${old.run}`);
    expect(whole).toMatchObject({ id: old.run, workflowName: "first", status: "succeeded", tags: { site: "fra" } });
    for (const by of [old.run.slice(0, 8).toUpperCase(), "first", old.workflow])
      expect(await documentOf(repo, `workflow history get ${by}`)).toEqual(whole);
    const text = await textOf(repo, "workflow history get third");
    expect(text).toContain("third  failed");
    expect(text).toMatch(/^ {2}failed +step-1-\d+ .*Command exited with code 3: no route to host$/m);
    expect(text).toContain("fen workflow resume");
  });

  test("have a timeline, as text and as data", async () => {
    const timeline = await documentOf(repo, "workflow history timeline third");
    expect(timeline.steps).toHaveLength(12);
    const failed = timeline.steps.find((step: { status: string }) => step.status === "failed");
    expect(failed).toMatchObject({ error: "Command exited with code 3: no route to host" });
    for (const { segments } of timeline.steps)
      for (const [at, { from, to }] of segments.entries()) {
        expect(to).toBeGreaterThanOrEqual(from);
        expect(from).toBeGreaterThanOrEqual(segments[at - 1]?.to ?? 0);
        expect(to).toBeLessThanOrEqual(timeline.duration);
      }
    const text = await textOf(repo, "workflow history timeline third");
    expect(text).toMatch(/^✔ job-\d\/\S+ +█+ <duration>$/m);
    expect(text).toMatch(/^✘ job-\d\/\S+ .*█/m);
    const { stdout } = await repo.fen("workflow", "history", "timeline", "third");
    expect(stdout.split("\n").filter((line) => line.length > 100)).toEqual([]);
  });

  test("become a page in the file that is named, which is told; missing folders are made, a page that is there is replaced", async () => {
    const html = join(repo.path, "deep/run.html");
    for (let times = 0; times < 2; times++)
      expect(await documentOf(repo, "workflow history timeline third --html deep/run.html")).toMatchObject({ html });
    expect(readFileSync(html, "utf8")).toMatch(/^<!doctype html>/);
    expect((await textOf(repo, "workflow history timeline third --html deep/run.html")).split("\n")[0]).toBe(
      "<repo>/deep/run.html",
    );
  });

  test.each([
    ["workflow run search --status done", "usage"],
    ["workflow run search --since soon", "usage"],
    ["workflow run search --tag site", "input_invalid"],
    ["workflow run search --limit 0", "usage"],
    ["workflow history search a b", "usage"],
    ["workflow history list --limit x", "usage"],
    ["workflow history get", "usage"],
    ["workflow history get nobody", "run_missing"],
    ["workflow history get ab", "run_missing"],
    ["workflow history logs nobody", "run_missing"],
    ["workflow history logs first", "run_missing"],
    ["workflow history logs first --tail -1", "usage"],
    ["workflow history timeline nobody", "run_missing"],
    ["workflow history timeline first --html .", "usage"],
    ["workflow history timeline first --html nowhere/", "usage"],
    ["workflow history timeline first --html /dev/null", "usage"],
    ["workflow history timeline first --html .swamp.yaml/run.html", "store_unavailable"],
    [`workflow history timeline first --html ${"x".repeat(300)}.html`, "store_unavailable"],
    ["workflow history watch nobody", "run_missing"],
  ])("refused: %s", async (line, code) => {
    expect(await errorOf(repo, line)).toMatchObject({ code });
  });

  test("whose ids begin alike are an error that names them; a workflow that never ran says so", async () => {
    const other = await scratchRepo();
    for (const end of ["1", "2"]) {
      const [first, ...rest] = journalOf({ seed: 9, steps: 1 });
      if (first?.e === "run") leaveJournal(other.path, [{ ...first, run: `${first.run.slice(0, -1)}${end}` }, ...rest]);
    }
    const { results } = await documentOf(other, "workflow history search");
    const error = await errorOf(other, `workflow history get ${results[0].runId.slice(0, 12)}`);
    expect(error).toMatchObject({ code: "id_ambiguous", hint: expect.stringContaining(results[1].runId) });
    workflow(other, "idle", { lazy: "true" });
    expect(await errorOf(other, "workflow history get idle")).toMatchObject({
      code: "run_missing",
      hint: "Run it: fen workflow run idle",
    });
    other.remove();
  });

  test("that can't be read are warned of and hide no other; a damaged line is told", async () => {
    const other = await scratchRepo();
    const good = leaveJournal(other.path, journalOf({ seed: 1, steps: 5, name: "good" }));
    const bad = leaveJournal(other.path, journalOf({ seed: 2, steps: 5, name: "bad" }));
    writeFileSync(bad, "not a journal\n");
    const lines = readFileSync(good, "utf8").split("\n");
    writeFileSync(good, [...lines.slice(0, 4), "damaged", ...lines.slice(4)].join("\n"));
    const done = await other.fen("workflow", "history", "search", "--json");
    expect(names(done.json())).toEqual(["good"]);
    expect(eventsIn(done.stderr)).toMatchObject([{ event: "warning", message: expect.stringContaining(bad) }]);
    expect((await documentOf(other, "workflow history get good")).problems).toEqual([`${good}:5: it isn't an entry`]);
    expect(await textOf(other, "workflow history get good")).toContain("warning: ");
    other.remove();
  });
});

test("the runs of an older program's repository are listed, shown and drawn, their logs printed", async () => {
  const repo = await scratchRepo();
  cpSync(fileURLToPath(new URL("../../fixtures/existing-repo", import.meta.url)), repo.path, { recursive: true });
  const found = await documentOf(repo, "workflow history search");
  expect(found.results.map((run: { workflowName: string; status: string }) => [run.workflowName, run.status])).toEqual([
    ["acme-report-only", "succeeded"],
    ["acme-greet-all", "succeeded"],
  ]);
  const run = await documentOf(repo, "workflow history get acme-greet-all");
  expect(run).toMatchObject({ id: "952dea75-2f6b-42e9-9d97-291116f77f99", startedAt: "2026-11-24T00:17:17.412Z" });
  expect(run.jobs[0]).toMatchObject({ name: "greet", status: "succeeded" });
  expect(run.jobs[0].steps.map((step: { name: string; status: string }) => [step.name, step.status])).toEqual([
    ["greet-a", "succeeded"],
    ["greet-b", "succeeded"],
  ]);
  const logs = await documentOf(repo, "workflow history logs 952dea75 --tail 3");
  expect(logs.lineCount).toBeGreaterThan(20);
  expect(logs.lines).toHaveLength(3);
  expect(await textOf(repo, "workflow history logs 952dea75")).toContain("hi a from web-01.example");
  const { steps } = await documentOf(repo, "workflow history timeline acme-greet-all");
  expect(steps[0]).toMatchObject({
    name: "greet-a",
    model: "acme-web-01",
    segments: [{ kind: "run", from: 5, to: 88 }],
  });
  expect(await documentOf(repo, "workflow history watch acme-greet-all")).toEqual(run);
  repo.remove();
});

describe("a run that goes on", () => {
  let repo: Scratch;
  beforeEach(async () => {
    repo = await scratchRepo();
  });
  afterEach(() => repo.remove());

  /** A step that goes on until a file is there. */
  const waitsFor = (file: string) => `echo begun; until [ -e ${file} ]; do sleep 0.02; done`;
  const begun = async (): Promise<string> => {
    let id = "";
    await until(
      async () => {
        const { results } = (await repo.fen("workflow", "history", "search", "--json")).json();
        id = results[0]?.runId ?? "";
        if (id === "") return false;
        const { jobs } = (await repo.fen("workflow", "history", "get", id, "--json")).json();
        return jobs[0].steps.some((step: { status: string }) => step.status === "running");
      },
      () => "a run with a step at work",
    );
    return id;
  };

  test("is running as long as it is alive, interrupted as soon as it isn't", async () => {
    workflow(repo, "slow", { quick: "true", slow: waitsFor("go") });
    const running = repo.start("workflow", "run", "slow");
    const id = await begun();
    expect(await documentOf(repo, "workflow history get slow")).toMatchObject({ id, status: "running" });
    expect(await textOf(repo, "workflow history get slow")).toContain("fen workflow history watch");
    const found = await documentOf(repo, "workflow run search --status running");
    expect(found).toMatchObject({ results: [{ runId: id }] });
    // What another machine sees, where only the record is in the datastore: the lock says that it is alive.
    const journal = join(repo.path, `.swamp/workflow-runs/${found.results[0].workflowId}/workflow-run-${id}.journal`);
    renameSync(journal, `${journal}.away`);
    expect(await documentOf(repo, "workflow history get slow")).toMatchObject({ id, status: "running" });
    running.kill("SIGKILL");
    await running.done;
    repo.write("go", ""); // ends what it had started
    expect(await documentOf(repo, "workflow history get slow")).toMatchObject({ id, status: "interrupted" });
    renameSync(`${journal}.away`, journal);
    const left = await documentOf(repo, "workflow history get slow");
    expect(left.status).toBe("interrupted");
    expect(left.jobs[0].status).toBe("interrupted");
    expect(JSON.stringify(left)).not.toContain('"running"');
    expect((await documentOf(repo, "workflow run search --status interrupted")).results).toHaveLength(1);
    expect(JSON.stringify(await documentOf(repo, "workflow history timeline slow"))).toContain('"lost"');
    const watched = await repo.fen("workflow", "history", "watch", "slow");
    expect(watched.exitCode).toBe(1);
    expect(watched.stderr).toContain("interrupted slow");
  });

  test("is followed to its end with its exit code: as lines, as one document, as events", async () => {
    workflow(repo, "slow", { good: waitsFor("go"), failing: `${waitsFor("go")}; echo last words >&2; exit 3` });
    const running = repo.start("workflow", "run", "slow");
    const id = await begun();
    const followers = [[], ["--json"], ["--stream"]].map((flags) =>
      repo.start("workflow", "history", "watch", id, ...flags),
    );
    const [text, json, stream] = followers;
    await text?.says("all/good");
    await stream?.says('"e":"start"');
    repo.write("go", "");
    expect((await running.done).exitCode).toBe(1);
    const [lines, document, events] = await Promise.all([text?.done, json?.done, stream?.done]);
    expect([lines?.exitCode, document?.exitCode, events?.exitCode]).toEqual([1, 1, 1]);
    expect(lines?.stdout).toBe("");
    expect(lines?.stderr).toMatch(/^ +\d+\.\d s {2}succeeded {2}all\/good /m);
    expect(lines?.stderr).toMatch(/^ +\d+\.\d s {2}failed {5}all\/failing /m);
    expect(problemsOf("workflow-history-watch", document?.json())).toEqual([]);
    expect(document?.json()).toMatchObject({ id, status: "failed" });
    const told = eventsIn(events?.stdout ?? "");
    const journal = readFileSync(
      join(repo.path, `.swamp/workflow-runs/${document?.json().workflowId}/workflow-run-${id}.journal`),
      "utf8",
    );
    const entries = told.filter(({ event }) => event === "workflow.entry").map(({ entry }) => entry);
    expect(entries).toEqual(
      journal
        .trimEnd()
        .split("\n")
        .map((line): unknown => JSON.parse(line)),
    );
    expect(told.filter(({ event }) => event === "workflow.output").map(({ line }) => line)).toContain("begun");
    expect(told.at(-1)).toMatchObject({ event: "result", result: { id, status: "failed" } });
  });

  test("goes on when the watching is ended by Ctrl-C", async () => {
    workflow(repo, "slow", { slow: waitsFor("go") });
    const running = repo.start("workflow", "run", "slow");
    const id = await begun();
    const watching = repo.start("workflow", "history", "watch", id);
    await watching.says("all/slow");
    watching.kill("SIGINT");
    expect((await watching.done).exitCode).toBe(130);
    repo.write("go", "");
    expect((await running.done).exitCode).toBe(0);
    expect(await documentOf(repo, `workflow history get ${id}`)).toMatchObject({ status: "succeeded" });
    expect(existsSync(join(repo.path, `.swamp/.fen/runs/${id}.owner`))).toBe(false);
  });

  test("that calls another is followed into it", async () => {
    workflow(repo, "inner", { deep: `${waitsFor("go")}; exit 4` });
    const id = "d0000000-0000-4000-a000-0000000000aa";
    const task = { type: "workflow", workflowIdOrName: "inner" };
    const jobs = [{ name: "outer", steps: [{ name: "calls", task }] }];
    repo.write(`workflows/workflow-${id}.yaml`, JSON.stringify({ id, name: "outermost", jobs }));
    const running = repo.start("workflow", "run", "outermost");
    await begun();
    const watching = repo.start("workflow", "history", "watch", "outermost");
    await watching.says("outer/calls › all/deep");
    repo.write("go", "");
    expect((await running.done).exitCode).toBe(1);
    const { exitCode, stderr } = await watching.done;
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/failed {5}outer\/calls › all\/deep /);
  });

  test("that calls another is followed into it, also where that is seen a moment later", async () => {
    workflow(repo, "inner", { deep: `touch at-work; ${waitsFor("go")}; exit 4` });
    const id = "d0000000-0000-4000-a000-0000000000aa";
    const task = { type: "workflow", workflowIdOrName: "inner" };
    const jobs = [{ name: "outer", steps: [{ name: "calls", task }] }];
    repo.write(`workflows/workflow-${id}.yaml`, JSON.stringify({ id, name: "outermost", jobs }));
    const running = repo.start("workflow", "run", "outermost");
    await until(
      () => existsSync(join(repo.path, "at-work")),
      () => "the inner run at work",
    );
    const runs = join(repo.path, ".swamp/workflow-runs");
    const inner = readdirSync(runs).find((one) => one !== id) ?? "";
    renameSync(join(runs, inner), join(repo.path, "inner-runs"));
    const watching = repo.start("workflow", "history", "watch", "outermost");
    await watching.says("outer/calls");
    renameSync(join(repo.path, "inner-runs"), join(runs, inner));
    await watching.says("outer/calls › all/deep");
    repo.write("go", "");
    expect((await running.done).exitCode).toBe(1);
    expect((await watching.done).exitCode).toBe(1);
  });
});

test("the words that may come next are runs and their workflows", async () => {
  const repo = await scratchRepo();
  const entries = journalOf({ seed: 1, steps: 3, name: "patch-fleet", failing: 0 });
  leaveJournal(repo.path, entries);
  const run = entries[0]?.e === "run" ? entries[0].run : "";
  const { stdout } = await repo.fen("__complete", "--", "workflow", "history", "get", "");
  expect(stdout).toBe(`${run}\tpatch-fleet, succeeded\n`);
  const next = await repo.fen("__complete", "--", "workflow", "run", "search", "--status", "x", "--");
  expect(next.stdout).toContain("--since\t");
  repo.remove();
});
