import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Lease, LockRequest } from "../lock/lease.ts";
import type { WaitNotice } from "../lock/manager.ts";
import { type LockMode, resourceKey } from "../store/contract.ts";
import { type PlannedUse, RunLocks, type TakeLocks } from "./run-locks.ts";

const request = (model: string, mode: LockMode = "exclusive"): LockRequest => ({
  resource: { kind: "model", type: "t", id: model },
  mode,
});
const use = (model: string, mode?: LockMode): PlannedUse => ({ request: request(model, mode), isOver: false });
const signal = new AbortController().signal;
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A store that grants at once what nobody has, and takes a moment to get it back. */
class FakeStore {
  /** What is held, and in which mode. */
  readonly held = new Map<string, LockMode>();
  readonly taken: string[][] = [];
  readonly besides: (string | undefined)[] = [];
  failRelease: Error | undefined;
  /** As in an object store: a lock may go back with a commit. */
  canCommit = false;

  readonly take: TakeLocks = async (requests, { beside }) => {
    await settle();
    const strongest = new Map<string, LockMode>();
    for (const { resource, mode } of requests)
      if (strongest.get(resource.kind === "model" ? resource.id : "") !== "exclusive")
        strongest.set(resource.kind === "model" ? resource.id : "", mode);
    for (const model of strongest.keys()) if (this.held.has(model)) throw new Error(`${model} is held already`);
    for (const [model, mode] of strongest) this.held.set(model, mode);
    this.taken.push([...strongest.keys()].sort());
    this.besides.push(beside?.owner);
    return this.#lease([...strongest]);
  };

  #lease(models: readonly (readonly [string, LockMode])[]): Lease {
    const part = {
      grants: models.map(([id, mode]) => ({
        resource: { kind: "model", type: "t", id },
        mode,
        holding: {},
        ...(this.canCommit ? { commit: async () => true } : {}),
      })),
      signal,
      owner: "own",
      rest: () => undefined,
      wake: () => undefined,
      split: () => models.map((one) => this.#lease([one])),
      release: async () => {
        await settle();
        if (this.failRelease !== undefined) throw this.failRelease;
        for (const [model] of models) this.held.delete(model);
      },
    };
    return part as unknown as Lease; // what RunLocks uses of one
  }
}

