/** Runs of workflows on a datastore in S3: begun on one machine, seen, ended and gone on with from another. */
import { afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { S3Objects } from "../../src/store/drivers/s3/objects.ts";
import { until } from "../support/cli.ts";
import { clientOf, makeBucket, newPrefix } from "../support/s3-client.ts";
import { type S3Machine, type S3World, s3World } from "../support/s3-machine.ts";
import { type S3Proxy, startProxy } from "../support/s3-proxy.ts";
import { after, step, workflowId } from "../support/workflow-repo.ts";

beforeAll(() => makeBucket(inject("s3"), "conformance"));
const env = { FEN_LOCK_TTL_MS: "1500" };
let prefix: string;
let world: S3World;
let one: S3Machine;
let two: S3Machine;
beforeEach(async () => {
  prefix = newPrefix();
  world = await s3World(prefix);
  world.repo.model("quick", "echo quick");
  world.repo.model("slow", "echo at work; sleep 3; echo done");
  world.repo.model("last", "echo last");
  const steps = [
    step("first", "quick"),
    step("second", "slow", { ...after("first", "succeeded"), retry: { attempts: 3, on: ["interrupted"] } }),
    step("third", "last", after("second", "succeeded")),
  ];
  const id = workflowId(1);
  const workflow = { id, name: "deploy", jobs: [{ name: "only", steps }] };
  world.repo.write(`workflows/workflow-${id}.yaml`, JSON.stringify(workflow));
  [one, two] = [world.machine(inject("s3"), env), world.machine(inject("s3"), env)];
});
afterEach(() => world.remove());

const go = ["workflow", "run", "deploy"];
const newest = async (machine: S3Machine) =>
  (await machine.fen("workflow", "history", "search", "--json")).json().results[0];
const statusOf = async (machine: S3Machine): Promise<string> => (await newest(machine))?.status;
const becomes = (status: string) =>
  until(
    async () => (await statusOf(two)) === status,
    () => `the run isn't ${status}`,
  );
const stepsOf = async (machine: S3Machine): Promise<string[]> =>
  (await machine.fen("workflow", "history", "get", "deploy", "--json"))
    .json()
    .jobs[0].steps.map((one: { status: string }) => one.status);
const versions = async (machine: S3Machine, model: string): Promise<number> =>
  (await machine.fen("data", "versions", model, "result", "--json")).json().versions.length;

test("another machine sees a run as it goes, and all of it when it has ended", async () => {
  const running = one.start(...go);
  await running.says("only/second");
  expect(await statusOf(two)).toBe("running");
  expect(await stepsOf(two)).toEqual(["succeeded", "running", "pending"]);
  const watched = await two.fen("workflow", "history", "watch", "deploy");
  expect(watched.stdout + watched.stderr).toContain("third");
  expect((await running.done).exitCode).toBe(0);
  expect(await stepsOf(two)).toEqual(["succeeded", "succeeded", "succeeded"]);
  const logs = await two.fen("workflow", "history", "logs", "deploy");
  expect(logs.stdout).toContain("at work");
});

test("another machine finds what a run left, by the run", async () => {
  const { id } = (await one.fen(...go, "--json")).json();
  expect(await one.fen("model", "method", "run", "last", "execute")).toMatchObject({ exitCode: 0 });
  const listed = (await two.fen("data", "list", "--workflow", "deploy", "--type", "file", "--json")).json();
  expect(listed).toMatchObject({ runId: id, runStatus: "succeeded", total: 3 });
  const found = (await two.fen("data", "search", "last", "--run", id.slice(0, 8), "--type", "file", "--json")).json();
  expect(found.results).toMatchObject([{ modelName: "last", name: "log", version: 1 }]);
  const several = await two.fen("data", "get", "--workflow", "deploy", "log", "--json");
  expect(several.error()).toMatchObject({ code: "usage", hint: expect.stringContaining("--version 1") });
});

test("another machine ends a run", async () => {
  const running = one.start(...go);
  await running.says("only/second");
  const cancelled = await two.fen("workflow", "cancel", "deploy", "--json");
  expect(cancelled.exitCode, cancelled.stderr).toBe(0);
  expect((await running.done).exitCode).not.toBe(0);
  await becomes("cancelled");
});

test("while it is alive nobody else goes on with it", async () => {
  const running = one.start(...go);
  await running.says("only/second");
  const refused = await two.fen("workflow", "resume", "deploy", "--json");
  expect(refused.error()).toMatchObject({ code: "run_alive" });
  expect((await running.done).exitCode).toBe(0);
  expect(await versions(two, "slow")).toBe(1);
});

test("what died on one machine goes on at another: nothing that had ended is done again", async () => {
  const running = one.start(...go);
  await running.says("only/second");
  running.kill("SIGKILL");
  await running.done;
  await becomes("interrupted");
  const resumed = await two.fen("workflow", "resume", "deploy", "--json");
  expect(resumed.exitCode, resumed.stderr).toBe(0);
  for (const machine of [two, one]) {
    expect(await statusOf(machine)).toBe("succeeded");
    expect(await stepsOf(machine)).toEqual(["succeeded", "succeeded", "succeeded"]);
    expect(await versions(machine, "quick")).toBe(1);
  }
  // The record of the step that had ended is there, though the machine that has it isn't; once it is back, its own is in the same place.
  const [first] = (await two.fen("workflow", "history", "get", "deploy", "--json")).json().jobs[0].steps;
  const record = async () => (await two.fen("model", "output", "get", first.outputId, "--json")).json();
  const brought = await record();
  expect(brought).toMatchObject({ status: "succeeded", modelName: "quick", methodName: "execute" });
  expect(brought.artifacts.dataArtifacts.map((made: { name: string }) => made.name).sort()).toEqual(["log", "result"]);
  expect(brought.provenance.definitionHash).toBeUndefined();
  expect((await one.fen("datastore", "sync", "--push", "--json")).exitCode).toBe(0);
  const { provenance, durationMs: _ms, completedAt: _at, ...own } = await record();
  expect(provenance.definitionHash).toBeDefined();
  const { provenance: _brought, durationMs: _ours, completedAt: _then, ...ours } = brought;
  expect(own).toEqual(ours);
  // What the first one had said of it is kept with what the second one says.
  const { stdout } = await two.fen("workflow", "history", "logs", "deploy");
  expect(stdout).toMatch(/quick[^]*at work[^]*done[^]*last/);
});

test("of two machines that go on with it at once one does: no step is done by both", async () => {
  const running = one.start(...go);
  await running.says("only/second");
  running.kill("SIGKILL");
  await running.done;
  await becomes("interrupted");
  const three = world.machine(inject("s3"), env);
  const resume = ["workflow", "resume", "deploy", "--json"];
  const both = await Promise.all([two.fen(...resume), three.fen(...resume)]);
  const codes = both.map(({ exitCode }) => exitCode);
  expect(
    codes.filter((code) => code === 0),
    JSON.stringify(both),
  ).toHaveLength(1);
  expect(await stepsOf(one)).toEqual(["succeeded", "succeeded", "succeeded"]);
  expect([await versions(two, "slow"), await versions(two, "last")]).toEqual([1, 1]);
});

test("a model that the run uses once costs two writes of its lock's record: taken, and given back with the commit", async () => {
  const proxy = await startProxy(inject("s3"));
  try {
    const behind = world.machine(proxy, env);
    expect((await behind.fen(...go)).exitCode).toBe(0);
    const swaps = new Map<string, number>();
    for (const { method, path } of proxy.passed) {
      const [, key] = /\.fen\/locks\/(.+)$/.exec(decodeURIComponent(path)) ?? [];
      if (method === "PUT" && key !== undefined) swaps.set(key, (swaps.get(key) ?? 0) + 1);
    }
    expect([...swaps.values()]).toEqual([2, 2, 2]);
  } finally {
    await proxy.close();
  }
});

test("the machine on which it died goes on with it at once", async () => {
  const running = one.start(...go);
  await running.says("only/second");
  running.kill("SIGKILL");
  await running.done;
  expect((await one.fen(...["workflow", "resume", "deploy"])).exitCode).toBe(0);
  expect(await statusOf(two)).toBe("succeeded");
});

test("one that was stopped, taken for dead and gone on with elsewhere begins nothing more when it wakes", async () => {
  const running = one.start(...go);
  await running.says("only/second");
  running.kill("SIGSTOP");
  await becomes("interrupted");
  expect((await two.fen("workflow", "resume", "deploy", "--json")).exitCode).toBe(0);
  running.kill("SIGCONT");
  const woken = await running.done;
  expect(woken.exitCode, woken.stderr).toBe(75);
  expect(await statusOf(two)).toBe("succeeded");
  expect(await stepsOf(one)).toEqual(["succeeded", "succeeded", "succeeded"]);
  expect([await versions(two, "slow"), await versions(two, "last")]).toEqual([1, 1]);
});

describe("while the outputs of steps are on their way", () => {
  const models = ["m0", "m1", "m2", "m3"];
  let proxy: S3Proxy;
  let third: S3Machine;
  beforeEach(async () => {
    proxy = await startProxy(inject("s3"));
    for (const name of models) world.repo.model(name, `echo ${name}`);
    const id = workflowId(2);
    const jobs = [{ name: "only", steps: models.map((name) => step(name, name)) }];
    world.repo.write(`workflows/workflow-${id}.yaml`, JSON.stringify({ id, name: "fleet", jobs }));
    [third, two] = [world.machine(proxy, env), world.machine(inject("s3"), env)];
  });
  afterEach(() => proxy.close());
  const fleet = ["workflow", "run", "fleet", "--concurrency", "2"];

  const numbers = async (model: string, name: string): Promise<number[]> => {
    const listed = await two.fen("data", "versions", model, name, "--json");
    return listed.exitCode === 0 ? listed.json().versions.map((one: { version: number }) => one.version) : [];
  };
  const outputsOf = async (model: string) => [await numbers(model, "result"), await numbers(model, "log")];

  /** What older programs find: nothing that isn't there. */
  const expectTrueIndex = async (): Promise<void> => {
    expect((await two.fen("datastore", "sync", "--push", "--json")).exitCode).toBe(0);
    const objects = new S3Objects(await clientOf(inject("s3"), { prefix }));
    const text = await objects.get(".datastore-index.json", { maxBytes: 10_000_000 });
    const named = Object.keys(JSON.parse(new TextDecoder().decode(text)).entries);
    const there = new Set<string>();
    for await (const { path } of objects.list("")) there.add(path);
    expect(named.filter((path) => !there.has(path))).toEqual([]);
    for (const model of models) {
      const [results = []] = await outputsOf(model);
      expect(named.filter((path) => path.endsWith("/raw") && path.includes("/result/")).length).toBeGreaterThanOrEqual(
        results.length,
      );
    }
  };

  test.each([1, 2, 4, 7])(
    "lock-53: Ctrl-C at write %i: no lock is left, of each step all is there or nothing, the run can be gone on with",
    async (nth) => {
      const running = third.start(...fleet);
      let writes = 0;
      proxy.options.fault = ({ method, path }) => {
        if (method !== "GET" && method !== "HEAD" && path.includes("/data/") && ++writes === nth)
          running.child.kill("SIGINT");
        return undefined;
      };
      const { exitCode } = await running.done;
      expect(writes).toBeGreaterThanOrEqual(nth);
      expect([0, 130]).toContain(exitCode);
      const status = await two.fen("datastore", "lock", "status", "--json");
      expect(status.json()).toMatchObject({ datastore: null, models: [], waiting: [] });
      expect(await statusOf(two)).toBe(exitCode === 0 ? "succeeded" : "cancelled");
      for (const model of models) {
        const [results, logs] = await outputsOf(model);
        expect(results).toEqual(logs);
      }
      await expectTrueIndex();
      if (exitCode !== 0) expect((await two.fen("workflow", "resume", "fleet", "--json")).exitCode).toBe(0);
      expect(await statusOf(two)).toBe("succeeded");
      for (const model of models) expect(await numbers(model, "result")).not.toEqual([]);
      await expectTrueIndex();
    },
  );

  test("lock-55: a run that doesn't get its locks in time leaves nothing in the bucket", async () => {
    const slow = one.start(...go);
    await slow.says("only/second");
    const objects = new S3Objects(await clientOf(inject("s3"), { prefix }));
    const runsThere = async () => {
      const found = new Set<string>();
      for await (const { path } of objects.list("")) found.add(/workflow-run-([0-9a-f-]{36})/.exec(path)?.[1] ?? "");
      return [...found].sort();
    };
    const before = await runsThere();
    const refused = await third.fen(...go, "--lock-timeout", "300ms", "--json");
    expect(refused.error()).toMatchObject({ code: "lock_timeout" });
    expect(proxy.passed.filter(({ method, path }) => method === "PUT" && path.includes("/data/"))).toEqual([]);
    expect(await runsThere()).toEqual(before);
    expect((await slow.done).exitCode).toBe(0);
  });
});
