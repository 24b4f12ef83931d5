/** Scenarios of holders and waiters that are killed, paused, or live in another world. Each title bears its number in the list of scenarios. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { until } from "../../support/cli.ts";
import { LockProcess } from "../../support/lock-process.ts";
import { SmallDisk } from "../../support/small-disk.ts";
import type { Surroundings } from "../../support/surroundings.ts";

const timedOut = expect.objectContaining({ code: "lock_timeout" });
const key = "command/shell/a0000000-0000-4000-a000-000000000001";

let scratch: string;
let root: string;
let started: LockProcess[];
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "fen-scenario-"));
  root = join(scratch, "store");
  mkdirSync(root);
  started = [];
});
afterEach(() => {
  for (const one of started) one[Symbol.dispose]();
  rmSync(scratch, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
});

async function start(options: Parameters<typeof LockProcess.start>[1] = {}, folder = root): Promise<LockProcess> {
  const one = await LockProcess.start(folder, options);
  started.push(one);
  return one;
}

const startMany = (count: number) => Promise.all(Array.from({ length: count }, () => start()));
const recordPath = () => join(root, "data", key, ".lock");
const record = () => JSON.parse(readFileSync(recordPath(), "utf8"));
const took = async (work: Promise<unknown>) => {
  const from = performance.now();
  await work;
  return performance.now() - from;
};

function leaveRecord(fields: Record<string, unknown>, path = recordPath()): void {
  mkdirSync(dirname(path), { recursive: true });
  const base = {
    holder: "x@y",
    hostname: "y",
    pid: 999_999,
    ttlMs: 30_000,
    nonce: "b0000000-0000-4000-8000-000000000002",
  };
  writeFileSync(path, JSON.stringify({ ...base, acquiredAt: new Date().toISOString(), ...fields }));
}

/** Lines "enter name" and "leave name": how many were inside at most. */
function mostInside(log: string): number {
  let inside = 0;
  let most = 0;
  for (const line of readFileSync(log, "utf8").trim().split("\n")) {
    inside += line.startsWith("enter") ? 1 : -1;
    most = Math.max(most, inside);
  }
  return most;
}

describe("where the lock is", () => {
  test.each([
    ["a link to it", () => join(scratch, "link")],
    ["a path with ..", () => join(root, "..") + "/store/../" + basename(root)],
    ["a slash at the end", () => `${root}/`],
    ["a link above it", () => join(scratch, "above", "store")],
  ])("lock-2: %s names the same datastore: its locks exclude each other", async (_, path) => {
    symlinkSync(root, join(scratch, "link"));
    symlinkSync(scratch, join(scratch, "above"));
    const [one, other] = [await start(), await start({}, path())];
    await one.acquire(key);
    await expect(other.acquire(key, 0)).rejects.toEqual(timedOut);
    await expect(other.acquire("*", 0)).rejects.toEqual(timedOut);
  });
});

describe("the dead", () => {
  test("lock-4: after kill -9 of the holder the next one has the lock within a second", async () => {
    const [holder, next] = await startMany(2);
    await holder?.acquire(key);
    const waiting = next?.acquire(key);
    expect(
      await took(
        (async () => {
          await holder?.kill();
          await waiting;
        })(),
      ),
    ).toBeLessThan(1000);
  });

  test("lock-6: a record whose pid now belongs to another process, without a kernel lock, is a dead one's", async () => {
    leaveRecord({ pid: process.pid, hostname: hostname(), token: 7, mode: "exclusive" });
    const next = await start();
    expect(await took(next.acquire(key, 5000))).toBeLessThan(1000);
  });

  test("lock-13: kill -9 in the middle of renewing the record leaves a lock that the next one takes at once, 40 times", async () => {
    const next = await start();
    for (let round = 0; round < 40; round++) {
      const holder = await start();
      const { lease } = await holder.acquire(key);
      await holder.call("refreshForEver", lease);
      await new Promise((resolve) => setTimeout(resolve, round % 7));
      await holder.kill();
      const { lease: mine } = await next.acquire(key, 5000);
      expect(record().pid).toBe(next.pid);
      await next.call("release", mine);
    }
    expect(existsSync(recordPath())).toBe(false);
  });

  test("lock-29: the datastore's lock of a dead holder stops nobody, and its record goes with the next one", async () => {
    const [dead, model, structural] = await startMany(3);
    await dead?.acquire("*");
    await dead?.kill();
    expect(existsSync(join(root, ".datastore.lock"))).toBe(true);
    const { lease } = (await model?.acquire(key, 2000)) ?? { lease: -1 };
    await model?.call("release", lease);
    const { lease: mine } = (await structural?.acquire("*", 2000)) ?? { lease: -1 };
    await structural?.call("release", mine);
    expect(existsSync(join(root, ".datastore.lock"))).toBe(false);
  });

  test("lock-7: of 8 who start at once on a dead one's lock never two are inside, in 60 rounds", async () => {
    const all = await startMany(8);
    const log = join(scratch, "log");
    for (let round = 0; round < 60; round++) {
      leaveRecord({ token: 1, mode: "exclusive", nonce: `00000000-0000-4000-8000-${String(round).padStart(12, "0")}` });
      await Promise.all(
        all.map((one, n) => one.call("cycle", { resources: [key], rounds: 1, holdMs: 0, log, name: `p${n}` })),
      );
    }
    expect(readFileSync(log, "utf8").match(/enter/g)).toHaveLength(480);
    expect(mostInside(log)).toBe(1);
  });
});

