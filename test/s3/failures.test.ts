/** What goes wrong in the middle of a command on a datastore in S3, and how the next one heals it. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { S3Objects } from "../../src/store/drivers/s3/objects.ts";
import { unfinishedUploads } from "../../src/store/drivers/s3/unfinished.ts";
import { until } from "../support/cli.ts";
import { atEachRequest } from "../support/each-request.ts";
import { clientOf, makeBucket, newPrefix } from "../support/s3-client.ts";
import { type S3Machine, type S3World, s3World } from "../support/s3-machine.ts";
import { type Passing, type S3Proxy, startProxy } from "../support/s3-proxy.ts";

beforeAll(() => makeBucket(inject("s3"), "conformance"));
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Scene {
  readonly proxy: S3Proxy;
  readonly world: S3World;
  /** Behind the proxy. */
  readonly one: S3Machine;
  readonly two: S3Machine;
  readonly prefix: string;
}

/** Locks that are given up after a second: who dies is succeeded soon. */
const env = { FEN_LOCK_TTL_MS: "1500" };

async function open(): Promise<Scene> {
  const proxy = await startProxy(inject("s3"));
  ends.push(() => proxy.close());
  const prefix = newPrefix();
  const world = await s3World(prefix);
  ends.push(() => world.remove());
  world.repo.model("web", "echo hello");
  return { proxy, world, prefix, one: world.machine(proxy, env), two: world.machine(inject("s3"), env) };
}

const run = ["model", "method", "run", "web", "execute", "--json"];

/** What is left of runs on a machine, by the names of their folders. */
function staged(machine: S3Machine): string[] {
  const root = join(machine.path, ".swamp/.fen/s3");
  const folders = existsSync(root) ? readdirSync(root).map((name) => join(root, name, ".fen/staging")) : [];
  return folders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).flatMap((model) => readdirSync(join(folder, model))));
}

/** Numbers of the versions of a name; each must be readable, with content. */
async function versionsOf(machine: S3Machine, name: string): Promise<number[]> {
  const listed = await machine.fen("data", "versions", "web", name, "--json");
  if (listed.exitCode !== 0) return [];
  const numbers: number[] = listed.json().versions.map(({ version }: { version: number }) => version);
  for (const number of numbers) {
    const { content } = (await machine.fen("data", "get", "web", name, "--version", String(number), "--json")).json();
    expect(JSON.stringify(content)).toContain("hello");
  }
  return numbers;
}

describe("kill -9 of a run", () => {
  test.each(["lost answer", "lost request"] as const)(
    "lock-79: at any of its requests (%s): the other machine reads all of it or nothing and goes on, and so does the next command here",
    async (fault) => {
      const requests = await atEachRequest(async (k) => {
        const { proxy, one, two } = await open();
        expect((await one.fen(...run)).exitCode).toBe(0);
        let passed = 0;
        const dying = one.start(...run);
        proxy.options.fault = () => {
          if (passed++ !== k) return undefined;
          dying.kill("SIGKILL");
          return fault;
        };
        const { exitCode } = await dying.done;
        proxy.options = {};
        if (passed <= k) return false;
        // The last one removes the claim; its answer isn't waited for by all means.
        expect([0, 137]).toContain(exitCode);
        const after = await versionsOf(two, "result");
        expect(await versionsOf(two, "log")).toEqual(after);
        expect([1, 2]).toContain(after.length);
        const { results } = (await two.fen("model", "output", "search", "--json")).json();
        const told: string[] = results.map(({ status }: { status: string }) => status);
        expect(told.filter((status) => status === "succeeded")).toHaveLength(after.length);
        expect(["succeeded", "running", "interrupted"]).toEqual(expect.arrayContaining(told));
        const next = await two.fen(...run);
        expect(next.exitCode, next.stderr).toBe(0);
        const healed = await one.fen(...run);
        expect(healed.exitCode, healed.stderr).toBe(0);
        expect(staged(one)).toEqual([]);
        expect(await versionsOf(one, "result")).toHaveLength(after.length + 2);
        expect(await versionsOf(one, "log")).toHaveLength(after.length + 2);
        return true;
      });
      expect(requests).toBeGreaterThan(5);
    },
    300_000,
  );

  test("in the middle of a large output: its parts stay in the bucket for a day, then data gc gives them up", async () => {
    const { proxy, world, two, prefix } = await open();
    world.repo.model("large", "head -c 20000000 /dev/zero | tr '\\0' x");
    const one = world.machine(proxy, env);
    const dying = one.start("model", "method", "run", "large", "execute", "--json");
    proxy.options.fault = ({ path }) => {
      if (!path.includes("partNumber=2")) return undefined;
      dying.kill("SIGKILL");
      return "lost request";
    };
    expect((await dying.done).exitCode).toBe(137);
    proxy.options = {};
    const client = await clientOf(inject("s3"));
    // The store tells the time in whole seconds.
    const left = () => unfinishedUploads(client, `${prefix}/`, { olderThanMs: -5000 });
    expect(await left()).toHaveLength(1);
    expect((await two.fen("data", "gc", "-f", "--json")).exitCode).toBe(0);
    expect(await left()).toHaveLength(1);
    proxy.options = { aheadMs: 25 * 3_600_000 };
    const collected = await one.fen("data", "gc", "-f", "--json");
    expect(collected.exitCode, collected.stderr).toBe(0);
    expect(await left()).toEqual([]);
  });
});

