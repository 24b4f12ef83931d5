/** The manager's waiting, ordering and giving back, above a driver that does as it is told and a clock that is turned by hand. */
import { beforeEach, describe, expect, test } from "vitest";
import { model, recordOf, ScriptedLocks } from "../../test/support/scripted-locks.ts";
import type { HeldLock, Holding, WaitingLock } from "../store/contract.ts";
import { type AcquireOptions, LockManager, type WaitNotice } from "./manager.ts";

const [a, b] = [model("t/a"), model("t/b")];
const timeout = expect.objectContaining({ code: "lock_timeout" });

let locks: ScriptedLocks;
let manager: LockManager;
beforeEach(() => {
  locks = new ScriptedLocks();
  manager = new LockManager(locks, locks.machine);
});

const acquire = (keys: readonly string[], options?: AcquireOptions) =>
  locks.clock.turnUntil(
    manager.acquire(
      keys.map((key) => ({ resource: model(key), mode: "exclusive" as const })),
      options,
    ),
  );
const waited = () => locks.clock.monotonic() - 1000;

describe("order", () => {
  test("lock-45: resources are taken by code point, the same in every locale", async () => {
    await acquire(["t/é", "t/a", "T/b", "t/Z", "t/z"]);
    expect(locks.log.filter((step) => step.startsWith("granted"))).toEqual(
      ["T/b", "t/Z", "t/a", "t/z", "t/é"].map((key) => `granted ${key}`),
    );
  });

  test("lock-18, lock-36: one resource that is asked for twice is taken once, in the stronger mode", async () => {
    const lease = await manager.acquire([
      { resource: a, mode: "shared" },
      { resource: a, mode: "exclusive" },
      { resource: a, mode: "shared" },
    ]);
    expect(lease.grants.map((grant) => grant.mode)).toEqual(["exclusive"]);
  });

  test("the claim on a later resource says that the earlier ones are held: wait cycles are found by that", async () => {
    const lease = await acquire(["t/a", "t/b"]);
    expect(locks.claims.map((claim) => claim.within.map((one) => one.nonce))).toEqual([[], [lease.grants[0]?.nonce]]);
  });
});

describe("time", () => {
  test("lock-21: the limit is one for all resources together", async () => {
    for (const key of ["t/a", "t/b"]) locks.freeAfterMs.set(key, 800);
    await expect(acquire(["t/a", "t/b"], { timeoutMs: 1000 })).rejects.toEqual(timeout);
    expect(waited()).toBe(1000);
  });

  test("lock-21: a limit of nothing is one attempt", async () => {
    await acquire(["t/a"], { timeoutMs: 0 });
    locks.freeAfterMs.set("t/b", 1);
    await expect(acquire(["t/b"], { timeoutMs: 0 })).rejects.toEqual(timeout);
    await expect(acquire(["t/b"], { timeoutMs: 0 })).rejects.toThrow("The lock on t/b is not free: ");
  });

  test("lock-30: a timeout names the holder and the model, and leaves the queue", async () => {
    locks.freeAfterMs.set("t/a", Infinity);
    const refused = acquire(["t/a"], { timeoutMs: 500 });
    await expect(refused).rejects.toMatchObject({
      message: expect.stringMatching(/t\/a.*0\.5 s.*ann@here.*4711/),
      facts: { resource: "t/a" },
    });
    expect(locks.log).toEqual(["join t/a", "leave t/a"]);
  });

  test("a wait that lasts is made use of once, and a short one not at all", async () => {
    const usedAt: number[] = [];
    const meanwhile = async () => void usedAt.push(waited());
    locks.freeAfterMs.set("t/a", 50);
    await acquire(["t/a"], { meanwhile });
    expect(usedAt).toEqual([]);
    locks.freeAfterMs.set("t/b", 5000);
    await acquire(["t/b"], { meanwhile });
    expect(usedAt).toHaveLength(1);
    expect(usedAt[0]).toBeLessThan(1000);
  });

  test("lock-19: a wait is told within a second, and again only when something changed", async () => {
    locks.freeAfterMs.set("t/a", 10_000);
    const notices: WaitNotice[] = [];
    await acquire(["t/a"], { onWait: (notice) => notices.push(notice) });
    expect(notices).toHaveLength(1);
    expect(notices[0]).toMatchObject({ resource: a, place: 1, by: { record: locks.blocker } });
    expect(notices[0]?.waitedMs).toBeLessThan(1000);
  });

  test("a wait that is short isn't worth a word", async () => {
    locks.freeAfterMs.set("t/a", 200);
    const notices: WaitNotice[] = [];
    await acquire(["t/a"], { onWait: (notice) => notices.push(notice) });
    expect(notices).toEqual([]);
  });
});