describe("the paused", () => {
  test("lock-8: a paused holder keeps its lock; once it was taken away, it doesn't touch its successor's", async () => {
    const [a, b, c] = await startMany(3);
    if (a === undefined || b === undefined || c === undefined) throw new Error("not started");
    const { lease, nonce } = await a.acquire(key);
    a.signal("SIGSTOP");
    await expect(b.acquire(key, 500)).rejects.toEqual(timedOut);
    const { openLocks } = await import("../../../src/lock/index.ts");
    expect(await openLocks(root).release(key, nonce)).toBe(true);
    await b.acquire(key, 2000);
    a.signal("SIGCONT");
    await expect(a.call("assertHeld", lease)).rejects.toMatchObject({ code: "lock_lost" });
    await a.call("release", lease);
    expect(record().pid).toBe(b.pid);
    await expect(c.acquire(key, 300)).rejects.toEqual(timedOut);
  });

  test("lock-15: a holder whose event loop stands still keeps its lock", async () => {
    const [busy, other] = await startMany(2);
    const { lease } = (await busy?.acquire(key)) ?? { lease: -1 };
    const blocked = busy?.call("block", 1500);
    await expect(other?.acquire(key, 1000)).rejects.toEqual(timedOut);
    await blocked;
    await busy?.call("assertHeld", lease);
  });
});

describe("other worlds", () => {
  test("lock-5: two PID, network and mount namespaces with equal host names exclude each other, and see each other's records", async () => {
    const [a, b] = [await start({ surroundings: "namespaces" }), await start({ surroundings: "namespaces" })];
    const { lease } = await a.acquire(key);
    expect(record()).toMatchObject({ pid: 1, hostname: hostname() });
    await expect(b.acquire(key, 500)).rejects.toMatchObject({ code: "lock_timeout", facts: { holder: { pid: 1 } } });
    const waiting = b.acquire(key);
    await a.call("release", lease);
    await waiting;
    await expect(a.acquire(key, 0)).rejects.toEqual(timedOut);
    await b.kill();
    expect(await took(a.acquire(key, 5000))).toBeLessThan(1000);
  });

  test.each([
    ["ahead", "hour-ahead", 1],
    ["behind", "hour-behind", -1],
  ] as const)(
    "lock-16: one whose clock is an hour %s waits for the living and not for the dead",
    async (_, world, sign) => {
      const surroundings: Surroundings = world;
      const [other, holder] = [await start({ surroundings }), await start()];
      const off = (await other.call("wallClock", undefined)) - Date.now();
      expect(sign * off).toBeGreaterThan(3_500_000);
      await holder.acquire(key);
      await expect(other.acquire(key, 500)).rejects.toEqual(timedOut);
      await holder.kill();
      const { lease } = await other.acquire(key, 1000);
      const back = await start();
      await expect(back.acquire(key, 300)).rejects.toEqual(timedOut);
      await other.call("assertHeld", lease);
    },
  );

  test("lock-13: on a full disk an acquire says so and holds nothing; a holder keeps its lock, and all is well once there is room", async () => {
    using disk = new SmallDisk(join(scratch, "disk"));
    const store = join(disk.path, "store");
    const [holder, other] = [await start({}, store), await start({}, store)];
    const { lease } = await holder.acquire(key);
    disk.fill();
    await expect(other.acquire("another/one", 2000)).rejects.toMatchObject({ code: "disk_full" });
    await holder.call("assertHeld", lease);
    disk.empty();
    await expect(other.acquire(key, 0)).rejects.toEqual(timedOut);
    await holder.call("release", lease);
    await other.acquire(key, 2000);
    await holder.acquire("another/one", 2000);
  });

  test("lock-14: a holder that can open no more files keeps its lock", async () => {
    const few = await start({ surroundings: "few-descriptors" });
    const many = await start();
    const { lease } = await few.acquire(key);
    const taken = await Promise.allSettled(Array.from({ length: 80 }, (_, n) => few.acquire(`many/${n}`, 5000)));
    const failed = taken.filter((one) => one.status === "rejected");
    expect(failed.length).toBeGreaterThan(0);
    for (const one of failed)
      expect(one.reason).toMatchObject({ code: expect.stringMatching(/^(store_unavailable|EMFILE)$/) });
    await expect(many.acquire(key, 300)).rejects.toEqual(timedOut);
    for (const one of taken) if (one.status === "fulfilled") await few.call("release", one.value.lease);
    await few.call("assertHeld", lease);
  });
});

