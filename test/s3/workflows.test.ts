/** Runs of workflows on a datastore in S3: begun on one machine, seen, ended and gone on with from another. */
import { afterEach, beforeAll, beforeEach, expect, inject, test } from "vitest";
import { until } from "../support/cli.ts";
import { makeBucket, newPrefix } from "../support/s3-client.ts";
import { type S3Machine, type S3World, s3World } from "../support/s3-machine.ts";
import { after, step, workflowId } from "../support/workflow-repo.ts";

beforeAll(() => makeBucket(inject("s3"), "conformance"));
const env = { FEN_LOCK_TTL_MS: "1500" };
let world: S3World;
let one: S3Machine;
let two: S3Machine;
beforeEach(async () => {
  world = await s3World(newPrefix());
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
  // What the first one had said of it is kept with what the second one says.
  expect((await one.fen("datastore", "sync", "--push", "--json")).exitCode).toBe(0);
  const { stdout } = await two.fen("workflow", "history", "logs", "deploy");
  expect(stdout).toMatch(/quick[^]*at work[^]*done[^]*last/);
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
