/** `datastore sync`: what could not reach the store gets there, the cache is filled, and older programs find what there is. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { parseYaml } from "../../src/repo/yaml.ts";
import { S3Objects } from "../../src/store/drivers/s3/objects.ts";
import { until } from "../support/cli.ts";
import { clientOf, makeBucket, newPrefix } from "../support/s3-client.ts";

import { type S3Machine, type S3World, s3World } from "../support/s3-machine.ts";
import { type Passing, type S3Proxy, startProxy } from "../support/s3-proxy.ts";

beforeAll(() => makeBucket(inject("s3"), "conformance"));
let prefix: string;
let world: S3World;
let proxy: S3Proxy;
let one: S3Machine;
let two: S3Machine;
let objects: S3Objects;
let id: string;
beforeEach(async () => {
  proxy = await startProxy(inject("s3"));
  prefix = newPrefix();
  world = await s3World(prefix);
  id = world.repo.model("web", "echo hello");
  world.repo.model("other", "echo other");
  [one, two] = [world.machine(proxy), world.machine(inject("s3"))];
  objects = new S3Objects(await clientOf(inject("s3"), { prefix }));
});
afterEach(async () => {
  world.remove();
  await proxy.close();
});

const run = (model = "web") => ["model", "method", "run", model, "execute", "--json"];
const isContent = ({ method, path }: Passing): boolean => method === "PUT" && path.includes("/data/");
const isRecord = ({ method, path }: Passing): boolean => method === "PUT" && path.includes("/outputs/");

async function sync(machine: S3Machine, ...flags: string[]) {
  const result = await machine.fen("datastore", "sync", "--json", ...flags);
  expect(result).toMatchObject({ exitCode: 0 });
  return result.json();
}

async function paths(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { path } of objects.list(folder)) found.push(path);
  return found;
}

async function text(path: string): Promise<string> {
  return new TextDecoder().decode(await objects.get(path, { maxBytes: 10_000_000 }));
}

async function index(): Promise<string[]> {
  return Object.keys(JSON.parse(await text(".datastore-index.json")).entries);
}

describe("--push", () => {
  test("lock-82: commits what a run could not, without another run, and with its record and log", async () => {
    proxy.options.fault = (passing) => (isContent(passing) ? 503 : undefined);
    const failed = await one.fen(...run());
    expect(failed.exitCode).toBe(69);
    proxy.options = {};
    const { runs } = await sync(one, "--push");
    expect(runs).toEqual([{ model: `command/shell/${id}`, runId: expect.any(String), committed: true }]);
    expect((await two.fen("data", "get", "web", "log", "--json")).json()).toMatchObject({ version: 1 });
    const { results } = (await two.fen("model", "output", "search", "--json")).json();
    expect(results).toHaveLength(1);
    expect(results[0].status).not.toBe("running");
    expect((await sync(one, "--push")).runs).toEqual([]);
  });

  test("lock-79: a record and a log that stayed on this machine reach the store, and say how the run ended", async () => {
    proxy.options.fault = (passing) => (isRecord(passing) ? 503 : undefined);
    expect((await one.fen(...run())).exitCode).not.toBe(0);
    proxy.options = {};
    expect((await two.fen("model", "output", "search", "--json")).json().results).toEqual([]);
    expect((await sync(one, "--push")).filesPushed).toBeGreaterThanOrEqual(2);
    const { results } = (await two.fen("model", "output", "search", "--json")).json();
    expect(results).toMatchObject([{ status: "interrupted" }]);
    const logs = await two.fen("model", "method", "history", "logs", results[0].id, "--json");
    expect(logs.json().lines.join("\n")).toContain("hello");
  });

  test("the run of another command that lives is left alone", async () => {
    world.repo.model("slow", "echo at work; sleep 4; echo done");
    const machine = world.machine(inject("s3"));
    const slow = machine.start("model", "method", "run", "slow", "execute");
    await slow.says("at work");
    expect(await sync(machine, "--push")).toMatchObject({ runs: [] });
    expect(slow.child.exitCode).toBeNull();
    expect((await slow.done).exitCode).toBe(0);
  });
});

describe("for older programs", () => {
  test("metadata, latest and index are written, say what the manifest says, and are left as they are when nothing is new", async () => {
    await one.fen(...run());
    await one.fen(...run());
    const first = await sync(one, "--push");
    expect(first.filesPushed).toBe(7); // metadata of four versions, `latest` of two names, the index
    expect(parseYaml(await text(`data/command/shell/${id}/result/2/metadata.yaml`), "metadata")).toMatchObject({
      name: "result",
      version: 2,
      ownerDefinition: { ownerType: "model-method" },
    });
    expect(await text(`data/command/shell/${id}/log/latest`)).toBe("2");
    expect((await index()).filter((path) => path.startsWith("data/"))).toEqual(await paths("data"));
    expect(await sync(one, "--push")).toMatchObject({ filesPushed: 0, errors: [] });
    expect(await sync(two, "--push")).toMatchObject({ filesPushed: 0 });
  });

  test("lock-77: the index names nothing that is ours alone, no lock, and nothing that is not committed", async () => {
    await one.fen(...run());
    await objects.put(`data/command/shell/${id}/result/9/raw`, new TextEncoder().encode("of a run that died"));
    await objects.put(`data/command/shell/${id}/.lock`, new TextEncoder().encode("{}"));
    await objects.put("unknown/file", new TextEncoder().encode("?"));
    await sync(one, "--push");
    const named = await index();
    expect(named).toContain(`data/command/shell/${id}/result/1/raw`);
    expect(named.filter((path) => /(^|\/)\.|unknown|\/9\//.test(path))).toEqual([]);
  });

  test("lock-65, lock-73: two machines that write the index at once name the files of both, and no longer what is deleted", async () => {
    for (let round = 0; round < 3; round++) {
      await Promise.all([one.fen(...run("web")), two.fen(...run("other"))]);
      await Promise.all([sync(one, "--push"), sync(two, "--push")]);
      expect((await index()).filter((path) => path.endsWith("/raw"))).toHaveLength(4 * (round + 1));
    }
    await one.fen("data", "delete", "web", "result", "-f");
    await sync(two, "--push");
    const left = (await index()).filter((path) => path.includes(`${id}/result`));
    expect(left).toEqual([]);
    expect(await paths(`data/command/shell/${id}/result`)).toEqual([]);
  });

  test("lock-66: an index that can't be read is not written", async () => {
    await one.fen(...run());
    await sync(one, "--push");
    const before = await text(".datastore-index.json");
    await one.fen(...run());
    const isIndex = ({ method, path }: Passing) => method === "GET" && path.includes("datastore-index");
    for (const fault of [500, 503, "cut answer", "not S3"] as const) {
      proxy.options.fault = (passing) => (isIndex(passing) ? fault : undefined);
      expect((await one.fen("datastore", "sync", "--push", "--json")).exitCode).toBe(69);
      expect(await text(".datastore-index.json")).toBe(before);
    }
  });

  test("lock-71, lock-74: a machine with an empty cache removes nothing, and after a pull there is nothing to push", async () => {
    await one.fen(...run());
    await sync(one);
    const before = await paths("");
    const fresh = world.machine(inject("s3"));
    expect(await sync(fresh, "--push")).toMatchObject({ filesPushed: 0 });
    expect(await sync(fresh)).toMatchObject({ filesPulled: 2, filesPushed: 0 });
    expect((await paths("")).filter((path) => !path.startsWith(".fen/"))).toEqual(
      before.filter((path) => !path.startsWith(".fen/")),
    );
  });
});

describe("an index that several want at once", () => {
  const isIndex = ({ path }: Passing) => path.includes("/.datastore-index.json");
  const isTurn = ({ method, path }: Passing) => method === "PUT" && path.includes("/.fen/publication.json");
  const names = async (model: string) =>
    (await index()).some((path) => path.startsWith(`data/command/shell/${model}/`));

  test("lock-81: is made by one of them for those who came before it began, and once more at most for all others", async () => {
    await one.fen(...run());
    proxy.options = { latencyMs: 500 }; // all of them come while the first is at work
    const machines = Array.from({ length: 5 }, () => world.machine(proxy));
    const before = proxy.passed.length;
    const told = await Promise.all(machines.map((machine) => sync(machine, "--push")));
    expect(told.every(({ errors }) => errors.length === 0)).toBe(true);
    expect(await names(id)).toBe(true);
    const puts = proxy.passed.slice(before).filter((one) => isIndex(one) && one.method === "PUT");
    const gets = proxy.passed.slice(before).filter((one) => isIndex(one) && one.method === "GET");
    expect(puts).toHaveLength(1);
    expect(gets.length).toBeLessThan(machines.length);
  });

  test("lock-80: of one that was killed at it, others wait for ten seconds and make it", async () => {
    await one.fen(...run());
    proxy.options.fault = (passing) => (isIndex(passing) && passing.method === "PUT" ? "hang" : undefined);
    const dying = one.start("datastore", "sync", "--push");
    await until(
      () => proxy.passed.some((passing) => isIndex(passing) && passing.method === "PUT"),
      () => "the index",
    );
    dying.kill("SIGKILL");
    await dying.done;
    const start = performance.now();
    await sync(two, "--push");
    expect(await names(id)).toBe(true);
    expect(performance.now() - start).toBeLessThan(20_000);
    const again = performance.now();
    await sync(two, "--push");
    expect(performance.now() - again).toBeLessThan(8000);
  });

  test("is made whatever becomes of the turns: refused, lost, nonsense", async () => {
    for (const fault of [503, 500, "lost request", "lost answer", "done 500", "cut answer"] as const) {
      await one.fen(...run());
      proxy.options.fault = (passing) => (isTurn(passing) ? fault : undefined);
      await sync(one, "--push");
      expect((await index()).filter((path) => path.startsWith("data/"))).toEqual(await paths("data"));
      proxy.options = {};
    }
    await objects.put(".fen/publication.json", new TextEncoder().encode("[nonsense"));
    await one.fen(...run());
    await sync(one, "--push");
    expect((await index()).filter((path) => path.startsWith("data/"))).toEqual(await paths("data"));
  });

  test("one whose publication fails keeps nobody waiting", async () => {
    await one.fen(...run());
    proxy.options.fault = (passing) => (isIndex(passing) ? 503 : undefined);
    expect((await one.fen("datastore", "sync", "--push")).exitCode).toBe(69);
    const start = performance.now();
    await sync(two, "--push");
    expect(performance.now() - start).toBeLessThan(8000);
    expect(await names(id)).toBe(true);
  });
});

describe("--pull", () => {
  test("brings what this machine lacks, once, so that reading costs a look at the manifest alone", async () => {
    for (let count = 0; count < 3; count++) await two.fen(...run());
    expect(await sync(one, "--pull")).toEqual({ mode: "pull", filesPulled: 6, errors: [] });
    expect(await sync(one, "--pull")).toMatchObject({ filesPulled: 0 });
    const before = proxy.passed.length;
    await one.fen("data", "get", "web", "result", "--version", "1");
    expect(proxy.passed.length - before).toBe(1);
  });

  test("lock-78: a version whose content is gone is reported, the others are brought", async () => {
    await two.fen(...run());
    await two.fen(...run());
    await objects.removeAll([`data/command/shell/${id}/result/1/raw`]);
    const result = await one.fen("datastore", "sync", "--pull", "--json");
    expect(result.exitCode).toBe(65);
    expect(result.json()).toMatchObject({ filesPulled: 3, errors: [expect.stringContaining("result/1/raw")] });
    expect((await one.fen("data", "get", "web", "result", "--json")).exitCode).toBe(0);
    expect((await one.fen(...run())).exitCode).toBe(0);
  });

  test("the cache may be removed at any time", async () => {
    await two.fen(...run());
    await sync(two, "--pull");
    const cache = join(two.path, "../home/.cache/fen");
    expect(readdirSync(cache)).toHaveLength(1);
    rmSync(cache, { recursive: true });
    expect((await two.fen("data", "get", "web", "log", "--raw")).stdout).toContain("hello");
    expect(await sync(two, "--pull")).toMatchObject({ filesPulled: 1 });
  });
});