describe("many", () => {
  test("lock-20: 13 callers of 100 ms on one model are done in 3 s, and 25 all succeed", async () => {
    const log = join(scratch, "log");
    const all = await startMany(13);
    const each = (one: LockProcess, n: number, holdMs: number) =>
      one.call("cycle", { resources: [key], rounds: 1, holdMs, log, name: `p${n}` });
    expect(await took(Promise.all(all.map((one, n) => each(one, n, 100))))).toBeLessThan(3000);
    await Promise.all([...all, ...all.slice(1)].map((one, n) => each(one, n, 20)));
    expect(readFileSync(log, "utf8").match(/enter/g)).toHaveLength(38);
    expect(mostInside(log)).toBe(1);
  });

  test("lock-32: a structural command gets in between workers who never stop", async () => {
    const log = join(scratch, "log");
    const [structural, ...workers] = await startMany(5);
    const rounds = 15;
    const working = workers.map((one, n) =>
      one.call("cycle", { resources: [`m/${n % 2}`], rounds, holdMs: 100, log, name: `p${n}` }),
    );
    await until(
      () => existsSync(log),
      () => "the first to enter",
    );
    expect(
      await took(structural?.acquire("*").then(({ lease }) => structural.call("release", lease)) ?? Promise.resolve()),
    ).toBeLessThan(1500);
    await Promise.all(working);
  });

  test("lock-45: 4 processes in other locales take overlapping sets in any order, 400 times, without one timeout", async () => {
    const names = ["a/é", "a/z", "a/Z", "a/ä", "a/_x", "a/0"];
    const log = join(scratch, "log");
    const all = await Promise.all(
      ["C", "de_DE.UTF-8", "sv_SE.UTF-8", "tr_TR.UTF-8"].map((locale) =>
        start({ env: { LC_ALL: locale, LANG: locale } }),
      ),
    );
    await Promise.all(
      all.map(async (one, n) => {
        for (let round = 0; round < 20; round++) {
          const shift = (n + round) % names.length;
          const mixed = [...names.slice(shift), ...names.slice(0, shift)].slice(0, 3);
          const resources = n % 2 === 0 ? mixed : mixed.toReversed();
          await one.call("cycle", { resources, rounds: 5, holdMs: 0, log, name: `p${n}`, timeoutMs: 30_000 });
        }
      }),
    );
    expect(readFileSync(log, "utf8").match(/enter/g)).toHaveLength(400);
  });

  test("lock-31: the datastore's lock costs less than 100 ms beside 1,000 models with 20,000 versions", async () => {
    for (let m = 0; m < 1000; m++) {
      const model = join(
        root,
        "data/command/shell",
        `${String(m).padStart(8, "0")}-0000-4000-8000-000000000000`,
        "log",
      );
      for (let v = 1; v <= 20; v++) mkdirSync(join(model, String(v)), { recursive: true });
    }
    const one = await start();
    const times: number[] = [];
    for (let n = 0; n < 9; n++)
      times.push(await took(one.acquire("*").then(({ lease }) => one.call("release", lease))));
    expect(times.sort((a, b) => a - b)[4]).toBeLessThan(100);
  });
});
