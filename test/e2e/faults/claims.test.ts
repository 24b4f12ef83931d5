/** A name is of one model, whatever happens at once; and nobody waits for ever for one who was stopped. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runFen, type Result, type Scratch, scratchRepo, startFen, until } from "../../support/cli.ts";
import { execute, expectClean, expectRefusal, filesHolding, tree } from "./attack.ts";

let repo: Scratch;
beforeEach(async () => {
  repo = await scratchRepo();
});
afterEach(() => repo.remove());

const rename = (id: string, name: string, ...flags: string[]): Promise<Result> => {
  const text = readFileSync(join(repo.path, `models/command/shell/${id}.yaml`), "utf8");
  return runFen(["model", "edit", id, "--json", ...flags], {
    cwd: repo.path,
    input: text.replace(/"name":"[^"]*"/, `"name":"${name}"`),
  });
};
const names = async (): Promise<string[]> =>
  (await repo.fen("model", "search", "--json")).json().results.map((one: { name: string }) => one.name);

test("of 8 models that are renamed to one name at once exactly one gets it, and the others keep theirs", async () => {
  const ids = Array.from({ length: 8 }, (_, index) => repo.model(`old-${index}`, "true"));
  const results = await Promise.all(ids.map((id) => rename(id, "wanted")));
  expect(results.filter((one) => one.exitCode === 0)).toHaveLength(1);
  for (const result of results.filter((one) => one.exitCode !== 0)) expectRefusal(result, "model_exists", 1);
  const now = await names();
  expect(now.filter((name) => name === "wanted")).toHaveLength(1);
  expect(now.filter((name) => name.startsWith("old-"))).toHaveLength(7);
  expectClean(join(repo.path, ".swamp"));
});

test("of 4 creates and 4 renames of one name at once exactly one succeeds", async () => {
  const ids = Array.from({ length: 4 }, (_, index) => repo.model(`old-${index}`, "true"));
  const results = await Promise.all([
    ...ids.map((id) => rename(id, "wanted")),
    ...ids.map(() => repo.fen("model", "create", "command/shell", "wanted", "--json")),
  ]);
  expect(results.filter((one) => one.exitCode === 0)).toHaveLength(1);
  for (const result of results.filter((one) => one.exitCode !== 0)) expectRefusal(result, "model_exists", 1);
  expect((await names()).filter((name) => name === "wanted")).toHaveLength(1);
});

test("two edits of one model at once: the second is told that the text has changed, nothing is lost", async () => {
  const id = repo.model("one", "true");
  const results = await Promise.all([rename(id, "first"), rename(id, "second")]);
  const won = results.filter((one) => one.exitCode === 0);
  expect(won.length).toBeGreaterThan(0);
  for (const result of results.filter((one) => one.exitCode !== 0)) expectRefusal(result, "definition_invalid", 65);
  expect(await names()).toHaveLength(1);
});

test("an edit that waits for a long run holds no name meanwhile", async () => {
  const id = repo.model("busy", "echo > started; exec sleep 60");
  const run = startFen(execute(id), { cwd: repo.path });
  await until(
    () => tree(repo.path).includes("started"),
    () => "the run",
  );
  const edit = rename(id, "fresh", "--lock-timeout", "20s");
  await until(
    async () => (await repo.fen("datastore", "lock", "status", "--json")).json().waiting.length === 1,
    () => "the edit in the queue",
  );
  expect((await repo.fen("model", "create", "command/shell", "fresh", "--json", "--lock-timeout", "5s")).exitCode).toBe(
    0,
  );
  run.kill("SIGTERM");
  await run.done;
  expectRefusal(await edit, "model_exists", 1);
});

test("a claim whose owner is stopped ends the others' wait in time, and they say who it is", async () => {
  // Slows the owner down where it holds the claim: it must look through these.
  for (let index = 0; index < 1500; index++) repo.model(`filler-${index}`, "true");
  const owner = startFen(["model", "create", "command/shell", "same", "--json"], { cwd: repo.path });
  await until(
    () => filesHolding(join(repo.path, ".swamp/name-claims"), "pid").length > 0,
    () => "the claim",
  );
  owner.kill("SIGSTOP");
  const error = expectRefusal(
    await repo.fen("model", "create", "command/shell", "same", "--json", "--lock-timeout", "300ms"),
    "lock_timeout",
    75,
  );
  expect(error.message).toContain(`pid ${owner.child.pid}`);
  expect(error.message).toContain("model create command/shell same");
  expect(error).toMatchObject({ retryable: true });
  const waiter = startFen(["model", "create", "command/shell", "same", "--json", "--lock-timeout", "forever"], {
    cwd: repo.path,
  });
  await new Promise((resolve) => setTimeout(resolve, 400));
  waiter.kill("SIGINT");
  expect((await waiter.done).exitCode).toBe(130);
  expect((await repo.fen("model", "create", "command/shell", "another", "--json")).exitCode).toBe(0);
  owner.kill("SIGCONT");
  expect((await owner.done).exitCode).toBe(0);
  expectRefusal(await repo.fen("model", "create", "command/shell", "same", "--json"), "model_exists", 1);
  expect(tree(join(repo.path, ".swamp/name-claims"))).toEqual([]);
});

test("a claim whose owner was killed is free at once", async () => {
  for (let index = 0; index < 1500; index++) repo.model(`filler-${index}`, "true");
  const owner = startFen(["model", "create", "command/shell", "same", "--json"], { cwd: repo.path });
  await until(
    () => tree(join(repo.path, ".swamp/name-claims")).length > 0,
    () => "the claim",
  );
  owner.kill("SIGKILL");
  await owner.done;
  expect((await repo.fen("model", "create", "command/shell", "same", "--json", "--lock-timeout", "0")).exitCode).toBe(
    0,
  );
  expect(tree(join(repo.path, ".swamp/name-claims"))).toEqual([]);
});
