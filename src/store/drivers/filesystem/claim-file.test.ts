import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { HandClock } from "../../../../test/support/hand-clock.ts";
import { betweenCalls } from "../../../../test/support/watched-fs.ts";
import { systemMachine } from "../../../kernel/machine.ts";
import { type ClaimOptions, claimFile } from "./claim-file.ts";

vi.mock("node:fs", async (original) => {
  const { watched } = await import("../../../../test/support/watched-fs.ts");
  return watched(await original());
});

let folder: string;
let path: string;
let clock: HandClock;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fen-claims-"));
  path = join(folder, "made", "name");
  clock = new HandClock();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** One who wants the name; its first attempt is over when this returns. */
function want(more: Partial<ClaimOptions> = {}) {
  const options = { what: "The name web-01", timeoutMs: undefined, signal: new AbortController().signal, ...more };
  const wanting = { has: false, claim: claimFile({ ...systemMachine("test"), clock }, path, options) };
  wanting.claim.then(
    () => (wanting.has = true),
    () => undefined,
  );
  return wanting;
}
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("a name is one's until it is given back; then nothing is left of it", async () => {
  const [first, second] = [want(), want()];
  await settle();
  expect([first.has, second.has]).toEqual([true, false]);
  expect(readFileSync(path, "utf8")).toContain(`pid ${process.pid}`);
  (await first.claim).release();
  (await clock.turnUntil(second.claim)).release();
  expect(readdirSync(join(folder, "made"))).toEqual([]);
});

test("one who opened the file before it was given back doesn't have the name beside the next", async () => {
  for (let step = 1, calls = step; calls >= step; step++) {
    const holder = await want().claim;
    const wanting: ReturnType<typeof want>[] = [];
    calls = 0;
    const look = () => {
      if (++calls !== step) return;
      holder.release();
      wanting.push(want());
    };
    wanting.push(betweenCalls(look, want));
    if (wanting.length === 1) holder.release();
    await settle();
    const having = wanting.filter((one) => one.has);
    expect(having.length).toBeLessThanOrEqual(1);
    for (const one of new Set([...having, ...wanting])) (await clock.turnUntil(one.claim)).release();
  }
});

test("at no instant of giving it back do two get it", async () => {
  for (let step = 1, calls = step; calls >= step; step++) {
    const holder = await want().claim;
    const wanting: ReturnType<typeof want>[] = [];
    calls = 0;
    const look = () => {
      if (++calls === step) wanting.push(want());
    };
    betweenCalls(look, () => holder.release());
    wanting.push(want());
    await settle();
    expect(wanting.filter((one) => one.has)).toHaveLength(1);
    for (const one of wanting) (await clock.turnUntil(one.claim)).release();
  }
});

test("lock-21: a wait ends after its time, and says who has the name", async () => {
  const holder = await want().claim;
  const waiting = clock.turnUntil(want({ timeoutMs: 500 }).claim);
  await expect(waiting).rejects.toMatchObject({
    code: "lock_timeout",
    message: expect.stringMatching(`The name web-01 .* 0.5 s: .*pid ${process.pid}`),
  });
  holder.release();
});

test.each([0, 10])("a name that nobody was to wait for (%d ms) is not free", async (timeoutMs) => {
  const holder = await want().claim;
  const waiting = clock.turnUntil(want({ timeoutMs }).claim);
  await expect(waiting).rejects.toThrow(/^The name web-01 is not free: .* has it\.$/);
  holder.release();
});

test("lock-54: an abort ends it at once, with its reason", async () => {
  const holder = await want().claim;
  const stop = new AbortController();
  const waiting = want({ signal: stop.signal });
  stop.abort(new Error("stop"));
  await expect(waiting.claim).rejects.toThrow("stop");
  holder.release();
  await expect(want({ signal: stop.signal }).claim).rejects.toThrow("stop");
});
