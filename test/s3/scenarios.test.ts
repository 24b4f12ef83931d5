/** What has gone wrong in tools that synchronise with a bucket, tried on machines that share one. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { runFen, until } from "../support/cli.ts";
import { makeBucket, newPrefix } from "../support/s3-client.ts";
import { type S3Machine, type S3World, s3World } from "../support/s3-machine.ts";
import { type Passing, type S3Proxy, startProxy } from "../support/s3-proxy.ts";

beforeAll(() => makeBucket(inject("s3"), "conformance"));
let world: S3World;
let proxy: S3Proxy;
let one: S3Machine;
let two: S3Machine;
beforeEach(async () => {
  proxy = await startProxy(inject("s3"));
  world = await s3World(newPrefix());
  world.repo.model("web", "echo hello");
  world.repo.model("slow", "echo at work; sleep 2; echo done");
  for (let n = 0; n < 10; n++) world.repo.model(`m${n}`, `echo ${n}`);
  world.repo.model("reader", "echo newest is ${{ data.latest('web', 'log').version }}");
  [one, two] = [world.machine(proxy), world.machine(inject("s3"))];
});
afterEach(async () => {
  world.remove();
  await proxy.close();
});

const run = (model: string) => ["model", "method", "run", model, "execute", "--json"];
const isData = ({ method, path }: Passing): boolean => method !== "GET" && path.includes("/data/");

async function done(machine: S3Machine, ...args: string[]) {
  const result = await machine.fen(...args);
  expect(result, args.join(" ")).toMatchObject({ exitCode: 0 });
  return result.json();
}

async function locks(machine: S3Machine) {
  return done(machine, "datastore", "lock", "status", "--json");
}
const free = { datastore: null, models: [], waiting: [] };

/** Names and numbers of a model's data, as a machine sees them. */
async function seen(machine: S3Machine): Promise<unknown> {
  const { results } = await done(machine, "data", "search", "", "--json");
  const outputs = await done(machine, "model", "output", "search", "--json");
  return { data: results, outputs: outputs.results };
}

describe("what is written", () => {
  test("lock-69: a machine that knows only an older version doesn't bring it back, whatever it pushes", async () => {
    await done(one, ...run("web"));
    await done(one, "datastore", "sync", "--json");
    await done(two, ...run("web"));
    await done(one, "datastore", "sync", "--push", "--json");
    const { version, content } = await done(two, "data", "get", "web", "result", "--json");
    expect(version).toBe(2);
    expect(await done(one, "data", "get", "web", "result", "--json")).toMatchObject({ version, content });
  });

  test("lock-70: two runs in the same moment whose outputs have the same size: both are there", async () => {
    await Promise.all([done(one, ...run("web")), done(two, ...run("web"))]);
    const { versions } = await done(world.machine(inject("s3")), "data", "versions", "web", "log", "--json");
    expect(versions.map(({ version }: { version: number }) => version).sort()).toEqual([1, 2]);
    for (const version of ["1", "2"])
      expect((await done(one, "data", "get", "web", "log", "--version", version, "--json")).content).toContain("hello");
  });

  test("lock-72: after every command that changes something the other machine sees the same, and nothing is left to push", async () => {
    const commands = [
      run("web"),
      run("web"),
      ["data", "rename", "web", "result", "outcome", "--json"],
      ["data", "delete", "web", "log", "--version", "1", "-f", "--json"],
      ["data", "gc", "-f", "--json"],
      run("m1"),
      ["model", "delete", "m1", "--force", "--json"],
    ];
    for (const command of commands) {
      await done(one, ...command);
      expect(await seen(two), command.join(" ")).toEqual(await seen(one));
      expect((await done(one, "datastore", "sync", "--push", "--json")).runs).toEqual([]);
    }
  });

  test("lock-87: a run deletes nothing of the data that was there, however much that is", async () => {
    for (let count = 0; count < 12; count++) await done(one, ...run("web"));
    expect(proxy.passed.filter((passing) => passing.method === "DELETE" && isData(passing))).toEqual([]);
    expect(proxy.passed.filter(({ path }) => path.includes("delete="))).toEqual([]);
    expect((await done(two, "data", "versions", "web", "log", "--json")).versions).toHaveLength(12);
  });

  test("lock-83: what an expression reads of another model is its newest version, from whatever machine that is", async () => {
    for (const version of [1, 2, 3]) {
      await done(version === 2 ? one : two, ...run("web"));
      await done(one, ...run("reader"));
      const { content } = await done(one, "data", "get", "reader", "log", "--json");
      expect(content).toContain(`newest is ${version}`);
    }
  });
});

