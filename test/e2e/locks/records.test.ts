/** Scenarios of lock records: of ours while they are renewed, of others' that are fresh, stale, broken or nonsense, and of an older client that knows only them. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Machine, systemMachine } from "../../../src/kernel/machine.ts";
import { LockManager } from "../../../src/lock/manager.ts";
import { resourceOf } from "../../../src/lock/names.ts";
import { openFilesystemDatastore } from "../../../src/store/drivers/filesystem/datastore.ts";
import { until } from "../../support/cli.ts";
import { wrap, type Surroundings } from "../../support/surroundings.ts";

const key = "command/shell/a0000000-0000-4000-a000-000000000001";
const timedOut = expect.objectContaining({ code: "lock_timeout" });
const olderClient = fileURLToPath(new URL("../../support/older-client.mjs", import.meta.url));

let root: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "fen-records-"));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(root, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
});

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const recordPath = (name = key) => (name === "*" ? join(root, ".datastore.lock") : join(root, "data", name, ".lock"));

/** A manager whose monotonic clock runs `speed` times as fast: thirty seconds of unchanged records pass while one waits. */
function managerAt(speed: number) {
  const system = systemMachine("records test");
  const machine: Machine = { ...system, clock: { ...system.clock, monotonic: () => performance.now() * speed } };
  const datastore = openFilesystemDatastore(root, machine);
  const manager = new LockManager(datastore.locks, machine);
  const acquire = (name: string, timeoutMs: number, mode: "shared" | "exclusive" = "exclusive") =>
    manager.acquire([{ resource: resourceOf(name), mode }], { timeoutMs: timeoutMs * speed });
  return { acquire, locks: datastore.locks };
}

/** An older client empties its record before it writes it anew; one that is killed just then leaves something unreadable, which is honoured for longer. */
async function killBetweenWrites(child: ChildProcess, path: string): Promise<void> {
  for (;;) {
    child.kill("SIGSTOP");
    await wait(20);
    if (readFileSync(path, "utf8").endsWith("}")) break;
    child.kill("SIGCONT");
    await wait(20);
  }
  child.kill("SIGKILL");
}

function write(text: string | Uint8Array, name = key): void {
  mkdirSync(dirname(recordPath(name)), { recursive: true });
  writeFileSync(recordPath(name), text);
}

const foreign = (fields: Record<string, unknown> = {}) =>
  JSON.stringify({
    holder: "old@other-host",
    hostname: "other-host",
    pid: 999_999,
    acquiredAt: new Date().toISOString(),
    ttlMs: 30_000,
    nonce: "c0000000-0000-4000-8000-000000000003",
    ...fields,
  });

