/** `datastore status`, `datastore lock status`, `datastore lock release`. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Scratch, scratchRepo, until } from "../../support/cli.ts";
import { problemsOf } from "../../support/schemas.ts";
import { documentOf, errorOf, textOf } from "../../support/documents.ts";

let repo: Scratch;
let busy: string;
beforeAll(async () => {
  repo = await scratchRepo();
  busy = repo.model("busy", "until [ -e enough ]; do sleep 0.02; done");
  repo.model("idle", "true");
});
afterAll(() => repo.remove());

describe("datastore status", () => {
  test("where it is, and that it works", async () => {
    expect(await textOf(repo, "datastore status")).toMatchInlineSnapshot(`
      "healthy  It can be written, read and locked.
      type     filesystem
      path     <repo>/.swamp
      latency  <duration>
      folders  data, definitions-evaluated, outputs, secrets, workflow-runs, workflows-evaluated"
    `);
    expect(await documentOf(repo, "datastore status")).toMatchObject({
      type: "filesystem",
      path: join(repo.path, ".swamp"),
      healthy: true,
      directories: expect.arrayContaining(["data", "outputs"]),
    });
  });

  test("the datastore of SWAMP_DATASTORE comes before that of the repository", async () => {
    const folder = mkdtempSync(join(tmpdir(), "fen-store-"));
    const env = { SWAMP_DATASTORE: `filesystem:${folder}` };
    expect(await documentOf(repo, "datastore status", { env })).toMatchObject({ path: folder, healthy: true });
    rmSync(folder, { recursive: true });
  });

  test("one that can't be used is not healthy: exit code 69", async () => {
    writeFileSync(join(repo.path, "file"), "");
    const env = { SWAMP_DATASTORE: `filesystem:${join(repo.path, "file")}` };
    expect(await documentOf(repo, "datastore status", { env, exitCode: 69 })).toMatchObject({ healthy: false });
    expect(await textOf(repo, "datastore status", { env, exitCode: 69 })).toMatch(/^not healthy {2}\S/);
  });

  test.each([
    ["s3:Bucket/prefix", "datastore_invalid", 78, "3 to 63 of a-z, 0-9, - and ."],
    ["ftp:x", "repository_invalid", 78, "Write filesystem:<path> or s3:<bucket>/<prefix>"],
  ])("refuses SWAMP_DATASTORE=%s", async (value, code, exitCode, hint) => {
    const error = await errorOf(repo, "datastore status", { env: { SWAMP_DATASTORE: value } });
    expect(error).toMatchObject({ code, exitCode, hint });
  });
});

describe("datastore lock", () => {
  test("nobody: an empty document, a sentence, and nothing to release", async () => {
    expect(await documentOf(repo, "datastore lock status")).toEqual({ datastore: null, models: [], waiting: [] });
    expect(await textOf(repo, "datastore lock status")).toBe("Nobody holds or awaits a lock.");
    for (const more of ["", " --model idle", ` --model command/shell/${busy}`])
      expect(await errorOf(repo, `datastore lock release --force${more}`)).toMatchObject({
        code: "lock_not_held",
        exitCode: 1,
        hint: "See: fen datastore lock status",
      });
  });

  test("a holder, who waits for it, and a release by its nonce", async () => {
    const holder = repo.start("model", "method", "run", "busy", "execute", "--json");
    await until(
      async () => (await documentOf(repo, "datastore lock status")).models.length === 1,
      () => "the holder",
    );
    const waiter = repo.start("model", "method", "run", "busy", "execute", "--json");
    await waiter.says("lock.waiting");
    const gc = repo.start("data", "gc", "--force");
    await gc.says("waiting for the lock on datastore");

    const status = await documentOf(repo, "datastore lock status");
    expect(status).toMatchObject({
      datastore: null,
      models: [
        {
          resource: `command/shell/${busy}`,
          state: "held",
          modelName: "busy",
          modelType: "command/shell",
          modelId: busy,
          pid: holder.child.pid,
          mode: "exclusive",
          command: "fen model method run busy execute --json",
        },
      ],
    });
    expect(status.waiting).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          resource: `command/shell/${busy}`,
          modelName: "busy",
          pid: waiter.child.pid,
          place: 1,
        }),
        expect.objectContaining({ resource: "datastore", pid: gc.child.pid, place: 1 }),
      ]),
    );
    const text = await textOf(repo, "datastore lock status");
    expect(text).toMatch(/^LOCK +STATE +WHO +PID +SINCE \(UTC\) +COMMAND +NONCE\nbusy +held +\S+@\S+ /);
    expect(text).toMatch(/^busy +waiting \(1\) /m);

    for (const one of [waiter, gc]) one.kill("SIGINT");
    expect((await Promise.all([waiter.done, gc.done])).map((one) => one.exitCode)).toEqual([130, 130]);
    expect((await waiter.done).error()).toMatchObject({ code: "interrupted", signal: "SIGINT", retryable: true });
    expect((await documentOf(repo, "datastore lock status")).waiting).toEqual([]);

    const { nonce } = status.models[0];
    expect(await errorOf(repo, "datastore lock release --force --model busy")).toMatchObject({
      code: "lock_holder_alive",
      exitCode: 75,
      resource: `command/shell/${busy}`,
      holder: { pid: holder.child.pid, nonce },
      hint: `If it really must go: fen datastore lock release --force --model busy --nonce ${nonce}`,
    });
    expect(await errorOf(repo, "datastore lock release --force --model busy --nonce other")).toMatchObject({
      code: "lock_changed",
      exitCode: 75,
    });
    expect(await documentOf(repo, `datastore lock release --force --model busy --nonce ${nonce}`)).toMatchObject({
      released: true,
      resource: `command/shell/${busy}`,
      reason: "taken from a living holder, which can't commit any more",
      previousHolder: { pid: holder.child.pid, nonce },
    });
    const lost = await holder.done;
    expect(lost).toMatchObject({ exitCode: 75, stdout: "" });
    expect(lost.error()).toMatchObject({ code: "lock_lost", retryable: true });
    expect(await documentOf(repo, "datastore lock status")).toEqual({ datastore: null, models: [], waiting: [] });
  });

  test("lock status --watch tells each change as it comes, and ends with Ctrl-C", async () => {
    repo.model("watched", "until [ -e seen ]; do sleep 0.02; done");
    const watch = repo.start("datastore", "lock", "status", "--watch", "--json");
    const documents = () =>
      watch.stdout
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line));
    await until(
      () => documents().length === 1,
      () => "the first status",
    );
    const run = repo.start("model", "method", "run", "watched", "execute");
    await until(
      () => documents().at(-1).models.length === 1,
      () => "the lock",
    );
    expect(documents().at(-1).models).toMatchObject([
      { modelName: "watched", state: "held", held: true, alive: true, stale: false },
    ]);
    expect(problemsOf("datastore-lock-status", documents().at(-1))).toEqual([]);
    repo.write("seen", "");
    expect((await run.done).exitCode).toBe(0);
    await until(
      () => documents().at(-1).models.length === 0,
      () => "its end",
    );
    watch.kill("SIGINT");
    expect(await watch.done).toMatchObject({ exitCode: 130, stderr: "" });
  });

  test("a release while somebody waits: the next one runs, and the former holder's output is kept all the same", async () => {
    repo.model("wanted", "echo produced >&2; until [ -e free ]; do sleep 0.02; done");
    const holder = repo.start("model", "method", "run", "wanted", "execute", "--json");
    await until(
      async () => (await documentOf(repo, "datastore lock status")).models.length === 1,
      () => "the holder",
    );
    const waiter = repo.start("model", "method", "run", "wanted", "execute", "--json");
    await waiter.says("lock.waiting");
    const [{ nonce }] = (await documentOf(repo, "datastore lock status")).models;
    await documentOf(repo, `datastore lock release --force --model wanted --nonce ${nonce}`);
    const lost = await holder.done;
    expect(lost).toMatchObject({ exitCode: 75, stdout: "" });
    expect(lost.error()).toMatchObject({ code: "lock_lost", keptAside: expect.stringContaining("aside") });
    expect(readdirSync(lost.error().keptAside, { recursive: true })).toContain("log");
    repo.write("free", "");
    expect((await waiter.done).json()).toMatchObject({ status: "succeeded", data: { version: 1 } });
  });

  test("what a killed holder left behind is released without a nonce", async () => {
    const id = repo.model("victim", "echo $$ > child.pid; sleep 60");
    const victim = repo.start("model", "method", "run", "victim", "execute");
    const pidFile = join(repo.path, "child.pid");
    await until(
      () => existsSync(pidFile) && readFileSync(pidFile, "utf8").endsWith("\n"),
      () => "the child",
    );
    victim.kill("SIGKILL");
    await victim.done;
    expect((await documentOf(repo, "datastore lock status")).models).toMatchObject([
      {
        state: "orphaned",
        modelName: "victim",
        processes: expect.arrayContaining([{ pid: expect.any(Number), command: "sleep 60" }]),
      },
    ]);
    process.kill(-Number(readFileSync(pidFile, "utf8")), "SIGKILL");
    await until(
      async () => (await documentOf(repo, "datastore lock status")).models[0]?.state === "stale",
      () => "the end of the child",
    );
    expect(await textOf(repo, `datastore lock release --force --model command/shell/${id}`)).toBe(
      `Released the lock on command/shell/<id>: its holder is dead (was ${userInfo().username}@${hostname()}, pid ${victim.child.pid}).`,
    );
    expect((await documentOf(repo, "model output get victim")).status).toBe("interrupted");
  });

  test("the record of an older program needs its nonce, one that can't be read doesn't", async () => {
    const file = `.swamp/data/command/shell/${busy}/.lock`;
    const record = {
      holder: "old@host",
      hostname: "host",
      pid: 1,
      acquiredAt: "2026-01-01T00:00:00.000Z",
      ttlMs: 30000,
      nonce: "n",
    };
    repo.write(file, JSON.stringify(record));
    expect((await documentOf(repo, "datastore lock status")).models).toMatchObject([
      { state: "foreign", modelName: "busy", holder: "old@host", processes: [] },
    ]);
    expect(await errorOf(repo, "datastore lock release --force --model busy")).toMatchObject({
      code: "lock_holder_alive",
    });
    expect(await documentOf(repo, "datastore lock release --force --model busy --nonce n")).toMatchObject({
      released: true,
      previousHolder: record,
    });
    repo.write(file, "{");
    expect((await documentOf(repo, "datastore lock status")).models).toMatchObject([{ state: "unreadable" }]);
    expect(await documentOf(repo, "datastore lock release --force --model busy")).toMatchObject({
      released: true,
      reason: "the record could not be read",
    });
    expect(await documentOf(repo, "datastore lock status")).toEqual({ datastore: null, models: [], waiting: [] });
  });

  test.each([
    ["datastore lock release", "confirmation_needed", 2],
    ["datastore lock release --force --model nothing", "model_missing", 1],
    ["datastore lock release --force --model a/../b", "name_invalid", 65],
    ["datastore lock release --model", "usage", 2],
    ["datastore lock status busy", "usage", 2],
    ["datastore status now", "usage", 2],
  ])("refuses: %s", async (line, code, exitCode) => {
    expect(await errorOf(repo, line)).toMatchObject({ code, exitCode });
  });
});