describe("giving up", () => {
  test("what was taken is given back, last first, and no place is kept", async () => {
    locks.freeAfterMs.set("t/c", Infinity);
    await expect(acquire(["t/a", "t/b", "t/c"], { timeoutMs: 100 })).rejects.toEqual(timeout);
    expect(locks.log.slice(-3)).toEqual(["leave t/c", "release t/b", "release t/a"]);
  });

  test("a failure while giving back doesn't hide the first error: both are told", async () => {
    locks.freeAfterMs.set("t/b", Infinity);
    locks.failing.set("release t/a", new Error("a stays"));
    await expect(acquire(["t/a", "t/b"], { timeoutMs: 100 })).rejects.toMatchObject({
      cause: { code: "lock_timeout" },
      errors: [{ code: "lock_timeout" }, { message: "a stays" }],
    });
  });

  test("nor does a failure to leave the queue", async () => {
    locks.freeAfterMs.set("t/a", Infinity);
    locks.failing.set("leave t/a", new Error("still there"));
    await expect(acquire(["t/a"], { timeoutMs: 100 })).rejects.toMatchObject({
      code: "lock_timeout",
      cause: { message: "still there" },
    });
  });

  test("lock-54: an abort ends the wait at once, with its reason", async () => {
    locks.freeAfterMs.set("t/a", Infinity);
    const stop = new AbortController();
    const waiting = manager.acquire([{ resource: a, mode: "exclusive" }], { signal: stop.signal });
    await new Promise((resolve) => setImmediate(resolve));
    stop.abort(new Error("stop"));
    await expect(waiting).rejects.toThrow("stop");
    expect(locks.log).toEqual(["join t/a", "leave t/a"]);
  });

  test("lock-54: one who is stopped already takes no place", async () => {
    await expect(acquire(["t/a"], { signal: AbortSignal.abort(new Error("stop")) })).rejects.toThrow("stop");
    expect(locks.log).toEqual([]);
  });

  test("lock-54: one who is stopped at the second resource gives the first back", async () => {
    locks.freeAfterMs.set("t/b", Infinity);
    const stop = new AbortController();
    locks.clock.after(450, () => stop.abort(new Error("stop")));
    await expect(acquire(["t/a", "t/b"], { signal: stop.signal })).rejects.toThrow("stop");
    expect(locks.log.slice(-2)).toEqual(["leave t/b", "release t/a"]);
  });
});

describe("lock-35: waiting in a circle", () => {
  const above: Holding = { resource: a, mode: "exclusive", nonce: "above", token: 1, pid: 1 };
  const holder: Holding = { ...above, resource: b, nonce: "blocker" };
  const holds = ({ resource, nonce }: Holding): HeldLock => ({
    resource,
    state: "held",
    record: recordOf(nonce),
    processes: [],
    path: "",
  });

  /** We wait for b within a; the holder of b has a child that waits for a. That one's nonce says who gives way. */
  function cross(nonce: string, isThere: (waitedMs: number) => boolean = () => true): void {
    locks.inherited = { holdings: [above], unshared: [] };
    locks.freeAfterMs.set("t/b", 5000);
    locks.inspect = async () => {
      const own = locks.claims.at(-1)?.nonce ?? "";
      const other: WaitingLock = { resource: a, record: recordOf(nonce, { within: ["blocker"] }), place: 1 };
      const ours: WaitingLock = { resource: b, record: recordOf(own, { within: ["above"] }), place: 1 };
      return { held: [above, holder].map(holds), waiting: isThere(waited()) ? [ours, other] : [ours] };
    };
  }
  const wait = () => {
    const host = { ...locks.machine.host, env: { FEN_HELD_LOCKS: JSON.stringify([{ ...above, resource: "t/a" }]) } };
    return locks.clock.turnUntil(
      new LockManager(locks, { ...locks.machine, host }).acquire([{ resource: b, mode: "exclusive", label: "web-b" }]),
    );
  };

  test("the one that has to gives way within a second, and says who waits for whom", async () => {
    cross("0 the other");
    await expect(wait()).rejects.toMatchObject({
      code: "lock_wait_cycle",
      message: expect.stringMatching(/waits for web-b\n[^]*waits for t\/a/),
    });
    expect(waited()).toBeLessThan(1000);
    expect(locks.log).toEqual(["join t/b", "leave t/b"]);
  });

  test("the other one goes on", async () => {
    cross("z the other");
    await (await wait()).release();
    expect(waited()).toBeGreaterThanOrEqual(5000);
  });

  test("a circle that is seen only once is none: its parts were read one after the other", async () => {
    cross("0 the other", (ms) => ms < 500);
    await (await wait()).release();
    expect(waited()).toBeGreaterThanOrEqual(5000);
  });

  test("one who holds nothing doesn't look", async () => {
    let looks = 0;
    locks.inspect = async () => (looks++, { held: [], waiting: [] });
    locks.freeAfterMs.set("t/a", 5000);
    await acquire(["t/a"]);
    expect(looks).toBe(0);
  });
});

describe("lock-34: within what a caller holds", () => {
  test("what covers a request is told to the store; what would wait for it is refused before anything is taken", async () => {
    const outer = await acquire(["t/a"]);
    const inner = await locks.clock.turnUntil(manager.acquire([{ resource: a, mode: "exclusive" }], { within: outer }));
    expect(locks.claims.at(-1)?.under?.nonce).toBe(outer.grants[0]?.nonce);
    expect(inner.holdings).toHaveLength(2);
    const before = locks.log.length;
    const whole = manager.acquire(
      [b, { kind: "datastore" as const }].map((resource) => ({ resource, mode: "exclusive" as const })),
      { within: outer },
    );
    await expect(whole).rejects.toEqual(expect.objectContaining({ code: "lock_would_deadlock" }));
    expect(locks.log.slice(before)).toEqual([]);
  });
});
