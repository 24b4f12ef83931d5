/** What a clock judges: run with no other test beside it, so that what the clock tells is the lock's. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Scratch, scratchRepo, until } from "../support/cli.ts";

let repo: Scratch;
beforeEach(async () => {
  repo = await scratchRepo();
});
afterEach(() => repo.remove());

/** Waits until the method has begun, and gives the number of its shell. */
async function begun(): Promise<number> {
  const path = join(repo.path, "child.pid");
  const text = () => (existsSync(path) ? readFileSync(path, "utf8") : "");
  await until(
    () => text().endsWith("\n"),
    () => "the child",
  );
  const child = Number(text());
  rmSync(path);
  return child;
}

test("lock-4: kill -9 of a holder and its child: the next one starts within 100 ms", async () => {
  repo.model("victim", "echo $$ > child.pid; sleep 60");
  const waits: number[] = [];
  // Until it has been so quick, or fifteen times: what else this machine does isn't the lock's. The bench tells the p99 on a quiet one.
  for (let round = 0; round < 15 && !(round >= 3 && Math.min(...waits) < 100); round++) {
    const first = repo.start("model", "method", "run", "victim", "execute");
    const child = await begun();
    const second = repo.start("model", "method", "run", "victim", "execute");
    await second.says("waiting for the lock on");
    first.kill("SIGKILL");
    process.kill(-child, "SIGKILL");
    const killed = Date.now();
    await begun();
    waits.push(Date.now() - killed);
    second.kill("SIGINT");
    expect((await second.done).exitCode).toBe(130);
  }
  expect(Math.min(...waits)).toBeLessThan(100);
  const history = (await repo.fen("model", "method", "history", "search", "--json")).json();
  expect(history.results.map((run: { status: string }) => run.status)).toEqual(
    waits.flatMap(() => ["cancelled", "interrupted"]),
  );
});
