/** Machines whose wall clocks are an hour off, one ahead and one behind: nothing that decides is theirs. */
import { afterEach, beforeAll, beforeEach, expect, inject, test } from "vitest";
import { makeBucket, newPrefix } from "../support/s3-client.ts";
import { type S3Machine, type S3World, s3World } from "../support/s3-machine.ts";
import { fakeTime } from "../support/surroundings.ts";

beforeAll(() => makeBucket(inject("s3"), "conformance"));
const env = { FEN_LOCK_TTL_MS: "1500" };
let world: S3World;
let ahead: S3Machine;
let behind: S3Machine;
beforeEach(async () => {
  world = await s3World(newPrefix());
  world.repo.model("web", "echo hello");
  world.repo.model("slow", "echo at work; sleep 4; echo done");
  world.repo.model("dying", "echo at work; sleep 60");
  [ahead, behind] = (["hour-ahead", "hour-behind"] as const).map((clock) =>
    world.machine(inject("s3"), { ...env, ...fakeTime(clock) }),
  ) as [S3Machine, S3Machine]; // two in, two out
});
afterEach(() => world.remove());

const run = (model: string) => ["model", "method", "run", model, "execute", "--json"];

test("two hours apart, they take turns: each run is committed, and numbered after the one before it", async () => {
  const numbers: number[] = [];
  for (const machine of [ahead, behind, behind, ahead, ahead, behind]) {
    const result = await machine.fen(...run("web"));
    expect(result.exitCode, result.stderr).toBe(0);
    numbers.push(result.json().data.version);
  }
  expect(numbers).toEqual([1, 2, 3, 4, 5, 6]);
  const started = (await ahead.fen("model", "method", "history", "search", "web", "--json")).json().results;
  expect(started).toHaveLength(6);
});

test.each(["ahead", "behind"])("one whose clock is %s keeps its lock as long as it renews it", async (which) => {
  const [holder, other] = which === "ahead" ? [ahead, behind] : [behind, ahead];
  const holding = holder.start(...run("slow").slice(0, -1));
  await holding.says("at work");
  const refused = await other.fen(...run("slow"), "--lock-timeout", "3s");
  expect(refused.exitCode, refused.stderr).toBe(75);
  expect(refused.error()).toMatchObject({ code: "lock_timeout" });
  expect((await holding.done).exitCode).toBe(0);
});

test.each(["ahead", "behind"])("one whose clock is %s and that is killed is succeeded after a TTL", async (which) => {
  const [holder, other] = which === "ahead" ? [ahead, behind] : [behind, ahead];
  const holding = holder.start(...run("dying").slice(0, -1));
  await holding.says("at work");
  holding.kill("SIGKILL");
  await holding.done;
  const deleted = await other.fen("model", "delete", "dying", "--force", "--lock-timeout", "10s", "--json");
  expect(deleted.exitCode, deleted.stderr).toBe(0);
});
