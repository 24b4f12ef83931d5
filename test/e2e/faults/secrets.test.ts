/** A value of the environment that a definition uses is handed to the command and stays out of everything that fen writes or says. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Result, runFen, type Scratch, scratchRepo, startFen, until } from "../../support/cli.ts";
import { execute, expectRefusal, filesHolding, tree } from "./attack.ts";

const secret = "s3cr3t-Xy7Zq";
const env = { FEN_TEST_SECRET: secret };

let repo: Scratch;
beforeAll(async () => {
  repo = await scratchRepo();
});
afterAll(() => repo.remove());

const shell = (name: string, args: Record<string, unknown>, more: Record<string, unknown> = {}): string =>
  repo.model(name, "", { methods: { execute: { arguments: args } }, ...more });
const run = (name: string, ...more: string[]): Promise<Result> =>
  runFen([...execute(name), ...more], { cwd: repo.path, env });

describe("a value of the environment", () => {
  test.each([
    ["in the command", { run: "test ${{ env.FEN_TEST_SECRET }} = $(cat expected) && echo matched" }, {}],
    [
      "in a variable",
      { run: 'test "$KEY" = $(cat expected) && echo matched', env: { KEY: "${{ env.FEN_TEST_SECRET }}" } },
      {},
    ],
    [
      "through a global argument",
      { run: "test ${{ self.globalArguments.key }} = $(cat expected) && echo matched" },
      { globalArguments: { key: "${{ env.FEN_TEST_SECRET }}" } },
    ],
    [
      "by the whole of self",
      { run: "test ${{ self['globalArguments']['key'] }} = $(cat expected) && echo matched" },
      { globalArguments: { key: "${{ env.FEN_TEST_SECRET }}" } },
    ],
    ["in a macro", { run: "test ${{ ['FEN_TEST_SECRET'].map(k, env[k])[0] }} = $(cat expected) && echo matched" }, {}],
  ])("%s reaches the command, and no file or message", async (name, args, more) => {
    repo.write("expected", secret);
    const id = shell(`m ${name}`, args, more);
    const result = await run(id, "--json");
    expect(result.exitCode, result.stderr).toBe(0);
    expect(result.json().data.attributes.stdout).toBe("matched");
    expect(result.stdout + result.stderr).not.toContain(secret);
    expect((await run(id, "--stream")).stdout).not.toContain(secret);
    expect(filesHolding(join(repo.path, ".swamp"), secret)).toEqual([]);
    expect(filesHolding(join(repo.path, ".swamp"), "matched")).not.toEqual([]);
  });

  test.each([
    ["a command that fails", { run: "false ${{ env.FEN_TEST_SECRET }}" }, 1],
    ["a folder that isn't there", { run: "true", workingDir: "/${{ env.FEN_TEST_SECRET }}" }, 1],
    ["a command with a NUL", { run: "echo \0 ${{ env.FEN_TEST_SECRET }}" }, 1],
    ["a variable with a NUL", { run: "true", env: { K: "\0${{ env.FEN_TEST_SECRET }}" } }, 1],
    ["a timeout that isn't a number", { run: "true", timeout: "${{ env.FEN_TEST_SECRET }}" }, 65],
    ["a conversion", { run: "${{ bool(env.FEN_TEST_SECRET) }}" }, 65],
    ["a duration", { run: "${{ duration(env.FEN_TEST_SECRET) }}" }, 65],
    ["a pattern", { run: "${{ 'x'.matches(env.FEN_TEST_SECRET + '(') }}" }, 65],
    ["a key", { run: "${{ self[env.FEN_TEST_SECRET] }}" }, 65],
    ["a time zone", { run: "${{ timestamp('2020-01-01T00:00:00Z').getHours(env.FEN_TEST_SECRET) }}" }, 65],
    ["an index", { run: "${{ [1][size(env.FEN_TEST_SECRET) * 9187] }}" }, 65],
  ])("%s doesn't tell it", async (name, args, exitCode) => {
    const result = await run(shell(`e ${name}`, args), "--json");
    expect(result.exitCode, result.stderr).toBe(exitCode);
    for (const part of [secret, secret.slice(1), "110244"]) expect(result.stdout + result.stderr).not.toContain(part);
    expect(filesHolding(join(repo.path, ".swamp"), secret.slice(1))).toEqual([]);
  });

  test("validate and get don't tell it", async () => {
    shell(
      "shown",
      { run: "${{ bool(env.FEN_TEST_SECRET) }}" },
      { globalArguments: { key: "${{ env.FEN_TEST_SECRET }}" } },
    );
    for (const args of [
      ["model", "validate"],
      ["model", "validate", "shown"],
      ["model", "get", "shown"],
    ]) {
      const result = await runFen([...args, "--json"], { cwd: repo.path, env });
      expect(result.stdout + result.stderr).not.toContain(secret);
    }
  });
});

describe("a value of an input", () => {
  test.each([["--input", `key=${secret}`], ["--input", `{"key": "${secret}"}`], [`--input=key=${secret}`]])(
    "given by %s %s isn't in the lock record, a ticket or a notice",
    async (...flags) => {
      const id = shell(
        "held",
        { run: "echo ${#KEY} > length; exec sleep 60", env: { KEY: "${{ inputs.key }}" } },
        { inputs: { properties: { key: { type: "string" } } } },
      );
      const holder = startFen([...execute(id), ...flags], { cwd: repo.path });
      await until(
        () =>
          tree(repo.path).includes("length") &&
          readFileSync(join(repo.path, "length"), "utf8") === `${secret.length}\n`,
        () => "the command",
      );
      const waiter = startFen([...execute(id), ...flags, "--lock-timeout", "600ms"], { cwd: repo.path });
      await waiter.says("waiting for the lock");
      expect(filesHolding(join(repo.path, ".swamp"), secret)).toEqual([]);
      const status = await repo.fen("datastore", "lock", "status", "--json");
      expect(status.json().models[0].command).toContain("model method run");
      const late = await waiter.done;
      expect(late.exitCode).toBe(75);
      for (const { stdout, stderr } of [status, late]) expect(stdout + stderr).not.toContain(secret);
      holder.kill("SIGTERM");
      expect((await holder.done).exitCode).toBe(143);
      repo.write("length", "");
    },
  );

  test("a create hides the values of global arguments in its claim, and refuses what isn't one", async () => {
    const error = expectRefusal(
      await repo.fen("model", "create", "command/shell", "g", "--global-arg", "novalue", "--json"),
      "input_invalid",
      65,
    );
    expect(error.hint).toContain("=");
  });
});
