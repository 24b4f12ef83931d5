/** A pipe where a small file should be: opening one that nobody writes to never ends. No command may hang on it. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { program, type Result, runFen, type Scratch, scratchRepo } from "../../support/cli.ts";
import { execute, expectRefusal } from "./attack.ts";

let repo: Scratch;
let data: string;
beforeEach(async () => {
  repo = await scratchRepo();
  data = join(repo.path, ".swamp/data/command/shell", repo.model("web", "echo fine"));
});
afterEach(() => repo.remove());

/** A process that hangs in a system call hears no other signal. */
const bounded = (...args: string[]): Promise<Result> =>
  runFen(args, { cwd: repo.path, as: ["timeout", "-s", "KILL", "15", process.execPath, program] });
function pipe(path: string): void {
  rmSync(path, { force: true });
  expect(spawnSync("mkfifo", [path]).status).toBe(0);
}

test("for the newest version: the numbers tell, and the next run puts a file there", async () => {
  expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
  pipe(join(data, "result/latest"));
  expect((await bounded("data", "get", "web", "result", "--json")).json()).toMatchObject({ version: 1 });
  expect((await bounded(...execute("web"))).exitCode).toBe(0);
  expect((await bounded("data", "get", "web", "result", "--json")).json()).toMatchObject({ version: 2 });
});

test("for what describes a version: refused with its path", async () => {
  expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
  const path = join(data, "result/1/metadata.yaml");
  pipe(path);
  const error = expectRefusal(await bounded("data", "get", "web", "result", "--json"), "store_unavailable", 69);
  expect(error.message).toBe(`Can't use the file: ${path} (it is a pipe, a socket or a device)`);
});

test("for content, or a run's log: refused with its path", async () => {
  expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
  const raw = join(data, "result/1/raw");
  const [logged] = (await repo.fen("model", "output", "search", "--json")).json().results;
  const log = (await repo.fen("model", "output", "get", logged.id, "--json")).json().logFile;
  pipe(raw);
  pipe(join(repo.path, log));
  for (const [path, words] of [
    [raw, ["data", "get", "web", "result"]],
    [raw, ["data", "get", "web", "result", "--version", "1"]],
    [join(repo.path, log), ["model", "method", "history", "logs", logged.id]],
  ] as const) {
    const error = expectRefusal(await bounded(...words, "--json"), "store_unavailable", 69);
    expect(error.message).toBe(`Can't use the file: ${path} (it is a pipe, a socket or a device)`);
  }
});

test("for the verdict on locks: refused with its path", async () => {
  expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
  const trial = join(repo.path, ".swamp/.fen/trial");
  const [verdict = ""] = readdirSync(trial);
  pipe(join(trial, verdict));
  const error = expectRefusal(await bounded(...execute("web"), "--json"), "store_unavailable", 69);
  expect(error.message).toContain(join(trial, verdict));
});

test("for a lock record: it is one that can't be read, waited for and given back as such", async () => {
  expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
  pipe(join(data, ".lock"));
  const status = (await bounded("datastore", "lock", "status", "--json")).json();
  expect(status.models).toMatchObject([{ state: "unreadable" }]);
  expectRefusal(await bounded(...execute("web"), "--lock-timeout", "200ms", "--json"), "lock_timeout", 75);
  const release = await bounded("datastore", "lock", "release", "--model", "web", "--force", "--json");
  expect(release.exitCode, release.stderr).toBe(0);
  expect(existsSync(join(data, ".lock"))).toBe(false);
});

test("for the repository's marker: `init` refuses", async () => {
  const marker = join(repo.path, ".swamp.yaml");
  pipe(marker);
  const error = expectRefusal(await bounded("init", "--json"), "store_unavailable", 69);
  expect(error.message).toContain(marker);
});

test("for a definition: the others are found", async () => {
  pipe(join(repo.path, "models/command/shell/pipe.yaml"));
  pipe(join(repo.path, "workflows/workflow-pipe.yaml"));
  const { results } = (await bounded("model", "search", "--json")).json();
  expect(results).toHaveLength(1);
  expect((await bounded("workflow", "search", "--json")).exitCode).toBe(0);
});

test("but inputs may come through one", async () => {
  repo.model("echo", "echo ${{ inputs.pkg }}", { inputs: { properties: { pkg: { type: "string" } } } });
  const script = `exec "$0" "$1" model method run echo execute --input-file <(echo 'pkg: git')`;
  const result = spawnSync("bash", ["-c", script, process.execPath, program], { cwd: repo.path, encoding: "utf8" });
  expect(result.stdout, result.stderr).toContain("git");
});
