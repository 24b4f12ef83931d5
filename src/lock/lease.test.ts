import { beforeEach, describe, expect, test } from "vitest";
import { model, type ScriptedGrant, ScriptedLocks } from "../../test/support/scripted-locks.ts";
import { HeldLease } from "./lease.ts";

const [a, b] = [model("t/a"), model("t/b")];
const lost = expect.objectContaining({ code: "lock_lost" });

let locks: ScriptedLocks;
let grants: [ScriptedGrant, ScriptedGrant];
let lease: HeldLease;
beforeEach(() => {
  locks = new ScriptedLocks();
  grants = [locks.grant(a, { mode: "exclusive", nonce: "a" }), locks.grant(b, { mode: "exclusive", nonce: "b" })];
  lease = new HeldLease(locks.machine, grants, { owner: "o", above: [] });
});

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe("a lock that is lost", () => {
  test("lock-9: is seen at the next check before a commit, whichever of the locks it is, and tells by the signal", async () => {
    await lease.assertHeld();
    expect(lease.signal.aborted).toBe(false);
    grants[1].isLost = true;
    await expect(lease.assertHeld()).rejects.toEqual(lost);
    expect(lease.signal.reason).toEqual(
      expect.objectContaining({ code: "lock_lost", facts: expect.objectContaining({ resource: "t/b" }) }),
    );
  });

  test("the error calls it as people do, also where the lease was split", async () => {
    const named = (): HeldLease =>
      new HeldLease(locks.machine, grants, {
        owner: "o",
        above: [],
        requests: [{ resource: b, mode: "exclusive", label: "web-01" }],
      });
    grants[1].isLost = true;
    const message = "The lock on web-01 was taken away while the command worked.";
    await expect(named().assertHeld()).rejects.toMatchObject({ code: "lock_lost", message });
    await expect(named().split()[1]?.assertHeld()).rejects.toMatchObject({ message, facts: { resource: "t/b" } });
  });

  test("never becomes held again", async () => {
    grants[0].isLost = true;
    await expect(lease.assertHeld()).rejects.toEqual(lost);
    grants[0].isLost = false;
    await expect(lease.assertHeld()).rejects.toEqual(lost);
  });

  test("lock-9: fires the signal while the command works, though it commits nothing", async () => {
    grants[0].isLost = true;
    locks.clock.turn(2000);
    await settle();
    expect(lease.signal.aborted).toBe(true);
  });

  test("is looked for beside the work, where nothing was proved within a second; a check before a commit asks anew", async () => {
    await lease.assertHeld();
    locks.clock.turn(2000);
    await settle();
    await lease.assertHeld();
    expect(grants[0].trusted).toEqual([0, 1000, 0]);
  });

  test("a check that fails isn't a loss", async () => {
    locks.failing.set("check t/a", new Error("no answer"));
    await expect(lease.assertHeld()).rejects.toThrow("no answer");
    locks.clock.turn(2000);
    await settle();
    expect(lease.signal.aborted).toBe(false);
  });
});

describe("giving back", () => {
  test("what was taken last is given back first, once", async () => {
    await lease.release();
    await lease.release();
    expect(locks.log).toEqual(["release t/b", "release t/a"]);
  });

  test("lock-3: nothing is refreshed or checked after it", async () => {
    await lease.release();
    locks.clock.turn(60_000);
    await settle();
    expect(locks.log).toEqual(["release t/b", "release t/a"]);
  });

  test("a failure of one doesn't keep the other, and is told", async () => {
    locks.failing.set("release t/b", new Error("b stays"));
    await expect(lease.release()).rejects.toThrow("b stays");
    expect(locks.log).toEqual(["release t/b", "release t/a"]);
  });

  test("two failures are both told", async () => {
    for (const key of ["t/a", "t/b"]) locks.failing.set(`release ${key}`, new Error(key));
    await expect(lease.release()).rejects.toMatchObject({ errors: [{ message: "t/b" }, { message: "t/a" }] });
  });

  test("nothing may be committed after it", async () => {
    await lease.release();
    await expect(lease.assertHeld()).rejects.toThrow("given back");
  });
});

test("the records are kept fresh for older clients, each 10 s, also when one can't be written", async () => {
  locks.failing.set("refresh t/a", new Error("full"));
  locks.clock.turn(20_000);
  await settle();
  expect(locks.log.filter((step) => step.startsWith("refresh")).sort()).toEqual([
    ...["refresh t/a", "refresh t/a"],
    ...["refresh t/b", "refresh t/b"],
  ]);
});

test("the token is that of the lock", () => {
  expect(lease.token(a)).toBe(5);
  expect(() => lease.token(model("t/c"))).toThrow("doesn't hold");
});

describe("commits", () => {
  test("go to the lock of the resource, and are its head from then on", async () => {
    await lease.commit(b, "b#1");
    expect([lease.head(a), lease.head(b)]).toEqual([undefined, "b#1"]);
    expect(locks.log).toEqual(["commit t/b"]);
  });

  test("what was given back with its last commit is no loss, now or at later checks", async () => {
    await lease.commit(a, "a#1", { last: true });
    locks.clock.turn(2000);
    await settle();
    await lease.assertHeld();
    expect(lease.signal.aborted).toBe(false);
    expect(locks.log.filter((step) => step === "check t/a")).toEqual([]);
    expect(() => lease.split()).toThrow("given back");
  });

  test("a commit that the store refused is the loss of the lock", async () => {
    grants[0].isLost = true;
    await expect(lease.commit(a, "a#1", { last: true })).rejects.toEqual(lost);
    expect(lease.signal.aborted).toBe(true);
    expect(lease.head(a)).toBeUndefined();
  });

  test("a commit whose outcome nobody knows isn't a loss", async () => {
    locks.failing.set("commit t/a", new Error("no answer"));
    await expect(lease.commit(a, "a#1")).rejects.toThrow("no answer");
    expect(lease.signal.aborted).toBe(false);
  });

  test("where the store can't fence there are none", async () => {
    const grant: ScriptedGrant = Object.create(grants[0], { commit: { value: undefined } });
    const plain = new HeldLease(locks.machine, [grant], { owner: "o", above: [] });
    await expect(plain.commit(a, "a#1")).rejects.toThrow("nothing can be committed");
  });
});
