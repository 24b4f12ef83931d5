/** kill -9 of fen at any moment of a run: the next run finds everything whole. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Scratch, scratchRepo, startFen, until } from "../../support/cli.ts";
import { execute, expectNothingHeld, expectWholeData, tree } from "./attack.ts";

let repo: Scratch;
beforeAll(async () => {
  repo = await scratchRepo();
});
afterAll(() => repo.remove());

const trials = 64;

test(`after ${trials} crashes at moments all over a run: versions in one line and whole, records true, nothing left`, async () => {
  const store = join(repo.path, ".swamp");
  const id = repo.model("victim", "echo $$ > child; seq 1 20000; echo done >&2");
  const lock = join(store, "data/command/shell", id, ".lock");
  let killed = 0;
  let staged = 0;
  // The span of moments follows the speed of the machine: about half of the kills come before the end.
  let span = 60;
  for (let trial = 0; trial < trials; trial++) {
    const run = startFen(execute(id), { cwd: repo.path });
    await until(
      () => existsSync(lock) || run.child.exitCode !== null,
      () => "the lock",
    );
    await new Promise((resolve) => setTimeout(resolve, (span * (trial % 16)) / 16));
    run.kill("SIGKILL");
    const isKilled = (await run.done).exitCode === 137;
    killed += isKilled ? 1 : 0;
    span = Math.max(20, span * (isKilled ? 1.08 : 0.93));
    staged += tree(join(store, ".fen/staging")).length > 0 ? 1 : 0;
    if (trial % 8 !== 7) continue;
    const next = await repo.fen(...execute(id), "--json", "--lock-timeout", "20s");
    expect(next.exitCode, next.stderr).toBe(0);
    const { log, result } = expectWholeData(store, id);
    expect(log?.length).toBe(result?.length);
    expect(next.json().data.version).toBe(result?.length);
    expectNothingHeld(store);
  }
  expect(killed).toBeGreaterThan(trials / 4);
  expect(staged).toBeGreaterThan(0);
  const { results } = (await repo.fen("model", "output", "search", id, "--limit", "1000", "--json")).json();
  const statuses: string[] = results.map((one: { status: string }) => one.status);
  expect(statuses.filter((status) => status !== "succeeded" && status !== "interrupted")).toEqual([]);
  // No run that said it succeeded lost its data, and none that was interrupted before its commit has any.
  const versions = expectWholeData(store, id)["result"]?.length ?? 0;
  expect(versions).toBeGreaterThanOrEqual(statuses.filter((status) => status === "succeeded").length);
  // What a killed writer had not yet renamed: no reader sees it, and a clean-up removes it.
  repo.write(`.swamp/data/command/shell/${id}/log/.00000000-0000-4000-a000-000000000000.tmp`, "half");
  const log = readFileSync(join(store, "data/command/shell", id, `log/${versions}/raw`), "utf8");
  expect(log).toContain("20000\n[stderr]\ndone");
  expect((await repo.fen("data", "gc", "--force")).exitCode).toBe(0);
  expect(tree(store).filter((path) => /[0-9a-f]{12}\.tmp$/.test(path) && !path.startsWith(".fen"))).toEqual([]);
});
