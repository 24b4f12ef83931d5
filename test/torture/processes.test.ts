/** A bounded run of the torture with real processes; scripts/torture-processes.mjs runs longer ones. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test, vi } from "vitest";
import { SmallDisk } from "../support/small-disk.ts";
import { planRound, summarize } from "./rounds.ts";
import { buildWorker, type RoundResult, runRound } from "./runner.ts";
import type { WorkerSpec } from "./worker.ts";

const wanted = 8_000;
let script: string;
beforeAll(async () => {
  script = await buildWorker();
});

test(`${wanted} grants under kills, pauses, full disks and other namespaces: no overlap, no inversion, nobody forgotten`, async () => {
  const firstSeed = Date.now() % 1_000_000;
  const results: RoundResult[] = [];
  while (results.reduce((sum, one) => sum + one.grants, 0) < wanted || results.length < 5) {
    const plan = planRound(firstSeed + results.length, { seconds: 12, processes: 12 });
    const result = await runRound(plan, script);
    results.push(result);
    expect(result.violations.slice(0, 10), `node scripts/torture-processes.mjs --seed ${plan.seed}`).toEqual([]);
  }
  console.log(summarize(results, `seeds ${firstSeed} to ${firstSeed + results.length - 1}`));
  const sum = (pick: (result: RoundResult) => number) => results.reduce((total, one) => total + pick(one), 0);
  expect(
    Math.min(
      sum((one) => one.kills),
      sum((one) => one.pauses),
      sum((one) => one.structural),
    ),
  ).toBeGreaterThan(0);
});

test("workers that don't lock are found", async () => {
  const round = { ...planRound(1, { seconds: 2, processes: 8 }), commands: 0, plant: true };
  expect((await runRound(round, script)).violations).toContainEqual(expect.stringContaining("overlap"));
});

test("a worker all of whose calls fail, on a disk that stays full, still comes to its end", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "fen-torture-"));
  using _ = { [Symbol.dispose]: () => rmSync(scratch, { recursive: true }) };
  const [path, log] = [join(scratch, "disk"), join(scratch, "log")];
  using disk = new SmallDisk(path);
  disk.fill();
  writeFileSync(log, "");
  const rare = { structural: 0, revoke: 0, lend: 0 };
  const is = { hogs: false, badDisk: true, plant: false, brisk: true };
  const resources = ["command/shell/00000000-0000-4000-a000-000000000000"];
  const spec: WorkerSpec = {
    name: "w",
    kind: "watched",
    root: path,
    log,
    seed: 1,
    lanes: 2,
    resources,
    ...rare,
    ...is,
  };
  const worker = spawn(process.execPath, [script, JSON.stringify(spec)], { stdio: ["pipe", "ignore", "inherit"] });
  const ended = once(worker, "close");
  try {
    await vi.waitFor(() => expect(readFileSync(log, "utf8")).toContain("ENOSPC"), { timeout: 20_000 });
    worker.stdin.end();
    const late = new Promise((resolve) => setTimeout(resolve, 20_000, "late").unref());
    expect(await Promise.race([ended, late])).toEqual([0, null]);
  } finally {
    worker.kill("SIGKILL");
    await ended;
  }
});
