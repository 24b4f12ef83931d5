/** What holds for every command, and the commands around the main job: version, help, completions, demo. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { catalog } from "../../../src/cli/catalog.ts";
import { parseLine } from "../../../src/cli/parse.ts";
import { program, runFen, type Scratch, scratchRepo } from "../../support/cli.ts";
import { documentOf, errorOf, eventsIn, onTerminal, textOf } from "../../support/documents.ts";

let repo: Scratch;
let outside: { path: string };
beforeAll(async () => {
  repo = await scratchRepo();
  repo.model("web-01", "echo hello");
  repo.model("web-02", "exit 3");
  outside = { path: mkdtempSync(join(tmpdir(), "fen-outside-")) };
});
afterAll(() => {
  repo.remove();
  rmSync(outside.path, { recursive: true });
});

describe("version, help, completions", () => {
  test("version works anywhere, in three spellings", async () => {
    const document = await documentOf(outside, "version");
    expect(document.version).toMatch(/^\d+\.\d+\.\d+/);
    for (const line of ["version", "--version", "-V"]) expect(await textOf(outside, line)).toBe(document.version);
    expect((await runFen(["--version", "--json"], { cwd: outside.path })).json()).toEqual(document);
    expect(await errorOf(outside, "version now")).toMatchObject({
      code: "usage",
      exitCode: 2,
      hint: "Usage: fen version",
    });
  });

  test("help --json is the whole command line, with schemas, exit codes and error codes", async () => {
    const help = await documentOf(outside, "help");
    expect(help.root.subcommands.find((one: { name: string }) => one.name === "data").subcommands[0]).toMatchObject({
      name: "delete",
      schema: "schemas/data-delete.json",
    });
    expect(help.exitCodes.map((one: { code: number }) => one.code)).toEqual([0, 1, 2, 65, 69, 70, 75, 78, 128]);
    expect(help.errorCodes).toContainEqual({
      code: "lock_timeout",
      kind: "contention",
      retryable: true,
      summary: "The lock was not free within the time given.",
      exitCode: 75,
    });
    for (const args of [["--help"], []])
      expect((await runFen([...args, "--json"], { cwd: outside.path })).json()).toEqual(help);
    expect((await documentOf(outside, "help model method run")).root).toMatchObject({
      name: "run",
      schema: "schemas/model-method-run.json",
      events: "schemas/events.json",
      options: expect.arrayContaining([expect.objectContaining({ name: "--lock-timeout", value: "TIME" })]),
    });
  });

  test("help as text, for a command, a group and everything", async () => {
    for (const line of ["help model get", "model get --help", "model get web-01 -h"])
      expect(await textOf(outside, line)).toMatch(/^Show a model\.\n\nUsage: fen model get <model> \[flags\]\n/);
    for (const line of ["help data", "data", "data --help"])
      expect(await textOf(outside, line)).toMatch(/^ {2}data gc +Delete/m);
    for (const line of ["help", "", "--help"])
      expect(await textOf(outside, line)).toMatch(/^ {2}model method run <model> <method> +Run/m);
  });

  test.each([
    ["help modle", "Did you mean: fen model? See: fen help"],
    ["modle get web-01", "Did you mean: fen model? See: fen help"],
    ["model gte web-01", "Did you mean: fen model get? See: fen model --help"],
    ["model gte --help", "Did you mean: fen model get? See: fen model --help"],
    ["data lits web-01", "Did you mean: fen data list? See: fen data --help"],
    ["datastore lock stauts", "Did you mean: fen datastore lock status? See: fen datastore lock --help"],
    ["xyzzy", "See: fen help"],
  ])("a command that isn't there: %s", async (line, hint) => {
    expect(await errorOf(repo, line)).toMatchObject({ code: "unknown_command", exitCode: 2, hint });
  });

  test("completions are scripts that their shell can read", async () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      const document = await documentOf(outside, `completions ${shell}`);
      expect(document).toMatchObject({ shell, script: expect.stringContaining("__complete") });
    }
    const script = await textOf(outside, "completions bash");
    expect(execFileSync("bash", ["-n"], { input: script, encoding: "utf8" })).toBe("");
    expect(await errorOf(outside, "completions tcsh")).toMatchObject({ code: "usage", exitCode: 2 });
    expect(await errorOf(outside, "completions")).toMatchObject({ code: "usage", exitCode: 2 });
  });

  test("__complete offers commands, models, types, methods and data", async () => {
    const offered = async (...words: string[]) => {
      const { stdout } = await runFen(["__complete", "--shell", "bash", "--", ...words], { cwd: repo.path });
      return stdout
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => line.split("\t")[0]);
    };
    await documentOf(repo, "model method run web-01 execute");
    expect(await offered("model", "m")).toEqual(["method"]);
    expect(await offered("model", "get", "")).toEqual(["web-01", "web-02"]);
    expect(await offered("model", "create", "c")).toEqual(["command/shell"]);
    expect(await offered("model", "method", "run", "web-01", "")).toEqual(["execute"]);
    expect(await offered("data", "get", "web-01", "r")).toEqual(["result"]);
    expect(await documentOf(repo, "__complete --shell bash model get web-01")).toEqual({
      candidates: ["web-01\tcommand/shell"],
    });
    expect(await documentOf(outside, "__complete model get web")).toEqual({ candidates: [] });
    expect(await errorOf(outside, "__complete --nonsense")).toMatchObject({ code: "usage", exitCode: 2 });
  });

  test("demo runs its fleet and leaves a repository to look at", async () => {
    const demo = await documentOf(outside, "demo --fast");
    try {
      expect(demo).toMatchObject({ failed: 0 });
      expect(demo.calls.length).toBeGreaterThan(20);
      expect((await documentOf({ path: demo.path }, "model search")).results).toHaveLength(20);
    } finally {
      rmSync(demo.path, { recursive: true });
    }
    expect(await errorOf(outside, "demo fast")).toMatchObject({ code: "usage", exitCode: 2 });
  });
});

describe.concurrent("every command", () => {
  test.each(catalog.map(({ path }) => path.join(" ")))("fen %s refuses a flag that isn't there", (path) => {
    // In this process: that an error of parsing ends a program rightly is shown above and below.
    const parse = () => parseLine([...path.split(" "), "--jso"]);
    expect(parse).toThrow("There is no flag --jso.");
    expect(parse).toThrow(
      expect.objectContaining({ code: "usage", hint: `Did you mean --json? See: fen ${path} --help` }),
    );
  });

  const standalone = [
    "init",
    "repo init",
    "demo",
    "model type search",
    "model type describe",
    "model type get",
    "workflow schema",
    "workflow schema get",
    "version",
    "help",
    "completions",
    "__complete",
  ];
  const inside = catalog.filter(({ path }) => !standalone.includes(path.join(" ")));
  test.each(inside.map(({ path, arguments: args = [] }) => [...path, ...args.map(() => "x")].join(" ")))(
    "fen %s needs a repository",
    async (line) => {
      const needs = {
        "lock release": "--force",
        "setup s3": "--bucket b",
        "setup filesystem": "--path p",
        evaluate: "--all",
      };
      const flag = Object.entries(needs).find(([words]) => line.endsWith(words))?.[1] ?? "";
      const needed = `${line} ${flag}`.trim();
      expect(await errorOf(outside, needed, { input: "name: x\n" })).toMatchObject({
        code: "repository_missing",
        exitCode: 78,
        hint: "Make one with: fen init   (or name one with --repo-dir)",
      });
    },
  );
});

describe("errors", () => {
  test("as text: the message, the next step, no stack; nothing on stdout", async () => {
    const { stdout, stderr } = await repo.fen("model", "get", "web-1");
    expect({ stdout, stderr }).toEqual({
      stdout: "",
      stderr: "error: No model is called web-1.\nDid you mean web-01? List the models: fen model search.\n",
    });
    expect((await repo.fen("model", "get", "web-1", "--debug")).stderr).toMatch(/\n {4}at /);
    expect((await errorOf(repo, "model get web-1 --debug")).stack).toMatch(/\n {4}at /);
    expect(await errorOf(repo, "model get web-1")).not.toHaveProperty("stack");
  });

  test("an argument that is empty is one that is missing", async () => {
    expect(await errorOf(repo, "model get ''")).toMatchObject({
      code: "usage",
      exitCode: 2,
      message: "<model> is missing: name or id of a model.",
      hint: "Usage: fen model get <model>",
    });
  });

  test("a value that is missing, or a switch that gets one", async () => {
    expect(await errorOf(repo, "model search --repo-dir")).toMatchObject({ code: "usage", exitCode: 2 });
    expect(await errorOf(repo, "model search --quiet=yes")).toMatchObject({ code: "usage", exitCode: 2 });
  });
});

describe("output that finds no room", () => {
  const into = (target: string, ...args: readonly string[]) =>
    runFen(args, { cwd: repo.path, as: ["sh", "-c", `"$@" ${target}`, "sh", process.execPath, program] });

  test("is an error: an empty file is no document", async () => {
    for (const args of [
      ["version", "--json"],
      ["model", "search", "--json"],
    ] as const) {
      const { exitCode, stderr } = await into("> /dev/full", ...args);
      expect(exitCode).toBe(69);
      expect(JSON.parse(stderr).error).toMatchObject({ code: "disk_full", hint: expect.any(String) });
    }
    expect(await into("> /dev/full", "version")).toMatchObject({ exitCode: 69 });
  });

  test("is an error for content too; a reader who has seen enough ends the reading", async () => {
    const id = repo.model("long", "seq 1 200000");
    await runFen(["model", "method", "run", "long", "execute"], { cwd: repo.path });
    const get = ["data", "get", "long", "log", "--raw"];
    const lost = await into("> /dev/full", ...get);
    expect(lost).toMatchObject({ exitCode: 69 });
    expect(lost.stderr).not.toContain("Warning");
    const cut = await into("| head -1", ...get);
    expect(cut).toMatchObject({ exitCode: 0, stdout: "[stdout]\n", stderr: "" });
    const whole = await into("> whole.txt; wc -l < whole.txt", ...get);
    expect(whole.stdout.trim()).toBe("200000");
    rmSync(join(repo.path, `models/command/shell/${id}.yaml`));
  });

  test("is none where nobody reads, or where the command failed anyway", async () => {
    expect(await into(">&-", "version")).toMatchObject({ exitCode: 0 });
    expect(await into("> /dev/full", "model", "get", "nope")).toMatchObject({ exitCode: 1 });
  });
});

describe("talk", () => {
  beforeAll(() => repo.write("models/broken.yaml", "id: ["));
  afterAll(() => rmSync(join(repo.path, "models/broken.yaml")));

  test("warnings go to stderr, as lines of JSON with --json; -q and the log level silence them", async () => {
    const said = async (args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
      const { stdout, stderr, exitCode } = await runFen([...args], { cwd: repo.path, env });
      expect({ exitCode, stdout: stdout.includes("web-01") }).toEqual({ exitCode: 0, stdout: true });
      return stderr;
    };
    expect(await said(["model", "search"])).toMatch(/^warning: .*broken\.yaml/);
    expect(eventsIn(await said(["model", "search", "--json"]))).toMatchObject([{ event: "warning" }]);
    expect(await said(["--log-level", "warning", "model", "search"])).toMatch(/^warning: /);
    for (const quiet of [["-q"], ["--quiet"], ["--log-level", "error"], ["--log-level=fatal"]]) {
      expect(await said([...quiet, "model", "search"])).toBe("");
      expect(await said(["model", "search", ...quiet, "--json"])).toBe("");
    }
    expect(await said(["model", "search"], { SWAMP_LOG_LEVEL: "error" })).toBe("");
    expect(await said(["model", "search", "--log-level", "info"], { SWAMP_LOG_LEVEL: "error" })).toMatch(/^warning: /);
    const marker = readFileSync(join(repo.path, ".swamp.yaml"), "utf8");
    try {
      repo.write(".swamp.yaml", `${marker}logLevel: error\n`);
      expect(await said(["model", "search"])).toBe("");
      expect(await said(["model", "search"], { SWAMP_LOG_LEVEL: "info" })).toMatch(/^warning: /);
      expect(await said(["model", "search", "--log-level", "info"])).toMatch(/^warning: /);
      repo.write(".swamp.yaml", `${marker}logLevel: debug\n`);
      expect((await repo.fen("model", "method", "run", "web-01", "execute")).stderr).toMatch(/^data log version /m);
      repo.write(".swamp.yaml", `${marker}logLevel: loud\n`);
      expect(await said(["model", "search"])).toMatch(/^warning: /);
    } finally {
      repo.write(".swamp.yaml", marker);
    }
    expect((await repo.fen("-q", "model", "get", "nothing")).stderr).toMatch(/^error: /);
    expect(await errorOf(repo, "model search --log-level loud")).toMatchObject({
      code: "usage",
      exitCode: 2,
      hint: "Levels: trace, debug, info, warning, error, fatal",
    });
  });

  test("flags of older scripts are accepted", async () => {
    expect((await repo.fen("--no-telemetry", "model", "search", "--show-properties", "--no-pager")).exitCode).toBe(0);
  });
});

describe("colour", () => {
  const esc = "\u001B[";
  const coloured = { NO_COLOR: "", FORCE_COLOR: "1" };

  test("never with NO_COLOR, --no-color, a dumb terminal, or in JSON", async () => {
    const search = async (env: Readonly<Record<string, string>>, ...flags: string[]) =>
      (await runFen(["model", "search", ...flags], { cwd: repo.path, env })).stdout;
    expect(await search(coloured)).toContain(esc);
    expect(await search({ NO_COLOR: "" })).not.toContain(esc);
    expect(await search({ ...coloured, NO_COLOR: "1" })).not.toContain(esc);
    expect(await search({ ...coloured, TERM: "dumb" })).not.toContain(esc);
    expect(await search(coloured, "--no-color")).not.toContain(esc);
    expect(await search(coloured, "--json")).not.toContain(esc);
    expect(onTerminal(repo, "model search", { env: { NO_COLOR: "", TERM: "xterm" } })).toContain(esc);
    expect(onTerminal(repo, "model search", { env: { TERM: "xterm" } })).not.toContain(esc);
  });
});

describe("which repository", () => {
  const search = async (args: readonly string[], options: { cwd: string; env?: Readonly<Record<string, string>> }) => {
    const result = await runFen([...args, "--json"], options);
    return result.exitCode === 0 ? result.json().results.length : result.error().code;
  };

  test("the nearest above the current folder", async () => {
    mkdirSync(join(repo.path, "a/b"), { recursive: true });
    expect(await search(["model", "search"], { cwd: join(repo.path, "a/b") })).toBe(2);
    await documentOf({ path: join(repo.path, "a") }, "init");
    expect(await search(["model", "search"], { cwd: join(repo.path, "a/b") })).toBe(0);
    expect(await search(["model", "search"], { cwd: repo.path })).toBe(2);
  });

  test("--repo-dir, wherever it stands, before SWAMP_REPO_DIR, before the current folder", async () => {
    const cwd = outside.path;
    expect(await search(["model", "search"], { cwd })).toBe("repository_missing");
    expect(await search(["--repo-dir", repo.path, "model", "search"], { cwd })).toBe(2);
    expect(await search(["model", `--repo-dir=${repo.path}`, "search"], { cwd })).toBe(2);
    expect(await search(["model", "search", "--repo-dir", repo.path], { cwd })).toBe(2);
    expect(await search(["model", "search"], { cwd, env: { SWAMP_REPO_DIR: repo.path } })).toBe(2);
    const env = { SWAMP_REPO_DIR: join(repo.path, "a") };
    expect(await search(["model", "search"], { cwd: repo.path, env })).toBe(0);
    expect(await search(["model", "search", "--repo-dir", repo.path], { cwd, env })).toBe(2);
  });

  test("a folder that is named and is no repository is refused, even inside of one", async () => {
    expect(await errorOf(repo, "model search --repo-dir models")).toMatchObject({
      code: "repository_missing",
      exitCode: 78,
      hint: "Make one with: fen init models   (or name one with --repo-dir)",
    });
    writeFileSync(join(outside.path, ".swamp.yaml"), "datastore: 3\n");
    expect(await errorOf(outside, "model search")).toMatchObject({ code: "repository_invalid", exitCode: 78 });
    rmSync(join(outside.path, ".swamp.yaml"));
  });
});

test.each([
  ["zeros in its second half", (cache: Buffer) => cache.fill(0, cache.length >> 1)],
  ["zeros for one page", (cache: Buffer) => cache.fill(0, Math.min(4096, cache.length), Math.min(8192, cache.length))],
  ["half of it", (cache: Buffer) => cache.subarray(0, cache.length >> 1)],
  ["nothing", () => Buffer.alloc(0)],
] as const)("a code cache of which a power cut left %s is passed over", async (_, damaged) => {
  const copy = mkdtempSync(join(tmpdir(), "fen-damaged-"));
  try {
    cpSync(dirname(program), copy, { recursive: true });
    const caches = readdirSync(copy).filter((name) => name.endsWith(".cache"));
    expect(caches.length).toBeGreaterThan(10);
    for (const name of caches) writeFileSync(join(copy, name), damaged(readFileSync(join(copy, name))));
    const as = { cwd: repo.path, as: [process.execPath, join(copy, "fen.cjs")] };
    expect(await runFen(["version"], as)).toMatchObject({ exitCode: 0, stderr: "" });
    expect((await runFen(["model", "search", "--json"], as)).json()).toEqual(await documentOf(repo, "model search"));
  } finally {
    rmSync(copy, { recursive: true });
  }
});

test("a link named swamp is the same program", async () => {
  const link = join(outside.path, "swamp");
  symlinkSync(program, link);
  const as = { cwd: repo.path, as: [link] };
  expect((await runFen(["model", "search", "--json"], as)).json()).toEqual(await documentOf(repo, "model search"));
  const run = await runFen(["model", "method", "run", "web-01", "execute", "--json"], as);
  expect(run.json()).toMatchObject({ status: "succeeded", data: { attributes: { stdout: "hello" } } });
});
