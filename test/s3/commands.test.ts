/** The built program on a datastore in S3: two machines on one bucket, and what a command costs. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { until } from "../support/cli.ts";
import { makeBucket, newPrefix } from "../support/s3-client.ts";
import { type S3Machine, type S3World, s3World } from "../support/s3-machine.ts";
import { type S3Proxy, startProxy } from "../support/s3-proxy.ts";

beforeAll(() => makeBucket(inject("s3"), "conformance"));
let world: S3World;
let proxy: S3Proxy;
let one: S3Machine;
let two: S3Machine;
beforeEach(async () => {
  proxy = await startProxy(inject("s3"));
  world = await s3World(newPrefix());
  world.repo.model("web", "echo hello");
  world.repo.model("other", "echo other");
  world.repo.model("clock", "date +%N");
  world.repo.model("slow", "sleep 2; echo done");
  [one, two] = [world.machine(proxy), world.machine(inject("s3"))];
});
afterEach(async () => {
  world.remove();
  await proxy.close();
});

const run = ["model", "method", "run", "web", "execute", "--json"];

/** The lock of a model, as soon as somebody holds it. */
async function heldOf(modelName: string) {
  let held: { readonly nonce: string } | undefined;
  await until(
    async () => {
      const { models } = (await two.fen("datastore", "lock", "status", "--json")).json();
      held = models.find((one: { modelName: string }) => one.modelName === modelName);
      return held !== undefined;
    },
    () => `a holder of ${modelName}`,
  );
  if (held === undefined) throw new Error("nobody holds it");
  return held;
}

/** What a command sent, and what it gave. */
async function counted(machine: S3Machine, ...args: string[]) {
  const before = proxy.passed.length;
  const result = await machine.fen(...args);
  expect(result).toMatchObject({ exitCode: 0 });
  const sent = proxy.passed.slice(before).map(({ method, path }) => `${method} ${decodeURIComponent(path)}`);
  return { sent, result };
}