describe("waiting and ending", () => {
  test("lock-53: Ctrl-C while outputs are on their way: no lock is left, and all of the run is there or nothing", async () => {
    const running = one.start(...run("web"));
    let told = false; // a second time would end it at once
    proxy.options.fault = (passing) => {
      if (isData(passing) && !told) told = running.child.kill("SIGINT");
      return undefined;
    };
    const { exitCode } = await running.done;
    proxy.options.fault = () => undefined;
    expect([0, 130]).toContain(exitCode);
    expect(await locks(two)).toMatchObject(free);
    const count = async (name: string) => {
      const listed = await two.fen("data", "versions", "web", name, "--json");
      return listed.exitCode === 0 ? listed.json().versions.length : 0;
    };
    expect(await count("log")).toBe(await count("result"));
    expect((await done(one, ...run("web"))).status).toBe("succeeded");
  });

  test("lock-55: a command that didn't get its lock in time puts nothing where data and records are", async () => {
    const slow = two.start("model", "method", "run", "slow", "execute");
    await slow.says("at work");
    const before = proxy.passed.length;
    expect((await one.fen(...run("slow"), "--lock-timeout", "300ms")).exitCode).toBe(75);
    const written = proxy.passed.slice(before).filter(({ method }) => method !== "GET" && method !== "HEAD");
    expect(written.length).toBeGreaterThan(0);
    expect(written.filter(({ path }) => !/\.fen(%2F|\/)(locks|claims)/.test(path))).toEqual([]);
    expect((await slow.done).exitCode).toBe(0);
  });

  test("lock-62: status lists what all machines hold, by name and machine", async () => {
    const held = [one.start(...run("slow")), two.start("model", "method", "run", "m0", "execute")];
    await until(
      async () => (await locks(two)).models.some((lock: { modelName: string }) => lock.modelName === "slow"),
      () => "the lock of the other machine",
    );
    for (const running of held) expect((await running.done).exitCode).toBe(0);
    expect(await locks(two)).toMatchObject(free);
  });

  test("lock-81: ten machines that push at once: none waits for another, all are done", async () => {
    const machines = Array.from({ length: 10 }, () => world.machine(inject("s3")));
    const results = await Promise.all(machines.map((machine, n) => machine.fen(...run(`m${n}`))));
    expect(results.map(({ exitCode }) => exitCode)).toEqual(machines.map(() => 0));
    expect(results.filter(({ stderr }) => stderr.includes("lock.waiting"))).toEqual([]);
    const { results: found } = await done(one, "data", "search", "", "--json");
    expect(found).toHaveLength(20);
  });
});

test("lock-76: two datastores have two caches on one machine, and where there is no repository none is made", async () => {
  await done(one, ...run("web"));
  await done(one, "data", "get", "web", "log", "--json");
  const home = join(one.path, "../home");
  const cache = join(home, ".cache/fen");
  expect(readdirSync(cache)).toHaveLength(1);
  const { endpoint, accessKeyId, secretAccessKey, region } = inject("s3");
  const env = {
    HOME: home,
    XDG_CACHE_HOME: "",
    SWAMP_DATASTORE: `s3:conformance/${newPrefix()}`,
    AWS_ENDPOINT_URL_S3: endpoint,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_REGION: region,
  };
  expect((await runFen(["data", "get", "web", "log"], { cwd: one.path, env })).exitCode).toBe(1);
  expect((await runFen(run("web"), { cwd: one.path, env })).exitCode).toBe(0);
  expect(readdirSync(cache)).toHaveLength(2);
  expect((await runFen(["data", "search"], { cwd: home, env })).exitCode).toBe(78);
  expect(readdirSync(cache)).toHaveLength(2);
  expect(existsSync(join(home, ".swamp"))).toBe(false);
});

test("lock-14: renewals of which most fail keep the lock", async () => {
  const fast = world.machine(proxy, { FEN_LOCK_TTL_MS: "3000" });
  let beats = 0;
  proxy.options.fault = ({ method, path }) =>
    method === "PUT" && path.includes("claims") && beats++ % 3 !== 0 ? 503 : undefined;
  const result = await fast.fen(...run("slow"));
  expect(result).toMatchObject({ exitCode: 0 });
  expect(beats).toBeGreaterThan(3);
});
