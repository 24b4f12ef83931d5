/** `model method run`: text, JSON, events, inputs, and what it refuses. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { program, type Scratch, scratchRepo, until } from "../../support/cli.ts";
import { documentOf, errorOf, eventsIn, textOf, tidy } from "../../support/documents.ts";
import { problemsOf } from "../../support/schemas.ts";

let repo: Scratch;
beforeAll(async () => {
  repo = await scratchRepo();
  repo.model("hello", "echo out; echo err >&2", { tags: { site: "ams" } });
  repo.model("failing", "echo partly; exit 3");
  repo.model("undeclared", "echo ${{ inputs.name }}");
  repo.model("greeter", "echo \"${{ inputs.greeting + ' ' + string(inputs.times * 2) + ' ' + inputs.who.name }}\"", {
    inputs: {
      properties: {
        greeting: { type: "string", default: "hi" },
        times: { type: "integer" },
        who: { type: "object", default: { name: "nobody" } },
      },
      required: ["times"],
    },
  });
});
afterAll(() => repo.remove());

describe("text", () => {
  test("the command's output on stdout, everything else on stderr", async () => {
    const { stdout, stderr, exitCode } = await repo.fen("model", "method", "run", "hello", "execute");
    expect({ stdout, exitCode }).toEqual({ stdout: "out\n", exitCode: 0 });
    expect(tidy(repo, stderr)).toBe("err\nsucceeded hello execute in <duration>   fen data get hello result");
    expect(await repo.fen("-q", "model", "method", "run", "hello", "execute")).toMatchObject({
      stdout: "out\n",
      stderr: "",
    });
    const verbose = await repo.fen("model", "method", "run", "hello", "execute", "-v");
    expect(tidy(repo, verbose.stderr)).toContain(
      "data result version 3: <repo>/.swamp/data/command/shell/<id>/result/3",
    );
  });

  test("a failure: exit code 1, and where its output is", async () => {
    const { stdout, stderr, exitCode } = await repo.fen("model", "method", "run", "failing", "execute");
    expect({ stdout, exitCode }).toEqual({ stdout: "partly\n", exitCode: 1 });
    expect(stderr).toBe("error: The command exited with code 3.\nIts output is kept: fen data get failing result\n");
    expect(await textOf(repo, "data get failing log --raw")).toBe("[stdout]\npartly");
  });
});

describe("--json", () => {
  test("one document with absolute paths that lead to the data and the log", async () => {
    const run = await documentOf(repo, "model method run hello execute --tag reason=test");
    expect(run).toMatchObject({
      modelName: "hello",
      type: "command/shell",
      methodName: "execute",
      status: "succeeded",
      data: {
        name: "result",
        attributes: { exitCode: 0, stdout: "out", stderr: "err", command: "echo out; echo err >&2" },
      },
      logs: [{ name: "log" }],
    });
    expect(JSON.parse(readFileSync(join(run.data.path, "raw"), "utf8"))).toEqual(run.data.attributes);
    expect(readFileSync(join(run.logs[0].path, "raw"), "utf8")).toBe("[stdout]\nout\n[stderr]\nerr");
    expect(readFileSync(run.logFile, "utf8")).toMatch(/\[INF\] .*: out\n.*\[WRN\] .*: err\n/);
    expect((await documentOf(repo, "data get hello result")).tags).toEqual({
      type: "resource",
      site: "ams",
      specName: "result",
      modelName: "hello",
      reason: "test",
    });
  });

  test("a failure: the document on stdout says so, exit code 1", async () => {
    expect(await documentOf(repo, "model method run failing execute", { exitCode: 1 })).toMatchObject({
      status: "failed",
      error: { message: "The command exited with code 3." },
      data: { attributes: { exitCode: 3, stdout: "partly" } },
    });
    expect((await documentOf(repo, "data get failing result")).tags.status).toBe("failed");
  });
});

describe("--stream", () => {
  test("each line is an event; the last is the document", async () => {
    const { stdout, stderr, exitCode } = await repo.fen("model", "method", "run", "hello", "execute", "--stream");
    expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
    const events = eventsIn(stdout);
    expect(events.map((event) => event.event)).toEqual(
      "lock.granted run.started run.output run.output run.data run.data run.finished result".split(" "),
    );
    expect(events.filter((event) => event.event === "run.output")).toEqual(
      expect.arrayContaining([
        { event: "run.output", stream: "stdout", line: "out" },
        { event: "run.output", stream: "stderr", line: "err" },
      ]),
    );
    expect(events.at(-1)).toMatchObject({ result: { modelName: "hello", status: "succeeded" } });
  });

  test("an error is JSON on stderr, and stdout holds only events", async () => {
    const { stdout, exitCode, error } = await repo.fen("model", "method", "run", "hello", "exec", "--stream");
    expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 1 });
    expect(error()).toMatchObject({ code: "method_missing" });
  });
});

describe("interrupted", () => {
  test("the events end with run.finished, the error says by what, the exit code is 128 + the signal", async () => {
    repo.model("endless", "echo begun; sleep 60");
    const run = repo.start("model", "method", "run", "endless", "execute", "--stream");
    await run.says("begun");
    run.kill("SIGINT");
    const done = await run.done;
    expect(done.exitCode).toBe(130);
    expect(done.error()).toMatchObject({ code: "interrupted", signal: "SIGINT", message: "Interrupted by SIGINT." });
    expect(problemsOf("error", JSON.parse(done.stderr))).toEqual([]);
    expect(eventsIn(done.stdout).at(-1)).toMatchObject({ event: "run.finished", status: "cancelled" });
    expect(await documentOf(repo, "data get endless log")).toMatchObject({
      content: "[stdout]\nbegun\n[stderr]\ncancelled",
      tags: { status: "cancelled" },
    });
  });
});

describe("a fen that a method calls", () => {
  test("is told at once that it would wait for its own caller", async () => {
    repo.model("nested", `"${process.execPath}" "${program}" data gc --force --json; echo $?`);
    const { stdout, stderr } = (await documentOf(repo, "model method run nested execute")).data.attributes;
    expect(stdout).toBe("75");
    expect(problemsOf("error", JSON.parse(stderr))).toEqual([]);
    expect(JSON.parse(stderr).error).toMatchObject({
      code: "lock_would_deadlock",
      resource: "datastore",
      heldMode: "exclusive",
      hint: expect.stringContaining("Run it outside of that method"),
    });
  });
});

describe("waiting", () => {
  test("is told as an event, as a line on stderr with --json, and ends with lock_timeout and exit code 75", async () => {
    repo.model("busy", "until [ -e enough ]; do sleep 0.02; done");
    const holder = repo.start("model", "method", "run", "busy", "execute");
    await until(
      async () => (await documentOf(repo, "datastore lock status")).models.length === 1,
      () => "the holder",
    );
    const stream = repo.start("model", "method", "run", "busy", "execute", "--stream");
    await stream.says("lock.waiting");
    const late = await errorOf(repo, "model method run busy execute --lock-timeout 400ms");
    expect(late).toMatchObject({
      code: "lock_timeout",
      exitCode: 75,
      retryable: true,
      blockedBy: "holder",
      place: 2,
      holder: { pid: holder.child.pid, command: expect.stringContaining("model method run busy execute") },
      hint: expect.stringContaining("--lock-timeout"),
    });
    const json = repo.start("model", "method", "run", "busy", "execute", "--json");
    await json.says("lock.waiting");
    expect(eventsIn(json.stderr)[0]).toMatchObject({ event: "lock.waiting", place: 2 });
    repo.write("enough", "");
    expect((await Promise.all([holder.done, stream.done, json.done])).map((one) => one.exitCode)).toEqual([0, 0, 0]);
    const [first, second] = eventsIn(stream.stdout);
    expect(first).toMatchObject({
      event: "lock.waiting",
      blockedBy: "holder",
      place: 1,
      holder: { pid: holder.child.pid },
    });
    expect([second.event, eventsIn(stream.stdout).at(-1).event]).toContain("result");
    expect(json.stdout.trimStart()).toMatch(/^\{\n {2}"outputId"/);
  });
});

describe("inputs", () => {
  test("defaults, coercion, nesting, a file, and one JSON object", async () => {
    const said = async (line: string) =>
      (await documentOf(repo, `model method run greeter execute ${line}`)).data.attributes.stdout;
    expect(await said("--input times=2")).toBe("hi 4 nobody");
    expect(await said("--input times=3 --input greeting=hey --input who.name=Ada")).toBe("hey 6 Ada");
    expect(await said(`--input '{"times":1,"greeting":"yo"}'`)).toBe("yo 2 nobody");
    repo.write("inputs.yaml", "times: 5\nwho: { name: Bo }\n");
    repo.write("greeting.txt", "moin");
    expect(await said("--input-file inputs.yaml --input greeting=@greeting.txt")).toBe("moin 10 Bo");
  });

  test.each([
    ["model method run greeter execute", "input_invalid", 65, "times: is required"],
    ["model method run greeter execute --input times=many", "input_invalid", 65, "times"],
    ["model method run greeter execute --input times=1 --input tims=2", "input_invalid", 65, "did you mean times?"],
    ["model method run undeclared execute --input name=x", "input_invalid", 65, "which the definition doesn't declare"],
    ["model create command/shell new --global-arg x", "input_invalid", 65, "--global-arg needs key=value, not: x"],
    ["model method run greeter execute --input times", "input_invalid", 65, "--input needs key=value, not: times"],
    ["model method run greeter execute --input '{times'", "input_invalid", 65, "isn't JSON"],
    ["model method run greeter execute --input-file nowhere.yaml", "input_invalid", 65, "No such input file"],
    ["model method run greeter execute --input times=1 --tag x", "input_invalid", 65, "--tag needs key=value"],
    [
      "model method run greeter execute --input times=1 --lock-timeout soon",
      "usage",
      2,
      "--lock-timeout can't be soon",
    ],
    ["model method run hello exec", "method_missing", 1, "command/shell has no method exec."],
    ["model method run helo execute", "model_missing", 1, "No model is called helo."],
    ["model method run hello", "usage", 2, "<method> is missing"],
  ])("refuses, and runs nothing: %s", async (line, code, exitCode, message) => {
    const before = (await documentOf(repo, "model output search --limit 1000")).results.length;
    expect(await errorOf(repo, line)).toMatchObject({ code, exitCode, message: expect.stringContaining(message) });
    expect((await documentOf(repo, "model output search --limit 1000")).results).toHaveLength(before);
  });

  test("what can't be resolved is never passed on as text", async () => {
    repo.model("vaulted", "touch ran; echo ${{ vault.get('v', 'k') }}");
    expect(await errorOf(repo, "model method run vaulted execute")).toMatchObject({
      code: "expression_not_yet",
      exitCode: 65,
      key: "methods.execute.arguments.run",
      expression: "vault.get('v', 'k')",
    });
    repo.model("typo", "touch ran; echo ${{ self.nam }}");
    expect(await errorOf(repo, "model method run typo execute")).toMatchObject({
      code: "expression_failed",
      exitCode: 65,
    });
    repo.model("argless", "touch ran", { methods: { execute: { arguments: { rum: "touch ran" } } } });
    expect(await errorOf(repo, "model method run argless execute")).toMatchObject({
      code: "arguments_invalid",
      exitCode: 65,
    });
    expect(existsSync(join(repo.path, "ran"))).toBe(false);
  });
});