/** What lies in the bucket, whatever commands say of it. */
async function recordIn(prefix: string, id: string): Promise<() => Promise<string>> {
  const objects = new S3Objects(await clientOf(inject("s3"), { prefix }));
  for await (const { path } of objects.list("outputs"))
    if (path.endsWith(`-${id.slice(0, 8)}.yaml`))
      return async () => new TextDecoder().decode(await objects.get(path, { maxBytes: 10_000 }));
  throw new Error(`no record of ${id}`);
}

describe("a run that is killed at its commit", () => {
  async function killAtCommit(fault: "lost answer" | "lost request") {
    const { proxy, one, two, prefix } = await open();
    const dying = one.start(...run);
    const isHead = ({ method, path }: Passing): boolean => method === "PUT" && path.includes(".fen/locks/");
    let swaps = 0;
    proxy.options.fault = (passing) => {
      // The first one takes the lock.
      if (!isHead(passing) || ++swaps !== 2) return undefined;
      dying.kill("SIGKILL");
      return fault;
    };
    expect((await dying.done).exitCode).toBe(137);
    proxy.options = {};
    const [died] = (await two.fen("model", "output", "search", "--json")).json().results;
    return { one, two, prefix, died };
  }

  async function killedAtCommit(fault: "lost answer" | "lost request") {
    const { one, two, died } = await killAtCommit(fault);
    expect((await one.fen(...run)).exitCode).toBe(0);
    const record = (await two.fen("model", "output", "get", died.id, "--json")).json();
    const logs = (await two.fen("model", "method", "history", "logs", died.id, "--json")).json();
    expect(logs.lines.join("\n")).toContain("hello");
    return { record, versions: await versionsOf(two, "result") };
  }

  test("when that is done has succeeded, with its data and its log, on every machine", async () => {
    const { record, versions } = await killedAtCommit("lost answer");
    expect(record.status).toBe("succeeded");
    expect(versions).toEqual([2, 1]);
  });

  test("before that is done is told as interrupted, without data, on every machine once it is settled", async () => {
    const { record, versions } = await killedAtCommit("lost request");
    expect(record).toMatchObject({ status: "interrupted", artifacts: { dataArtifacts: [] } });
    expect(record.error.message).toMatch(/before its outputs were complete/);
    expect(versions).toHaveLength(1);
  });

  test("on a machine that never comes back is told by others as running while its lock is warm, then as interrupted, without data, for good", async () => {
    const { two, died, prefix } = await killAtCommit("lost request");
    const said = await recordIn(prefix, died.id);
    const asked = async (...args: string[]) => (await two.fen("model", "output", ...args, "--json")).json();
    const seen = async () => {
      const record = await asked("get", died.id);
      expect(record.artifacts.dataArtifacts).toEqual([]);
      return record;
    };
    // What it has put says that it succeeded.
    expect(await said()).toMatch(/^status: succeeded$/m);
    expect(died.status).toBe("running");
    await until(
      async () => (await seen()).status === "interrupted",
      () => "interrupted, once its lock was quiet for long",
    );
    expect((await seen()).error.message).toMatch(/not committed/);
    expect((await asked("search")).results).toMatchObject([{ id: died.id, status: "interrupted" }]);
    const left = await two.fen("model", "output", "data", died.id, "--json");
    expect(left.error()).toMatchObject({ code: "data_missing", message: "The run left no data." });
    // Others go on, pass over what it had put, and remove what they had made.
    expect((await two.fen(...run)).json().data.version).toBe(2);
    expect((await seen()).status).toBe("interrupted");
    expect((await two.fen("data", "delete", "web", "result", "-f", "--json")).exitCode).toBe(0);
    expect((await two.fen("data", "gc", "-f", "--json")).exitCode).toBe(0);
    expect((await seen()).status).toBe("interrupted");
    expect(await said()).toMatch(/^status: succeeded$/m);
  });

  test("and whose data was all there says so on every machine, also when the data was removed", async () => {
    const { two, died } = await killAtCommit("lost answer");
    const status = async () => (await two.fen("model", "output", "get", died.id, "--json")).json().status;
    expect(await status()).toBe("succeeded");
    expect((await two.fen("data", "delete", "web", "result", "-f", "--json")).exitCode).toBe(0);
    expect(await status()).toBe("succeeded");
  });
});

