/** A definition says what its method does; what only reads takes its model together with others that only read. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Scratch, scratchRepo, startFen, until } from "../support/cli.ts";

let repo: Scratch;
beforeEach(async () => {
  repo = await scratchRepo();
});
afterEach(() => repo.remove());

const execute = ["model", "method", "run", "m", "execute", "--json"];
const methods = (run: string, kind?: string) => ({ methods: { execute: { kind, arguments: { run } } } });
const appears = (file: string) =>
  until(
    () => existsSync(join(repo.path, file)),
    () => file,
  );
const go = (file: string) => writeFileSync(join(repo.path, file), "");
const waitFor = (file: string) => `until [ -e ${file} ]; do sleep 0.02; done`;
const status = async () => (await repo.fen("datastore", "lock", "status", "--json")).json();

describe("kind: read", () => {
  test("runs go on side by side, and each leaves a version", async () => {
    repo.model("m", "", methods(`touch $ME; ${waitFor("one")}; ${waitFor("two")}`, "read"));
    const runs = ["one", "two"].map((ME) => startFen(execute, { cwd: repo.path, env: { ME } }));
    const results = await Promise.all(runs.map((run) => run.done));
    expect(results.map((result) => result.exitCode)).toEqual([0, 0]);
    const versions = results.map((result) => result.json().data.version);
    expect(versions.sort()).toEqual([1, 2]);
    expect(await status()).toMatchObject({ models: [], waiting: [] });
  });

  test("what may change the model waits for those that read", async () => {
    repo.model("m", "", methods(`touch in; ${waitFor("go")}`, "get"));
    const run = repo.start(...execute);
    await appears("in");
    expect(await repo.fen("model", "delete", "m", "--force", "--lock-timeout", "0")).toMatchObject({ exitCode: 75 });
    go("go");
    expect((await run.done).exitCode).toBe(0);
    expect(await repo.fen("model", "delete", "m", "--force", "--lock-timeout", "0")).toMatchObject({ exitCode: 0 });
  });

  test("a definition that turns to an action while its run waits is run alone", async () => {
    const id = repo.model("m", "", methods(`touch in; ${waitFor("go")}`));
    const edit = (fields: object) =>
      repo.write(
        `models/command/shell/${id}.yaml`,
        JSON.stringify({ type: "command/shell", id, name: "m", version: 1, tags: {}, globalArguments: {}, ...fields }),
      );
    const first = repo.start(...execute);
    await appears("in");
    edit(methods("true", "read"));
    const second = repo.start(...execute);
    await until(
      async () => (await status()).waiting.length === 1,
      () => "the second run to wait",
    );
    edit(methods(`touch in2; ${waitFor("go2")}`, "action"));
    go("go");
    await appears("in2");
    expect((await status()).models).toMatchObject([{ mode: "exclusive" }]);
    go("go2");
    expect([await first.done, await second.done]).toMatchObject([{ exitCode: 0 }, { exitCode: 0 }]);
  });

  test("an unknown kind is an error that names the known ones", async () => {
    const id = "a0000000-0000-4000-a000-000000000001";
    const methodsText = "methods:\n  execute:\n    kind: reed\n    arguments:\n      run: 'true'\n";
    repo.write(
      `models/command/shell/${id}.yaml`,
      `type: command/shell\nid: ${id}\nname: m\nversion: 1\n${methodsText}`,
    );
    const run = await repo.fen(...execute);
    expect(run.exitCode).toBe(65);
    expect(run.error()).toMatchObject({
      code: "definition_invalid",
      message: expect.stringContaining("read, list, get, create, update, delete, action"),
    });
  });
});
