/**
 * Real processes that are stopped for longer than their lock lasts, and pushes that are killed: what is committed is whole, and of one run each.
 * FEN_PAUSES=100 makes as many pauses; in every test run it is 13, or as many as a run has requests.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeAll, expect, inject, test } from "vitest";
import { several } from "../../src/kernel/several.ts";
import { atEachRequest } from "../support/each-request.ts";
import { makeBucket, newPrefix } from "../support/s3-client.ts";
import { type S3Machine, s3World } from "../support/s3-machine.ts";
import { type Passing, type S3Proxy, startProxy } from "../support/s3-proxy.ts";

beforeAll(() => makeBucket(inject("s3"), "conformance"));
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const ttlMs = 1500;
const pauses = Number(process.env["FEN_PAUSES"] ?? 13);
/** At work; the others are at a request. */
const pausesAtWork = Math.max(3, Math.round((pauses * 3) / 13));
const longMs = 60_000 + pauses * 20_000;

interface Scene {
  readonly proxy: S3Proxy;
  /** Behind the proxy. */
  readonly one: S3Machine;
  readonly two: S3Machine;
}

async function open(): Promise<Scene> {
  const proxy = await startProxy(inject("s3"));
  ends.push(() => proxy.close());
  const world = await s3World(newPrefix());
  ends.push(() => world.remove());
  world.repo.model("web", "echo hello");
  world.repo.model("slow", "echo at work; sleep 1; echo done");
  const env = { FEN_LOCK_TTL_MS: String(ttlMs) };
  return { proxy, one: world.machine(proxy, env), two: world.machine(inject("s3"), env) };
}

const run = (model: string) => ["model", "method", "run", model, "execute", "--json"];

async function versions(machine: S3Machine, model: string, name: string): Promise<number> {
  const listed = await machine.fen("data", "versions", model, name, "--json");
  return listed.exitCode === 0 ? listed.json().versions.length : 0;
}

async function pausedAtWork(): Promise<void> {
  const { one, two } = await open();
  const paused = one.start("model", "method", "run", "slow", "execute");
  await paused.says("at work");
  paused.kill("SIGSTOP");
  expect((await two.fen(...run("slow"))).exitCode).toBe(0);
  paused.kill("SIGCONT");
  const result = await paused.done;
  expect(result.exitCode, result.stderr).toBe(75);
  expect(result.stderr).toMatch(/was taken away[^]*kept in /);
  expect(await versions(two, "slow", "result")).toBe(1);
  expect((await one.fen(...run("slow"))).exitCode).toBe(0);
  expect(await versions(two, "slow", "result")).toBe(2);
}

test(
  "lock-16: stopped at work past the TTL: another takes over, and the one that wakes commits nothing, says so, and keeps what it made",
  async () => {
    await several(Array.from({ length: pausesAtWork }), 3, pausedAtWork);
    console.log(`${pausesAtWork} pauses at work past the TTL: none committed`);
  },
  longMs,
);

/** How it ended; undefined where it ended before that request. */
async function pausedAt(k: number): Promise<number | undefined> {
  const { proxy, one, two } = await open();
  expect((await one.fen(...run("web"))).exitCode).toBe(0);
  let passed = 0;
  const paused = one.start(...run("web"));
  const stopped = new Promise<"stopped">((resolve) => {
    proxy.options.fault = () => {
      if (passed++ === k) {
        paused.kill("SIGSTOP");
        resolve("stopped");
      }
      return undefined;
    };
  });
  if ((await Promise.race([stopped, paused.done])) !== "stopped") return undefined;
  const [other] = await Promise.all([two.fen(...run("web")), sleep(ttlMs + 100)]);
  expect(other.exitCode, other.stderr).toBe(0);
  paused.kill("SIGCONT");
  const { exitCode, stderr } = await paused.done;
  expect([0, 75], stderr).toContain(exitCode);
  const committed = exitCode === 0 ? 3 : 2;
  expect(await versions(two, "web", "result"), stderr).toBe(committed);
  expect(await versions(two, "web", "log")).toBe(committed);
  return exitCode ?? 0;
}

test(
  "lock-16: stopped at each of its requests past the TTL: there are as many versions as runs that say they have succeeded",
  async () => {
    const codes: number[] = [];
    do {
      const requests = await atEachRequest(
        async (k) => {
          const code = await pausedAt(k);
          if (code !== undefined) codes.push(code);
          return code !== undefined;
        },
        { every: 1 },
      );
      expect(requests).toBeGreaterThan(5);
    } while (codes.length < pauses - pausesAtWork);
    const succeeded = codes.filter((code) => code === 0).length;
    console.log(
      `${codes.length} pauses at a request past the TTL: ${succeeded} had committed before, or began after; ${codes.length - succeeded} committed nothing`,
    );
  },
  longMs,
);

test("lock-79: a push that is killed at any of its requests is finished by the next one; until then others see all of the run or nothing", async () => {
  const isContent = ({ method, path }: Passing): boolean => method === "PUT" && path.includes("/data/");
  const push = ["datastore", "sync", "--push", "--json"];
  const requests = await atEachRequest(async (k) => {
    const { proxy, one, two } = await open();
    proxy.options.fault = (passing) => (isContent(passing) ? 503 : undefined);
    expect((await one.fen(...run("web"))).exitCode).toBe(69);
    let passed = 0;
    const dying = one.start(...push);
    proxy.options.fault = () => {
      if (passed++ !== k) return undefined;
      dying.kill("SIGKILL");
      return k % 2 === 0 ? "lost answer" : "lost request";
    };
    const { exitCode } = await dying.done;
    proxy.options.fault = () => undefined;
    if (passed <= k) return false;
    expect([0, 137]).toContain(exitCode);
    const seen = (await two.fen("data", "search", "", "--json")).json().results.length;
    expect([0, 2]).toContain(seen);
    const healed = await one.fen(...push);
    expect(healed.exitCode, healed.stderr).toBe(0);
    expect(healed.json().runs.filter((one: { committed: boolean }) => !one.committed)).toEqual([]);
    expect((await two.fen("data", "search", "", "--json")).json().results).toHaveLength(2);
    return true;
  });
  expect(requests).toBeGreaterThan(10);
}, 300_000);
