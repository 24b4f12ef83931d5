import { mkdtempSync, existsSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FenError } from "../kernel/errors.ts";
import { systemMachine } from "../kernel/machine.ts";
import type { Datastore, LockDriver, Resource } from "../store/contract.ts";
import { openFilesystemDatastore } from "../store/drivers/filesystem/datastore.ts";
import type { Lease } from "./lease.ts";
import { LockManager, type WaitNotice } from "./manager.ts";

const machine = systemMachine("test");
const web = { kind: "model", type: "command/shell", id: "a0000000-0000-4000-a000-000000000001" } as const;
const db = { kind: "model", type: "command/shell", id: "b0000000-0000-4000-b000-000000000002" } as const;
const all: Resource = { kind: "datastore" };

let root: string;
let datastore: Datastore;
let locks: LockManager;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "fen-locks-"));
  datastore = openFilesystemDatastore(root, machine);
  locks = new LockManager(datastore.locks, machine);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const take = (resource: Resource, mode: "shared" | "exclusive" = "exclusive", timeoutMs = 0) =>
  locks.acquire([{ resource, mode }], { timeoutMs });
const refused = expect.objectContaining({ code: "lock_timeout" });

describe("what a grant is given with", () => {
  /** Locks whose grants aren't ready before they are told, or fail to be. */
  function unready(ready: Promise<void>): LockManager {
    const { locks: real } = datastore;
    const join = async (...asked: Parameters<typeof real.join>) => {
      const place = await real.join(...asked);
      const attempt = async () => {
        const made = await place.attempt();
        if (made.outcome !== "granted") return made;
        return { outcome: made.outcome, grant: Object.defineProperty(made.grant, "ready", { value: ready }) };
      };
      return { attempt, changed: place.changed.bind(place), leave: place.leave.bind(place) };
    };
    const driver: LockDriver = Object.assign(Object.create(real), { join });
    return new LockManager(driver, machine);
  }
  const both = [web, db].map((resource) => ({ resource, mode: "exclusive" as const }));

  test("is on the disk before anybody may work under it: who takes many waits once, when all are taken", async () => {
    let isReady = (): void => undefined;
    let lease: Lease | undefined;
    const ready = new Promise<void>((resolve) => (isReady = resolve));
    const taking = unready(ready)
      .acquire(both)
      .then((taken) => (lease = taken));
    await expect.poll(() => existsSync(join(root, `data/command/shell/${db.id}/.lock`))).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(lease).toBeUndefined();
    isReady();
    await (await taking).release();
  });

  test("where that fails nothing is held", async () => {
    const failed = Promise.reject(new FenError("store_unavailable", "The disk fails."));
    await expect(unready(failed).acquire(both)).rejects.toMatchObject({ code: "store_unavailable" });
    for (const resource of [web, db]) await (await take(resource)).release();
  });
});

describe("exclusion", () => {
  test("a second exclusive holder is refused until the first gives back", async () => {
    const first = await take(web);
    await expect(take(web)).rejects.toEqual(refused);
    await first.release();
    await (await take(web)).release();
  });

  test("different models don't exclude each other", async () => {
    await using _web = await take(web);
    await using _db = await take(db);
  });

  test("shared holders run side by side and keep an exclusive one out", async () => {
    const one = await take(web, "shared");
    const two = await take(web, "shared");
    await expect(take(web)).rejects.toEqual(refused);
    await one.release();
    await expect(take(web)).rejects.toEqual(refused);
    await two.release();
    await (await take(web)).release();
  });

  test("the datastore and any model exclude each other", async () => {
    const model = await take(web);
    await expect(take(all)).rejects.toEqual(refused);
    await model.release();
    const structural = await take(all);
    await expect(take(web)).rejects.toEqual(refused);
    await expect(take(db, "shared")).rejects.toEqual(refused);
    await structural.release();
    await (await take(db)).release();
  });
});