/** Starts an older client; `says` resolves when it has said the word. */
function older(options: Record<string, unknown>, surroundings: Surroundings = "plain") {
  const line = wrap(surroundings, [process.execPath, olderClient, JSON.stringify({ datastore: root, ...options })]);
  const child = spawn(line.file, line.args, {
    env: { ...process.env, ...line.env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.push(child);
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const says = (word: string) =>
    until(
      () => said.split("\n").includes(word),
      () => `the older client to say "${word}"; it said: ${said}`,
    );
  return { child, says, hasSaid: (word: string) => said.split("\n").includes(word), end: () => child.stdin.end() };
}

const quick = { ttlMs: 1500, refreshMs: 300, retryMs: 50 };

describe("our records", () => {
  test("lock-3: a release at any moment of a renewal leaves no file, in 1,000 trials", async () => {
    const { acquire } = managerAt(1);
    for (let trial = 0; trial < 1000; trial++) {
      const lease = await acquire(key, 5000);
      const renewing = Array.from({ length: 3 }, async (_, n) => {
        for (let turn = 0; turn < (trial + n) % 4; turn++) await Promise.resolve();
        await lease.grants[0]?.refresh();
      });
      await Promise.all([lease.release(), ...renewing]);
      if (existsSync(recordPath())) throw new Error(`left behind in trial ${trial}`);
    }
    expect(existsSync(recordPath())).toBe(false);
  });

  test("lock-12: of 500,000 readings during renewals none sees the lock as free, empty or another's", async () => {
    const lease = await managerAt(1).acquire(key, 0);
    const reader = `
      const { readFileSync } = require("node:fs");
      let bad = 0;
      const times = new Set();
      for (let n = 0; n < 500000; n++) {
        try {
          const record = JSON.parse(readFileSync(process.argv[1], "utf8"));
          if (record.nonce !== process.argv[2] || Number.isNaN(Date.parse(record.acquiredAt))) bad++;
          if (n % 100 === 0) times.add(record.acquiredAt);
        } catch { bad++; }
      }
      console.log(JSON.stringify({ bad, renewed: times.size > 20 }));`;
    const child = spawn(process.execPath, ["-e", reader, recordPath(), lease.grants[0]?.nonce ?? ""]);
    children.push(child);
    let told = "";
    child.stdout.on("data", (chunk: Buffer) => (told += chunk.toString()));
    const ended = new Promise<true>((resolve) => child.on("close", () => resolve(true)));
    while ((await Promise.race([ended, wait(1)])) !== true) await lease.grants[0]?.refresh();
    expect(JSON.parse(told)).toEqual({ bad: 0, renewed: true });
    await lease.release();
  });
});

describe("records that make no sense", () => {
  const broken: readonly (readonly [string, string | Uint8Array | undefined])[] = [
    ["an empty file", ""],
    ["half a record", foreign().slice(0, 40)],
    ["binary junk", Uint8Array.from({ length: 300 }, (_, n) => (n * 37) % 256)],
    ["a list", "[1, 2]"],
    ["a folder", undefined],
  ];

  test.each(broken)(
    "lock-10: %s is waited for while it is fresh, shown, and passed over after its time",
    async (_, text) => {
      if (text === undefined) mkdirSync(recordPath(), { recursive: true });
      else write(text);
      const slow = managerAt(1);
      await expect(slow.acquire(key, 300)).rejects.toMatchObject({
        code: "lock_timeout",
        facts: { blockedBy: "foreign" },
      });
      const { held } = await slow.locks.inspect("all");
      expect(held).toMatchObject([{ state: "unreadable", path: recordPath() }]);
      const lease = await managerAt(60).acquire(key, 5000);
      await expect(slow.acquire(key, 100)).rejects.toEqual(timedOut);
      await lease.release();
      expect(existsSync(recordPath())).toBe(false);
    },
  );

  test.each(broken)("lock-10: %s goes by a release without a nonce, and only such a one goes", async (_, text) => {
    if (text === undefined) mkdirSync(recordPath(), { recursive: true });
    else write(text);
    const { locks, acquire } = managerAt(1);
    expect(await locks.revoke(resourceOf(key), undefined)).toBe(true);
    const lease = await acquire(key, 1000);
    expect(await locks.revoke(resourceOf(key), undefined)).toBe(false);
    await lease.assertHeld();
    await lease.release();
  });

  test.each([
    ["a time that is none", { acquiredAt: "x" }],
    ["no ttl", { ttlMs: undefined }],
    ["a ttl of a year", { ttlMs: 31_536_000_000 }],
    ["a negative ttl", { ttlMs: -5 }],
    ["a ttl that is text", { ttlMs: "soon" }],
    ["a time in the far future", { acquiredAt: "2999-01-01T00:00:00.000Z" }],
    ["a pid that is text", { pid: "none" }],
  ])("lock-11: %s neither frees a fresh lock at once nor blocks for ever", async (_, fields) => {
    write(foreign(fields));
    await expect(managerAt(1).acquire(key, 300)).rejects.toEqual(timedOut);
    await (await managerAt(500).acquire(key, 10_000)).release();
  });
});

describe("an older client", () => {
  test("lock-5: a fresh lock of a host with a pid that doesn't exist here is not taken over", async () => {
    write(foreign());
    const { acquire } = managerAt(1);
    await expect(acquire(key, 1200)).rejects.toMatchObject({
      code: "lock_timeout",
      facts: { holder: { hostname: "other-host" } },
    });
    expect(JSON.parse(readFileSync(recordPath(), "utf8")).pid).toBe(999_999);
  });

  test.each([key, "*"])(
    "its lock on %s is honoured as long as it renews it, and passed over when it stops",
    async (name) => {
      const client = older({ ...quick, ...(name === "*" ? {} : { model: key }) });
      await client.says("held");
      const { acquire } = managerAt(1);
      await expect(acquire(key, 2500)).rejects.toEqual(timedOut);
      await expect(acquire("*", 500)).rejects.toEqual(timedOut);
      await killBetweenWrites(client.child, recordPath(name));
      await (await acquire(key, 10_000)).release();
      await (await acquire("*", 10_000)).release();
      expect(existsSync(recordPath(name))).toBe(false);
    },
  );

  test("when it gives back, we have the lock within a second", async () => {
    const client = older({ ...quick, model: key });
    await client.says("held");
    const waiting = managerAt(1).acquire(key, 10_000);
    await wait(300);
    client.end();
    await client.says("released");
    const from = performance.now();
    await (await waiting).release();
    expect(performance.now() - from).toBeLessThan(1000);
  });

  test.each([
    ["a model", key, key],
    ["everything", "*", key],
    ["a model when it wants everything", key, "*"],
  ])("it honours ours on %s, and gets in when we give back", async (_, ours, theirs) => {
    const lease = await managerAt(1).acquire(ours, 1000);
    const client = older({ ...quick, ...(theirs === "*" ? {} : { model: theirs }) });
    await wait(1500);
    expect(client.hasSaid("held")).toBe(false);
    await lease.release();
    await client.says("held");
    await expect(managerAt(1).acquire(theirs, 200)).rejects.toEqual(timedOut);
    client.end();
    await client.says("released");
    await (await managerAt(1).acquire(ours, 5000)).release();
  });

  test.each([
    ["an hour behind", "hour-behind"],
    ["an hour ahead", "hour-ahead"],
  ] as const)(
    "lock-16: one whose clock is %s is not evicted while it lives, and within three times its TTL once it is dead",
    async (_, world) => {
      const client = older({ ...quick, model: key }, world);
      await client.says("held");
      const { acquire } = managerAt(1);
      await expect(acquire(key, 2000)).rejects.toEqual(timedOut);
      await killBetweenWrites(client.child, recordPath());
      await (await acquire(key, 3 * quick.ttlMs)).release();
    },
  );

  test("lock-7: its dead lock is taken by one of 8 at a time", async () => {
    write(foreign({ ttlMs: 1000, acquiredAt: "2020-01-01T00:00:00.000Z" }));
    let inside = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const lease = await managerAt(1).acquire(key, 20_000);
        most = Math.max(most, ++inside);
        await wait(5);
        inside--;
        await lease.release();
      }),
    );
    expect(most).toBe(1);
  });

  test("we and 4 of it in turns on one model: never two inside", async () => {
    const log = join(root, "log");
    writeFileSync(log, "");
    const { acquire } = managerAt(1);
    const clients = Array.from({ length: 4 }, () => older({ ...quick, ttlMs: 3000, retryMs: 20, model: key }));
    let inside = 0;
    const theirs = clients.map(async (client) => {
      await client.says("held");
      expect(++inside).toBe(1);
      await wait(30);
      inside--;
      client.end();
      await client.says("released");
    });
    const ours = (async () => {
      for (let n = 0; n < 20; n++) {
        const lease = await acquire(key, 30_000);
        expect(++inside).toBe(1);
        await wait(10);
        inside--;
        await lease.release();
      }
    })();
    await Promise.all([...theirs, ours]);
  });

  test("lock-1: a dead lock that can't be removed ends in an error in time, not in a loop", async () => {
    write(foreign({ ttlMs: 1000 }));
    spawnSync("sh", ["-c", 'mount --bind "$0" "$0"', recordPath()]);
    try {
      const from = performance.now();
      await expect(managerAt(1).acquire(key, 3000)).rejects.toMatchObject({
        code: expect.stringMatching(/^(lock_timeout|store_unavailable|not_writable)$/),
      });
      expect(performance.now() - from).toBeLessThan(6000);
      const before = process.cpuUsage();
      await managerAt(1)
        .acquire(key, 2000)
        .catch(() => undefined);
      const { user, system } = process.cpuUsage(before);
      expect((user + system) / 2_000_000).toBeLessThan(0.3);
    } finally {
      spawnSync("sh", ["-c", 'umount "$0"', recordPath()]);
    }
  });
});