describe("two machines", () => {
  test("lock-67, lock-84: what one runs the other reads at once: data, the record with its end, the log", async () => {
    const ran = (await one.fen(...run)).json();
    expect(ran).toMatchObject({ status: "succeeded", data: { name: "result", version: 1 } });
    const { stdout } = await two.fen("data", "get", "web", "log", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ version: 1, content: "[stdout]\nhello" });
    const { results } = (await two.fen("model", "output", "search", "--json")).json();
    expect(results).toMatchObject([{ id: ran.outputId, status: "succeeded" }]);
    const logs = (await two.fen("model", "method", "history", "logs", ran.outputId, "--json")).json();
    expect(logs.lines.join("\n")).toContain("hello");
    expect((await two.fen(...run)).json()).toMatchObject({ data: { version: 2 } });
  });

  test("what one evaluated the other runs, of one model or of all", async () => {
    for (const evaluated of ["web", "--all"]) {
      expect(await one.fen("model", "evaluate", evaluated)).toMatchObject({ exitCode: 0 });
      const name = evaluated === "web" ? "web" : "other";
      const ran = await two.fen("model", "method", "run", name, "execute", "--last-evaluated", "--json");
      expect(ran.json()).toMatchObject({ status: "succeeded", modelName: name });
    }
  });

  test("one waits for the other, and who waits is told by whom", async () => {
    const first = one.start("model", "method", "run", "slow", "execute");
    await heldOf("slow");
    const second = await two.fen("model", "method", "run", "slow", "execute", "--lock-timeout", "200ms");
    expect(second).toMatchObject({ exitCode: 75 });
    expect(second.stderr).toContain("fen model method run slow execute");
    expect((await first.done).exitCode).toBe(0);
  });

  test("lock-68: content of the same size is read anew", async () => {
    const tick = ["model", "method", "run", "clock", "execute", "--json"];
    await one.fen(...tick);
    const first = (await two.fen("data", "get", "clock", "log", "--json")).json();
    await one.fen(...tick);
    const second = (await two.fen("data", "get", "clock", "log", "--json")).json();
    expect(second.size).toBe(first.size);
    expect(second.version).toBe(first.version + 1);
    expect(second.content).not.toBe(first.content);
  });

  test("lock-33: a structural command of one waits for a run of the other", async () => {
    const first = one.start("model", "method", "run", "slow", "execute");
    await heldOf("slow");
    const refused = await two.fen("data", "gc", "-f", "--lock-timeout", "300ms", "--json");
    expect(refused).toMatchObject({ exitCode: 75 });
    expect(refused.error()).toMatchObject({ code: "lock_timeout" });
    expect((await two.fen("data", "gc", "-f", "--json")).exitCode).toBe(0);
    expect((await first.done).exitCode).toBe(0);
  });

  test("lock-75: nothing of a datastore in S3 lies where one in a folder would be", async () => {
    await one.fen(...run);
    await one.fen("data", "get", "web", "result");
    await one.fen("data", "rename", "web", "result", "outcome");
    expect(readdirSync(join(one.path, ".swamp"))).toEqual([".fen"]);
  });

  test("eight runs at once: eight versions, none lost", async () => {
    const runs = await Promise.all(Array.from({ length: 8 }, (_, index) => (index % 2 === 0 ? one : two).fen(...run)));
    expect(runs.map(({ exitCode }) => exitCode)).toEqual(Array.from({ length: 8 }, () => 0));
    const versions = runs.map((result) => result.json().data.version).sort((a, b) => a - b);
    expect(versions).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const listed = (await two.fen("data", "versions", "web", "result", "--json")).json();
    expect(listed.versions).toHaveLength(8);
  });

  test("a lock that is taken away in the middle: nothing committed, what it made is kept and named", async () => {
    const zombie = one.start("model", "method", "run", "slow", "execute", "--json");
    const held = await heldOf("slow");
    const broken = ["datastore", "lock", "release", "--force", "--model", "slow", "--nonce", held.nonce, "--json"];
    expect((await two.fen(...broken)).exitCode).toBe(0);
    const after = await two.fen("model", "method", "run", "slow", "execute", "--json");
    expect(after.json()).toMatchObject({ status: "succeeded" });
    const lost = await zombie.done;
    expect(lost.exitCode).toBe(75);
    expect(lost.error()).toMatchObject({ code: "lock_lost" });
    expect((await two.fen("data", "versions", "slow", "result", "--json")).json().versions).toHaveLength(1);
  });

  test("lock-73: what one renames, deletes or cleans up is so for the other, and nothing else is", async () => {
    for (let count = 0; count < 3; count++) await one.fen(...run);
    expect((await one.fen("data", "rename", "web", "result", "outcome", "--json")).json()).toMatchObject({
      newVersion: 1,
    });
    expect((await two.fen("data", "get", "web", "result", "--json")).json()).toMatchObject({ name: "outcome" });
    expect((await two.fen("data", "delete", "web", "log", "--version", "1", "-f", "--json")).exitCode).toBe(0);
    expect((await two.fen("data", "gc", "-f", "--json")).json()).toMatchObject({ versionsDeleted: 0 });
    expect((await one.fen("data", "versions", "web", "log", "--json")).json().versions).toHaveLength(2);
    expect((await one.fen("model", "delete", "web", "--force", "--json")).exitCode).toBe(0);
    const { results } = (await two.fen("data", "search", "", "--json")).json();
    expect(results).toEqual([]);
  });
});

describe("what a command costs", () => {
  test("an uncontended run: at most 8 requests and one for each output, whatever else there is", async () => {
    await one.fen(...run);
    const few = await counted(one, ...run);
    expect(few.sent.length, few.sent.join("\n")).toBeLessThanOrEqual(8 + 2);
    for (let count = 0; count < 12; count++) await two.fen(...run);
    for (let count = 0; count < 3; count++) await two.fen("model", "method", "run", "other", "execute");
    const many = await counted(one, ...run);
    expect(many.result.json().data.version).toBe(15);
    expect(many.sent.length, many.sent.join("\n")).toBe(few.sent.length);
    expect(many.sent.filter((line) => line.includes("list-type"))).toEqual([]);
  });

  test("reading: one request for the list of a model's data, one more for content that isn't cached", async () => {
    await two.fen(...run);
    await one.fen("datastore", "status");
    expect((await counted(one, "data", "list", "web", "--json")).sent).toHaveLength(1);
    expect((await counted(one, "data", "get", "web", "result", "--json")).sent).toHaveLength(2);
    expect((await counted(one, "data", "versions", "web", "result", "--json")).sent).toHaveLength(1);
    await one.fen(...run);
    // Our own content is in the cache.
    expect((await counted(one, "data", "get", "web", "result", "--json")).sent).toHaveLength(1);
  });

  test("through 60 ms a run is late by less than a second", async () => {
    await one.fen(...run);
    proxy.options.latencyMs = 60;
    const start = performance.now();
    await one.fen(...run);
    expect(performance.now() - start).toBeLessThan(2500);
  });
});
