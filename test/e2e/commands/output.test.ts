/** Looking back: `model output search|get|data|logs`, `model method history search|get|logs`. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Scratch, scratchRepo, until } from "../../support/cli.ts";
import { documentOf, errorOf, textOf } from "../../support/documents.ts";

let repo: Scratch;
let first: { outputId: string; modelId: string; logFile: string };
let failed: { outputId: string };
beforeAll(async () => {
  repo = await scratchRepo();
  repo.model("hello", "echo one; echo two; echo err >&2");
  repo.model("failing", "echo partly; exit 3");
  repo.model("fresh", "true");
  first = await documentOf(repo, "model method run hello execute");
  failed = await documentOf(repo, "model method run failing execute", { exitCode: 1 });
  await documentOf(repo, "model method run hello execute");
});
afterAll(() => repo.remove());

const names = (document: { results: { modelName: string }[] }) => document.results.map((one) => one.modelName);

describe("search", () => {
  test("newest first; text in id, model, type, method or status", async () => {
    expect(await textOf(repo, "model output search")).toMatchInlineSnapshot(`
      "ID        MODEL    METHOD   STATUS     STARTED (UTC)        TOOK
      <id>  hello    execute  succeeded  <time>  <duration>
      <id>  failing  execute  failed     <time>  <duration>
      <id>  hello    execute  succeeded  <time>  <duration>"
    `);
    expect(names(await documentOf(repo, "model output search"))).toEqual(["hello", "failing", "hello"]);
    expect(await documentOf(repo, `model method history search ${first.outputId}`)).toMatchObject({
      query: first.outputId,
      results: [
        {
          id: first.outputId,
          definitionId: first.modelId,
          modelName: "hello",
          type: "command/shell",
          methodName: "execute",
          status: "succeeded",
        },
      ],
    });
    expect(names(await documentOf(repo, "model output search FAIL"))).toEqual(["failing"]);
    expect(names(await documentOf(repo, "model output search --limit 2"))).toEqual(["hello", "failing"]);
    expect(await documentOf(repo, "model output search nothing")).toEqual({ query: "nothing", results: [] });
    expect(await textOf(repo, "model method history search nothing")).toBe("No runs.");
  });

  test.each(["model output search --limit none", "model output search a b", "model method history search --limit 0"])(
    "refuses: %s",
    async (line) => {
      expect(await errorOf(repo, line)).toMatchObject({ code: "usage", exitCode: 2 });
    },
  );

  test("a record that can't be read is warned of and hides no other", async () => {
    repo.write(`.swamp/outputs/command/shell/execute/${first.modelId}-2026-01-01T00-00-00-000Z.yaml`, "id: [");
    expect(names(await documentOf(repo, "model output search"))).toEqual(["hello", "failing", "hello"]);
    expect((await repo.fen("model", "output", "search")).stderr).toContain("warning: ");
    repo.write(
      `.swamp/outputs/command/shell/execute/${first.modelId}-2026-01-01T00-00-00-000Z.yaml`,
      readFileSync(first.logFile.replace(/log$/, "yaml"), "utf8").replaceAll(first.outputId.slice(0, 8), "00000000"),
    );
    expect(names(await documentOf(repo, "model output search"))).toHaveLength(4);
  });

  test.each([
    ["nothing", "none", ""],
    ["zeros", "zeroed", "\0".repeat(800)],
  ])("one of which a power cut left %s is none", async (_, model, left) => {
    repo.model(model, "true");
    const { modelId, outputId } = await documentOf(repo, `model method run ${model} execute`);
    const empty = `.swamp/outputs/command/shell/execute/${modelId}-9026-01-01T00-00-00-000Z-aaaaaaaa.yaml`;
    repo.write(empty, left);
    const search = await repo.fen("model", "output", "search", model, "--json");
    expect(search.stderr).toBe("");
    expect(names(JSON.parse(search.stdout))).toEqual([model]);
    expect(await documentOf(repo, `model output get ${model}`)).toMatchObject({ id: outputId });
    expect(await errorOf(repo, "model output get aaaaaaaa")).toMatchObject({ code: "output_missing" });
    rmSync(join(repo.path, empty));
  });

  test("a run that runs says running", async () => {
    repo.model("endless", "sleep 60");
    const run = repo.start("model", "method", "run", "endless", "execute");
    await until(
      async () => (await documentOf(repo, "model output search endless")).results[0]?.status === "running",
      () => "the run",
    );
    expect(await documentOf(repo, "model output get endless")).toMatchObject({ status: "running", pid: run.child.pid });
    run.kill("SIGTERM");
    expect((await run.done).exitCode).toBe(143);
    expect(await documentOf(repo, "model output get endless")).toMatchObject({
      status: "cancelled",
      error: { message: "Interrupted by SIGTERM." },
    });
  });
});

describe("get", () => {
  test("by id, by its first digits, or by model (its newest)", async () => {
    expect(await textOf(repo, `model output get ${first.outputId}`)).toMatchInlineSnapshot(`
      "hello execute  succeeded
      id       <id>
      started  <time>
      took     <duration>
      log      .swamp/outputs/command/shell/execute/<id>-<stamp>-<id>.log
      data     result v1, log v1
      Log: fen model method history logs <id>   Data: fen model output data <id>"
    `);
    const record = await documentOf(repo, `model output get ${first.outputId}`);
    expect(record).toMatchObject({
      id: first.outputId,
      definitionId: first.modelId,
      modelName: "hello",
      status: "succeeded",
      retryCount: 0,
      provenance: { triggeredBy: "manual", modelVersion: "2026.02.09.1" },
      artifacts: {
        dataArtifacts: [
          { name: "result", version: 1 },
          { name: "log", version: 1 },
        ],
      },
    });
    expect(record.provenance.definitionHash).toMatch(/^[0-9a-f]{64}$/);
    expect(Date.parse(record.completedAt)).toBeGreaterThanOrEqual(Date.parse(record.startedAt));
    expect(await documentOf(repo, `model method history get ${first.outputId.slice(0, 8).toUpperCase()}`)).toEqual(
      record,
    );
    const newest = await documentOf(repo, "model method history get hello");
    expect(newest.artifacts.dataArtifacts).toMatchObject([{ version: 2 }, { version: 2 }]);
    expect(await documentOf(repo, `model output get ${failed.outputId}`)).toMatchObject({
      status: "failed",
      error: { message: "The command exited with code 3." },
    });
  });

  test.each([
    ["model output get 00", "output_missing", 1, "List them: fen model output search"],
    [
      "model output get ffffffff-ffff-4fff-8fff-ffffffffffff",
      "output_missing",
      1,
      "List them: fen model output search",
    ],
    ["model method history get fresh", "output_missing", 1, "Run it: fen model method run fresh <method>"],
    ["model method history get", "usage", 2, "Usage: fen model method history get <id|model>"],
  ])("refuses: %s", async (line, code, exitCode, hint) => {
    expect(await errorOf(repo, line)).toMatchObject({ code, exitCode, hint });
  });

  test("digits that fit several records are refused, with the ids that fit", async () => {
    const [a, b] = ["abcdef01-0000-4000-a000-000000000001", "abcdef01-0000-4000-a000-000000000002"];
    for (const id of [a, b]) {
      const text = `id: ${id}\ndefinitionId: ${first.modelId}\nmethodName: execute\nstatus: succeeded\nstartedAt: '2026-01-02T00:00:00.000Z'\n`;
      repo.write(
        `.swamp/outputs/command/shell/execute/${first.modelId}-2026-01-02T00-00-00-00${id.at(-1)}Z.yaml`,
        text,
      );
    }
    expect(await errorOf(repo, "model output get abcdef01")).toMatchObject({
      code: "id_ambiguous",
      exitCode: 2,
      hint: expect.stringContaining(a),
    });
    expect(await documentOf(repo, `model output get ${b}`)).toMatchObject({ id: b });
  });
});

describe("data", () => {
  test("the first that the run left, or what is named; a field of it", async () => {
    expect(await documentOf(repo, `model output data ${first.outputId}`)).toMatchObject({
      outputId: first.outputId,
      methodName: "execute",
      dataName: "result",
      version: 1,
      contentType: "application/json",
      data: { exitCode: 0, stdout: "one\ntwo" },
    });
    expect(await textOf(repo, `model output data ${first.outputId} --field stdout`)).toBe("one\ntwo");
    expect(await documentOf(repo, `model output data ${first.outputId} --field exitCode`)).toMatchObject({
      field: "exitCode",
      data: 0,
    });
    expect(await documentOf(repo, `model output data ${first.outputId} --name log --version 2`)).toMatchObject({
      dataName: "log",
      version: 2,
      contentType: "text/plain",
      data: "[stdout]\none\ntwo\n[stderr]\nerr",
    });
  });

  test("never another run's: the number of a version that was deleted may have been given again", async () => {
    const own = await scratchRepo();
    try {
      own.model("m", "echo $$");
      const run = () => documentOf(own, "model method run m execute");
      await run();
      const { outputId } = await run();
      for (const name of ["result", "log"]) await documentOf(own, `data delete m ${name} --version 2 --force`);
      const deleted = { code: "data_missing", exitCode: 1 };
      expect(await errorOf(own, `model output data ${outputId}`)).toMatchObject(deleted);
      const later = await run();
      for (const line of [`data ${outputId}`, `data ${outputId} --name log`, `logs ${outputId}`])
        expect(await errorOf(own, `model output ${line}`), line).toMatchObject(deleted);
      expect(await documentOf(own, `model output data ${later.outputId}`)).toMatchObject({ version: 2 });
    } finally {
      own.remove();
    }
  });

  test.each([
    ["--name nothing", "data_missing", 1, "It left: result, log"],
    ["--field nothing", "data_missing", 1, "Fields: exitCode, executedAt, command, durationMs, stdout, stderr"],
    ["--version 9", "data_missing", 1, "It has versions 1, 2."],
    ["--version x", "usage", 2, "For example: --version 10"],
  ])("refuses: %s", async (flags, code, exitCode, hint) => {
    const error = await errorOf(repo, `model output data ${first.outputId} ${flags}`);
    expect(error).toMatchObject({ code, exitCode });
    expect(error.hint).toBe(hint);
  });
});

describe("logs", () => {
  test("output logs: what the command wrote", async () => {
    expect(await textOf(repo, `model output logs ${first.outputId}`)).toBe("[stdout]\none\ntwo\n[stderr]\nerr");
    expect(await documentOf(repo, `model output logs ${first.outputId} --tail 2`)).toEqual({
      outputId: first.outputId,
      methodName: "execute",
      logArtifacts: [{ name: "log", version: 1 }],
      lines: ["[stderr]", "err"],
      totalLines: 5,
      showingLines: 2,
    });
    expect((await documentOf(repo, `model output logs ${first.outputId} --tail 0`)).lines).toEqual([]);
    expect(await errorOf(repo, `model output logs ${first.outputId} --tail -1`)).toMatchObject({
      code: "usage",
      exitCode: 2,
    });
    expect(await errorOf(repo, "model output logs 123456789")).toMatchObject({ code: "output_missing", exitCode: 1 });
  });

  test("history logs: the log of the run", async () => {
    expect(await textOf(repo, `model method history logs ${first.outputId}`)).toMatch(
      /\[INF\].*Executing method "execute"[^]*: one\n[^]*\[WRN\].*: err\n/,
    );
    const log = await documentOf(repo, `model method history logs ${first.outputId} --tail 1`);
    expect(log).toMatchObject({
      path: first.logFile,
      lineCount: readFileSync(first.logFile, "utf8").trimEnd().split("\n").length,
    });
    expect(log.lines).toEqual([readFileSync(first.logFile, "utf8").trimEnd().split("\n").at(-1)]);
    expect((await documentOf(repo, `model method history logs ${first.outputId} --tail 0`)).lines).toEqual([]);
    expect(await errorOf(repo, "model method history logs nothing")).toMatchObject({
      code: "output_missing",
      exitCode: 1,
    });
  });
});