describe("a run whose lock is gone at its commit", () => {
  test("has a record, put before the commit, that says in the end that it failed and has no data", async () => {
    const { proxy, one, two } = await open();
    const paused = one.start(...run);
    await new Promise<void>((resolve) => {
      proxy.options.fault = ({ method, path }) => {
        if (method !== "PUT" || !path.includes("/outputs/")) return undefined;
        paused.kill("SIGSTOP");
        resolve();
        return undefined;
      };
    });
    expect((await two.fen(...run)).exitCode).toBe(0);
    proxy.options = {};
    paused.kill("SIGCONT");
    const { exitCode, stderr } = await paused.done;
    expect(exitCode, stderr).toBe(75);
    const { results } = (await two.fen("model", "output", "search", "--json")).json();
    expect(results.map(({ status }: { status: string }) => status)).toEqual(["succeeded", "failed"]);
    const record = (await two.fen("model", "output", "get", results[1].id, "--json")).json();
    expect(record.artifacts.dataArtifacts).toEqual([]);
    expect(await versionsOf(two, "result")).toEqual([expect.any(Number)]);
  });
});

describe("a store that fails at the end of a run", () => {
  const isContent = ({ method, path }: Passing): boolean => method === "PUT" && path.includes("/data/");

  test("lock-82: what it produced is complete and kept; the command fails and says where; the next command commits it", async () => {
    const { proxy, one, two } = await open();
    proxy.options.fault = (passing) => (isContent(passing) ? 503 : undefined);
    const failed = await one.fen(...run);
    expect(failed.exitCode).toBe(69);
    expect(failed.error()).toMatchObject({ code: "store_unavailable", keptAside: expect.stringMatching(/\.push$/) });
    expect(staged(one)).toEqual([expect.stringMatching(/\.push$/)]);
    expect(await versionsOf(two, "result")).toEqual([]);
    proxy.options = {};
    expect((await one.fen(...run)).exitCode).toBe(0);
    expect(await versionsOf(two, "result")).toHaveLength(2);
    expect(staged(one)).toEqual([]);
  });

  test.each(["SlowDown", "ExpiredToken"])(
    "lock-82: and says where also when nothing works any more from then on, the lock's way back included: %s",
    async (code) => {
      const { proxy, one } = await open();
      let isGone = false;
      proxy.options.fault = (passing) => {
        isGone ||= isContent(passing);
        return isGone ? (code === "SlowDown" ? 503 : "expired") : undefined;
      };
      const failed = await one.fen(...run);
      expect(failed.exitCode).toBe(69);
      expect(failed.error()).toMatchObject({ keptAside: expect.stringMatching(/\.push$/) });
      if (code === "ExpiredToken") expect(failed.error()).toMatchObject({ hint: expect.stringContaining("expired") });
      isGone = false;
      proxy.options.fault = (passing) => {
        isGone ||= isContent(passing);
        return isGone ? "expired" : undefined;
      };
      const push = await one.fen("datastore", "sync", "--push", "--json");
      expect(push.error(), push.stderr).toMatchObject({
        code: "store_denied",
        message: expect.stringContaining("data/command"),
      });
      proxy.options = {};
      expect((await one.fen(...run)).exitCode).toBe(0);
      expect(await versionsOf(one, "result")).toHaveLength(2);
      expect(staged(one)).toEqual([]);
    },
  );

  test("if another had the model in between it is put aside instead, and that is said: nothing is merged", async () => {
    const { proxy, one, two } = await open();
    proxy.options.fault = (passing) => (isContent(passing) ? 503 : undefined);
    expect((await one.fen(...run)).exitCode).toBe(69);
    proxy.options = {};
    expect((await two.fen(...run)).exitCode).toBe(0);
    const next = await one.fen(...run);
    expect(next.exitCode).toBe(0);
    expect(next.stderr).toMatch(/kept in .*aside/);
    expect(await versionsOf(two, "result")).toHaveLength(2);
    expect(staged(one)).toEqual([]);
  });

  test("a bucket that was never reached keeps nobody from what is in the repository", async () => {
    const { proxy, one } = await open();
    proxy.options.fault = () => "lost request";
    expect((await one.fen("model", "search", "--json")).exitCode).toBe(0);
    expect((await one.fen("model", "validate", "web")).exitCode).toBe(0);
    expect(proxy.passed).toEqual([]);
  });

  test("a bucket that can't be reached is told as that, before the method runs", async () => {
    const { proxy, one } = await open();
    await one.fen("datastore", "status");
    proxy.options.fault = () => "lost request";
    const failed = await one.fen(...run);
    expect(failed.exitCode).toBe(69);
    expect(failed.error()).toMatchObject({ code: "store_unavailable" });
    expect(failed.stdout).not.toContain("hello");
  });
});

test("a claim that can't be removed when the lock is given back is a warning, and what was done is done", async () => {
  const { proxy, world, two } = await open();
  const one = world.machine(proxy); // its locks last: nothing is to go wrong here but the claim
  proxy.options.fault = ({ method, path }) =>
    method === "DELETE" && path.includes("/.fen/claims/") ? "expired" : undefined;
  const evaluated = await one.fen("model", "evaluate", "web");
  expect(evaluated.exitCode, evaluated.stderr).toBe(0);
  expect(evaluated.stderr).toContain("warning: A lock is given back, but its claim is still in the store: ");
  const waits = await two.fen(...run, "--lock-timeout", "0");
  expect(waits.exitCode, waits.stderr).toBe(0);
});
