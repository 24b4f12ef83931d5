import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import { groupLives } from "./process-group.ts";

let child: ChildProcess | undefined;
afterEach(() => child?.kill("SIGKILL"));

async function firstNumber(started: ChildProcess): Promise<number> {
  if (started.stdout === null) throw new Error("no standard output");
  const [chunk] = await once(started.stdout, "data");
  return Number(String(chunk));
}

test("a group lives as long as one of its processes", async () => {
  child = spawn("sh", ["-c", "sleep 60 & echo $$; wait"], { detached: true, stdio: ["ignore", "pipe", "ignore"] });
  const group = await firstNumber(child);
  expect(groupLives(group)).toBe(true);
  process.kill(-group, "SIGKILL");
  await once(child, "exit");
  while (groupLives(group)) await new Promise((resolve) => setTimeout(resolve, 1));
});

test("what has ended but was never reaped counts as gone", async () => {
  // `set -m` gives the background job a group of its own; `exec` leaves it a parent that never reaps.
  child = spawn("bash", ["-c", "set -m; sleep 0.5 & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "ignore"] });
  const group = await firstNumber(child);
  while (groupLives(group)) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(() => process.kill(-group, 0)).not.toThrow(); // the kernel still knows the group
});