describe("locks of a run", () => {
  test("all known ones are taken at once, the stronger mode of each; each goes back with its last use", async () => {
    const store = new FakeStore();
    const locks = new RunLocks(store.take, { together: true });
    const uses = [use("a", "shared"), use("b"), use("a")];
    await locks.takeAll(uses, { signal });
    expect([store.taken, store.held.get("a"), locks.size]).toEqual([[["a", "b"]], "exclusive", 2]);
    for (const one of uses.slice(0, 2)) await locks.end(one);
    expect([...store.held.keys()]).toEqual(["a"]);
    await locks.end(uses[0] ?? use("a")); // a second time changes nothing
    expect([...store.held.keys()]).toEqual(["a"]);
    await locks.end(uses[2] ?? use("a"));
    expect(store.held.size).toBe(0);
  });

  test("what is known later is taken beside what is held, once for all who want it at the time", async () => {
    const store = new FakeStore();
    const locks = new RunLocks(store.take, { together: true });
    await locks.takeAll([use("a")], { signal });
    const leases = await Promise.all(
      [request("b"), request("b", "shared"), request("a")].map((one) => locks.hold(one, { signal })),
    );
    expect(leases[0]).toBe(leases[1]);
    expect([store.taken, store.besides]).toEqual([
      [["a"], ["b"]],
      [undefined, "own"],
    ]);
    await locks.done(request("b"));
    expect(store.held.has("b")).toBe(true);
    await locks.done(request("b"));
    expect(store.held.has("b")).toBe(false);
  });

  test("who wants a lock that the run already waits for is told of the wait, too, whenever it comes", async () => {
    const told: string[] = [];
    const notice = { label: "a" } as WaitNotice; // passed on as it is
    let grant: (() => void) | undefined;
    const store = new FakeStore();
    const locks = new RunLocks(
      async (requests, options) => {
        options.onWait?.(notice);
        await new Promise<void>((resolve) => (grant = resolve));
        return store.take(requests, options);
      },
      { together: false },
    );
    const holds = ["first", "second"].map((who) =>
      locks.hold(request("a", "shared"), { signal, onWait: ({ label }) => told.push(`${who} ${label}`) }),
    );
    await settle();
    expect(told).toEqual(["first a", "second a"]);
    grant?.();
    await Promise.all(holds);
  });

  test("who waits along can be stopped alone: it waits no longer, and is told nothing more", async () => {
    const told: string[] = [];
    let say: (() => void) | undefined;
    let grant: (() => void) | undefined;
    const store = new FakeStore();
    const locks = new RunLocks(
      async (requests, options) => {
        say = () => options.onWait?.({ label: "a" } as WaitNotice); // passed on as it is
        await new Promise<void>((resolve) => (grant = resolve));
        return store.take(requests, options);
      },
      { together: false },
    );
    const onWait = (who: string) => () => void told.push(who);
    const first = locks.hold(request("a", "shared"), { signal, onWait: onWait("first") });
    const stop = new AbortController();
    const second = locks.hold(request("a", "shared"), { signal: stop.signal, onWait: onWait("second") });
    await settle();
    stop.abort(new Error("its time is over"));
    await expect(second).rejects.toThrow("its time is over");
    say?.();
    expect(told).toEqual(["first"]);
    grant?.();
    await first;
    await locks.done(request("a", "shared"));
    expect(store.held.size).toBe(0);
  });

  test("one that is held to read is taken anew to write", async () => {
    const store = new FakeStore();
    const locks = new RunLocks(store.take, { together: false });
    await locks.takeAll([use("a", "shared")], { signal });
    await locks.hold(request("a"), { signal });
    expect(store.held.get("a")).toBe("exclusive");
    expect(store.besides).toEqual([undefined, undefined]);
  });

  test("a lock on its way back is waited for by whoever wants it again, and by the end of the run", async () => {
    const store = new FakeStore();
    const locks = new RunLocks(store.take, { together: true });
    const one = use("a");
    await locks.takeAll([one], { signal });
    void locks.end(one);
    await locks.hold(request("a"), { signal }); // the store would refuse it while it is held
    void locks.done(request("a"));
    await locks.release();
    expect(store.held.size).toBe(0);
  });

  test("a lock goes back with the last commit only where nothing else wants it, and to nobody of the run after that", async () => {
    const store = new FakeStore();
    store.canCommit = true;
    const locks = new RunLocks(store.take, { together: true });
    const [one, other] = [use("a"), use("a")];
    await locks.takeAll([one, other, use("b")], { signal });
    const first = await locks.hold(request("a"), { signal });
    expect(locks.letLast(request("a"), one)).toBe(false);
    await locks.done(request("a"));
    await locks.end(one);
    expect(await locks.hold(request("a"), { signal })).toBe(first);
    expect(locks.letLast(request("a"), undefined)).toBe(false);
    expect(locks.letLast(request("a", "shared"), other)).toBe(false);
    expect(locks.letLast(request("a"), other)).toBe(true);
    await locks.done(request("a"));
    expect([...store.held.keys()]).toEqual(["b"]);
    // What was planned isn't over yet; whoever comes in between gets a lock that is held.
    const again = await locks.hold(request("a"), { signal });
    expect(again).not.toBe(first);
    expect(store.held.has("a")).toBe(true);
    await locks.end(other);
    expect(store.held.has("a")).toBe(true);
    await locks.done(request("a"));
    await locks.release();
    expect(store.held.size).toBe(0);
  });

  test("a lock that can't go back with a commit goes back when nothing planned wants it any more", async () => {
    const store = new FakeStore();
    const locks = new RunLocks(store.take, { together: true });
    const one = use("a");
    await locks.takeAll([one], { signal });
    await locks.hold(request("a"), { signal });
    expect(locks.letLast(request("a"), one)).toBe(false);
    await locks.done(request("a"));
    expect(store.held.has("a")).toBe(true);
    await locks.end(one);
    expect(store.held.has("a")).toBe(false);
  });

  test("what goes wrong while locks are given back is told at the end", async () => {
    const store = new FakeStore();
    const locks = new RunLocks(store.take, { together: true });
    const one = use("a");
    await locks.takeAll([one], { signal });
    store.failRelease = new Error("no");
    await locks.end(one);
    await expect(locks.release()).rejects.toThrow("could not be given back");
  });

  test("in any order of planned and later uses: held exactly while somebody wants it", async () => {
    const model = fc.constantFrom("a", "b", "c");
    const mode = fc.constantFrom<LockMode>("shared", "exclusive");
    const acts = fc.array(
      fc.record({
        kind: fc.constantFrom("hold" as const, "done" as const, "end" as const),
        model,
        mode,
        pick: fc.nat(),
      }),
      { maxLength: 30 },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(model, mode), { maxLength: 6 }), acts, async (planned, actions) => {
        const store = new FakeStore();
        const locks = new RunLocks(store.take, { together: true });
        const open = planned.map(([one, how]) => use(one, how));
        await locks.takeAll(open, { signal });
        const held: LockRequest[] = [];
        const wanted = () =>
          new Set([...open.map((one) => one.request), ...held].map((one) => resourceKey(one.resource).slice(2)));
        expect(new Set(store.held.keys())).toEqual(wanted());
        for (const { kind, model: one, mode: how, pick } of actions) {
          if (kind === "hold") {
            await locks.hold(request(one, how), { signal });
            held.push(request(one, how));
          } else if (kind === "done") {
            const [over] = held.splice(pick % Math.max(1, held.length), 1);
            if (over !== undefined) await locks.done(over);
          } else {
            const [over] = open.splice(pick % Math.max(1, open.length), 1);
            if (over !== undefined) await locks.end(over);
          }
          expect(new Set(store.held.keys())).toEqual(wanted());
        }
        await locks.release();
        expect(store.held.size).toBe(0);
      }),
      { numRuns: 500 },
    );
  });
});
