/** Real processes that are stopped for longer than their lock lasts, and pushes that are killed: what is committed is whole, and of one run each. */
import { afterEach, beforeAll, beforeEach, expect, inject, test } from "vitest";
import { makeBucket, newPrefix } from "../support/s3-client.ts";
import { type S3Machine, type S3World, s3World } from "../support/s3-machine.ts";
import { type Passing, type S3Proxy, startProxy } from "../support/s3-proxy.ts";

beforeAll(() => makeBucket(inject("s3"), "conformance"));
const env = { FEN_LOCK_TTL_MS: "1500" };
let world: S3World;
let proxy: S3Proxy;
let one: S3Machine;
let two: S3Machine;
beforeEach(async () => {
  proxy = await startProxy(inject("s3"));
  world = await s3World(newPrefix());
  world.repo.model("web", "echo hello");
  world.repo.model("slow", "echo at work; sleep 1; echo done");
  [one, two] = [world.machine(proxy, env), world.machine(inject("s3"), env)];
});
afterEach(async () => {
  world.remove();
  await proxy.close();
});

const run = (model: string) => ["model", "method", "run", model, "execute", "--json"];

async function versions(machine: S3Machine, model: string, name: string): Promise<number> {
  const listed = await machine.fen("data", "versions", model, name, "--json");
  return listed.exitCode === 0 ? listed.json().versions.length : 0;
}

test.each([1, 2, 3])(
  "lock-16: stopped at work past the TTL (%i): another takes over, and the one that wakes commits nothing, says so, and keeps what it made",
  async () => {
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
  },
);

// The claim and the record are the first two requests; then the swap, the gate, four puts at once, the commit, the removal of the claim.
test.each([1, 2, 3, 4, 5, 6, 7, 8, 9])(
  "lock-16: stopped at request %i past the TTL: there are as many versions as runs that say they have succeeded",
  async (number) => {
    expect((await one.fen(...run("web"))).exitCode).toBe(0);
    let passed = 0;
    const paused = one.start(...run("web"));
    const stopped = new Promise<void>((resolve) => {
      proxy.options.fault = () => {
        if (passed++ === number) {
          paused.kill("SIGSTOP");
          resolve();
        }
        return undefined;
      };
    });
    await stopped;
    const other = await two.fen(...run("web"));
    expect(other.exitCode, other.stderr).toBe(0);
    paused.kill("SIGCONT");
    const { exitCode, stderr } = await paused.done;
    expect([0, 75], stderr).toContain(exitCode);
    const committed = exitCode === 0 ? 3 : 2;
    expect(await versions(two, "web", "result"), stderr).toBe(committed);
    expect(await versions(two, "web", "log")).toBe(committed);
  },
);

// A push of one run sends some twenty: the lock, the contents, the head, the record, then what older programs read.
test.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18])(
  "lock-79: a push that is killed at request %i is finished by the next one; until then others see all of the run or nothing",
  async (number) => {
    const isContent = ({ method, path }: Passing): boolean => method === "PUT" && path.includes("/data/");
    const push = ["datastore", "sync", "--push", "--json"];
    proxy.options.fault = (passing) => (isContent(passing) ? 503 : undefined);
    expect((await one.fen(...run("web"))).exitCode).toBe(69);
    let passed = 0;
    const dying = one.start(...push);
    proxy.options.fault = () => {
      if (passed++ !== number) return undefined;
      dying.kill("SIGKILL");
      return number % 2 === 0 ? "lost answer" : "lost request";
    };
    expect((await dying.done).exitCode).toBe(137);
    proxy.options.fault = () => undefined;
    const seen = (await two.fen("data", "search", "", "--json")).json().results.length;
    expect([0, 2]).toContain(seen);
    const healed = await one.fen(...push);
    expect(healed.exitCode, healed.stderr).toBe(0);
    expect(healed.json().runs.filter((one: { committed: boolean }) => !one.committed)).toEqual([]);
    expect((await two.fen("data", "search", "", "--json")).json().results).toHaveLength(2);
  },
);