describe("records", () => {
  test("a record exists while a lock is held, and nothing is left afterwards", async () => {
    const path = join(root, "data/command/shell", web.kind === "model" ? web.id : "", ".lock");
    const lease = await take(web);
    expect(existsSync(path)).toBe(true);
    await lease.release();
    expect(existsSync(path)).toBe(false);
    expect(
      readdirSync(join(root, ".fen/queue"), { recursive: true, withFileTypes: true }).filter((one) => one.isFile()),
    ).toEqual([]);
  });

  test("a timed-out wait leaves no place in the queue", async () => {
    await using _lease = await take(web);
    await expect(take(web)).rejects.toEqual(refused);
    expect((await datastore.locks.inspect("all")).waiting).toEqual([]);
  });

  test("tokens grow with every exclusive grant", async () => {
    const tokens: number[] = [];
    for (let i = 0; i < 3; i++) {
      await using lease = await take(web);
      tokens.push(lease.token(web));
    }
    expect(tokens).toEqual([1, 2, 3]);
  });
});

describe("waiting", () => {
  test("waiters are served in the order in which they came", async () => {
    const lease = await take(web);
    const order: number[] = [];
    const waiters: Promise<void>[] = [];
    for (let i = 0; i < 5; i++) {
      waiters.push(
        locks.acquire([{ resource: web, mode: "exclusive" }], { timeoutMs: 10_000 }).then(async (mine) => {
          order.push(i);
          await mine.release();
        }),
      );
      while ((await datastore.locks.inspect("all")).waiting.length < i + 1) await machine.clock.sleep(1);
    }
    await lease.release();
    await Promise.all(waiters);
    expect(order).toEqual([0, 1, 2, 3, 4]);
  });

  test("a newcomer queues behind a structural command that waits", async () => {
    const order: string[] = [];
    const lease = await take(web);
    const structural = locks.acquire([{ resource: all, mode: "exclusive" }]).then(async (mine) => {
      order.push("structural");
      await mine.release();
    });
    while ((await datastore.locks.inspect("all")).waiting.length < 1) await machine.clock.sleep(1);
    const newcomer = locks.acquire([{ resource: db, mode: "exclusive" }]).then(async (mine) => {
      order.push("newcomer");
      await mine.release();
    });
    while ((await datastore.locks.inspect("all")).waiting.length < 2) await machine.clock.sleep(1);
    await lease.release();
    await Promise.all([structural, newcomer]);
    expect(order).toEqual(["structural", "newcomer"]);
  });

  test("a wait says whom it waits for, and an abort ends it at once", async () => {
    await using _lease = await take(web);
    const notices: WaitNotice[] = [];
    const stop = new AbortController();
    const waiting = locks.acquire([{ resource: web, mode: "exclusive" }], {
      signal: stop.signal,
      onWait: (notice) => {
        notices.push(notice);
        stop.abort(new FenError("interrupted", "stop"));
      },
    });
    await expect(waiting).rejects.toEqual(expect.objectContaining({ code: "interrupted" }));
    expect(notices[0]?.by).toMatchObject({ kind: "holder", record: { pid: process.pid, command: "test" } });
    expect(notices[0]?.place).toBe(1);
    expect((await datastore.locks.inspect("all")).waiting).toEqual([]);
  });

  test("what was taken is given back when a later resource times out", async () => {
    const lease = await take(db);
    const both = locks.acquire(
      [web, db].map((resource) => ({ resource, mode: "exclusive" as const })),
      { timeoutMs: 0 },
    );
    await expect(both).rejects.toEqual(refused);
    await (await take(web)).release();
    await lease.release();
  });
});

describe("break-glass", () => {
  test("a revoked holder is told, can't commit, and the next holder gets in beside its kernel lock", async () => {
    const first = await take(web);
    expect(await datastore.locks.revoke(web, first.grants[0]?.nonce ?? "")).toBe(true);
    const second = await take(web);
    await expect(first.assertHeld()).rejects.toEqual(expect.objectContaining({ code: "lock_lost" }));
    expect(first.signal.aborted).toBe(true);
    await second.assertHeld();
    await first.release();
    await second.assertHeld();
    await expect(take(all)).rejects.toEqual(refused);
    await second.release();
    await (await take(all)).release();
  });

  test("a nonce that holds nothing revokes nothing", async () => {
    const lease = await take(web);
    expect(await datastore.locks.revoke(web, "00000000-0000-4000-8000-000000000000")).toBe(false);
    await lease.assertHeld();
    await lease.release();
  });

  test("a lock table that was replaced means that the lock is lost", async () => {
    const lease = await take(web);
    rmSync(join(root, ".fen/locks"));
    await expect(lease.assertHeld()).rejects.toEqual(expect.objectContaining({ code: "lock_lost" }));
    await lease.release();
  });
});
