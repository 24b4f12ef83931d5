/** Where a process may have few files open: what needs more is told before it begins, what can wait waits. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { program, type Result, runFen } from "../../support/cli.ts";
import { step, type WorkflowRepo, workflowRepo } from "../../support/workflow-repo.ts";

const count = 20;
let repo: WorkflowRepo;
beforeEach(async () => {
  repo = await workflowRepo();
  const names = Array.from({ length: count }, (_, index) => `m${index}`);
  for (const name of names) repo.model(name, "echo fine");
  for (const lock of ["run", "step"])
    repo.workflow(
      lock,
      names.map((name) => step(name, name)),
      { lock, concurrency: count },
    );
});
afterEach(() => repo.remove());

const withSixty = (...args: string[]): Promise<Result> =>
  runFen(args, {
    cwd: repo.path,
    as: ["/bin/sh", "-c", 'ulimit -n 60; exec "$@"', "sh", process.execPath, program],
  });

test.runIf(process.platform === "linux")("lock: run is refused before anything is locked or written", async () => {
  const result = await withSixty("workflow", "run", "run", "--json");
  expect(result.exitCode, result.stderr).toBe(69);
  expect(result.error()).toMatchObject({
    code: "store_unavailable",
    message: expect.stringContaining(`The run locks ${count} models at once`),
    hint: expect.stringContaining("lock: step"),
  });
  expect(repo.runIds()).toEqual([]);
  expect(await repo.locks()).toMatchObject({ models: [], waiting: [] });
});

test("with lock: step all steps run, as many at once as there are files for", async () => {
  const result = await withSixty("workflow", "run", "step", "--json");
  expect(result.exitCode, result.stderr).toBe(0);
  expect(result.json().jobs[0].steps).toHaveLength(count);
  await repo.expectNothingLeft();
});
