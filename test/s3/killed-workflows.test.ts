/** A workflow run that is killed at each of its requests: another machine goes on with it, and no step's output is there twice. */
import { afterEach, beforeAll, expect, inject, test } from "vitest";
import { until } from "../support/cli.ts";
import { atEachRequest } from "../support/each-request.ts";
import { makeBucket, newPrefix } from "../support/s3-client.ts";
import { type S3Machine, s3World } from "../support/s3-machine.ts";
import { startProxy } from "../support/s3-proxy.ts";
import { after, step, workflowId } from "../support/workflow-repo.ts";

beforeAll(() => makeBucket(inject("s3"), "conformance"));
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const env = { FEN_LOCK_TTL_MS: "1500" };
const run = ["workflow", "run", "deploy", "--json"];

async function open() {
  const proxy = await startProxy(inject("s3"));
  const world = await s3World(newPrefix());
  ends.push(
    () => proxy.close(),
    () => world.remove(),
  );
  for (const name of ["quick", "last"]) world.repo.model(name, `echo ${name}`);
  const retry = { retry: { attempts: 3, on: ["interrupted"] } };
  const steps = [step("first", "quick", retry), step("second", "last", { ...after("first", "succeeded"), ...retry })];
  const workflow = { id: workflowId(1), name: "deploy", jobs: [{ name: "only", steps }] };
  world.repo.write(`workflows/workflow-${workflow.id}.yaml`, JSON.stringify(workflow));
  const [one, two] = [world.machine(proxy, env), world.machine(inject("s3"), env)];
  // The trial of the store isn't part of it.
  expect((await one.fen("datastore", "status", "--json")).exitCode).toBe(0);
  return { proxy, one, two };
}

const statusOf = async (machine: S3Machine): Promise<string | undefined> =>
  (await machine.fen("workflow", "history", "search", "--json")).json().results[0]?.status;

async function versions(machine: S3Machine, model: string): Promise<number> {
  const listed = await machine.fen("data", "versions", model, "result", "--json");
  return listed.exitCode === 0 ? listed.json().versions.length : 0;
}

test("whatever it was doing, the run is as good as new, or can be gone on with, and each step's output is there once", async () => {
  const requests = await atEachRequest(async (k) => {
    const { proxy, one, two } = await open();
    let [passed, at] = [0, ""];
    const dying = one.start(...run);
    proxy.options.fault = ({ method, path }) => {
      if (passed++ !== k) return undefined;
      at = `request ${k}: ${method} ${path}`;
      dying.kill("SIGKILL");
      return "lost answer";
    };
    const { exitCode } = await dying.done;
    proxy.options = {};
    if (passed <= k) return false;
    expect([0, 137], at).toContain(exitCode);
    let status: string | undefined;
    await until(
      async () => (status = await statusOf(two)) !== "running",
      () => `another machine finds that the run is dead, ${at}`,
    );
    if (status !== "succeeded") {
      const next = await two.fen(...(status === undefined ? run : ["workflow", "resume", "deploy", "--json"]));
      expect(next.exitCode, `${at}: ${next.stderr}${next.stdout}`).toBe(0);
    }
    expect([await versions(two, "quick"), await versions(two, "last")], `${at}, ${status}`).toEqual([1, 1]);
    if (status !== "succeeded") expect(await statusOf(two), at).toBe("succeeded");
    const healed = await one.fen(...run);
    expect(healed.exitCode, `${at}: ${healed.stderr}`).toBe(0);
    return true;
  });
  expect(requests).toBeGreaterThan(20);
}, 400_000);
