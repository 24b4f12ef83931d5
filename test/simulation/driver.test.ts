/** What the driver for object stores offers beside locks, in simulated time: heads, commands within a lock, what the dead leave. */
import { describe, expect, test } from "vitest";
import { CasLocks } from "../../src/lock/cas/locks.ts";
import { claimOf, LockManager } from "../../src/lock/manager.ts";
import type { Grant, Holding, Resource } from "../../src/store/contract.ts";
import { Computer, World } from "./world.ts";

const web: Resource = { kind: "model", type: "test/thing", id: "a" };
const all: Resource = { kind: "datastore" };

interface Client {
  readonly computer: Computer;
  readonly locks: CasLocks;
  readonly manager: LockManager;
}

function clients(world: World, names: string): Client[] {
  return [...names].map((name) => {
    const computer = new Computer(world, name);
    const locks = new CasLocks(computer.store, computer.machine);
    return { computer, locks, manager: new LockManager(locks, computer.machine) };
  });
}

async function until<T>(world: World, work: Promise<T>): Promise<T> {
  let done = false;
  const settled = () => void (done = true);
  void work.then(settled, settled);
  if (!(await world.run(() => done, world.time + 600_000))) throw new Error("not within the time given");
  return work;
}

const pass = (world: World, ms: number): Promise<unknown> => {
  const end = world.time + ms;
  world.at(end, () => undefined);
  return world.run(() => world.time >= end, end);
};

const world = (): World => new World({ seed: 1, latency: [30, 30] });
const exclusive = (resource: Resource) => [{ resource, mode: "exclusive" }] as const;

async function granted({ locks, computer }: Client, resource: Resource, under?: Holding): Promise<Grant> {
  const within = under === undefined ? [] : [under];
  const claim = claimOf(computer.machine, { owner: computer.machine.random.uuid(), within, under });
  const place = await locks.join(resource, "exclusive", claim);
  for (;;) {
    const attempt = await place.attempt();
    if (attempt.outcome === "granted") return attempt.grant;
    await place.changed(1000, new AbortController().signal);
  }
}

describe("heads", () => {
  test("one holder's commit is read by the next with its grant, and by anybody without a lock", async () => {
    const here = world();
    const [one, two] = clients(here, "AB") as [Client, Client];
    expect(await until(here, one.locks.head(web))).toBeUndefined();
    const first = await until(here, one.manager.acquire(exclusive(web)));
    expect(first.head(web)).toBeUndefined();
    await until(here, first.commit(web, "A#1"));
    expect([first.head(web), await until(here, two.locks.head(web))]).toEqual(["A#1", "A#1"]);
    await until(here, first.commit(web, "A#2", { last: true }));
    const second = await until(here, two.manager.acquire(exclusive(web)));
    expect(second.head(web)).toBe("A#2");
    await until(here, Promise.all([first.release(), second.release()]));
    const requests = two.computer.requests;
    expect(await until(here, two.locks.head(web))).toBe("A#2");
    expect(two.computer.requests - requests).toBe(1);
  });

  test("a lock is held while its commit is on its way, and is over when that was the last", async () => {
    const here = world();
    const [one] = clients(here, "A") as [Client];
    const grant = await until(here, granted(one, web));
    const commit = grant.commit?.("A#1");
    expect(await until(here, grant.check())).toBe("held");
    expect(await until(here, commit ?? Promise.resolve(false))).toBe(true);
    expect(await until(here, grant.commit?.("A#2", { last: true }) ?? Promise.resolve(false))).toBe(true);
    expect(await until(here, grant.check())).toBe("lost");
    await until(here, grant.release());
    // Nobody waits for the removal of its claim, but it is on its way.
    const claims = () => [...here.bucket.objects.keys()].filter((key) => key.startsWith("claims/"));
    await here.run(() => claims().length === 0, here.time + 1000);
    expect(claims()).toEqual([]);
  });

  test("the next in line gets in with the last commit, before the claim of the one before is gone", async () => {
    const here = world();
    const [one, two] = clients(here, "AB") as [Client, Client];
    const first = await until(here, one.manager.acquire(exclusive(web)));
    const second = two.manager.acquire(exclusive(web));
    await pass(here, 1000);
    const start = here.time;
    const commit = first.commit(web, "A#1", { last: true });
    const next = await until(here, second);
    expect(next.head(web)).toBe("A#1");
    expect(here.time - start).toBeLessThanOrEqual(400);
    await until(here, Promise.all([commit, first.release(), next.release()]));
  });
});

describe("commands that a holder calls", () => {
  const family = async () => {
    const here = world();
    const [parent, one, two, outside] = clients(here, "PABX") as [Client, Client, Client, Client];
    const held = await until(here, granted(parent, web));
    const { holdings } = await until(here, one.locks.inherit([held.holding]));
    expect(holdings).toEqual([held.holding]);
    return { here, parent, one, two, outside, held, under: held.holding };
  };

  test("take turns within its lock, which keeps all others out", async () => {
    const { here, one, two, outside, held, under } = await family();
    const first = await until(here, granted(one, web, under));
    expect(first.holding.under).toBe(held.nonce);
    let [isSecond, isOutside] = [false, false];
    const second = granted(two, web, under).then((grant) => ((isSecond = true), grant));
    const other = granted(outside, web).then((grant) => ((isOutside = true), grant));
    await pass(here, 30_000);
    expect([isSecond, isOutside]).toEqual([false, false]);
    await until(here, first.release());
    await until(here, (await until(here, second)).release());
    await pass(here, 10_000);
    expect(isOutside).toBe(false);
    await until(here, held.release());
    await until(here, (await until(here, other)).release());
  });

  test("are shown as what they are", async () => {
    const { here, one, two, outside, under, held } = await family();
    await until(here, granted(one, web, under));
    void granted(two, web, under);
    await pass(here, 1000);
    const table = await until(here, outside.locks.inspect("live"));
    expect(table.held.map((lock) => [lock.record?.holder, lock.under])).toEqual([
      ["test@P", undefined],
      ["test@A", held.nonce],
    ]);
    expect(table.waiting).toMatchObject([{ record: { holder: "test@B" }, under: held.nonce, place: 1 }]);
  });

  test("hold nothing once the lock that covers them is over", async () => {
    const { here, one, outside, held, under } = await family();
    const child = await until(here, granted(one, web, under));
    expect(await until(here, child.check())).toBe("held");
    expect(await until(here, outside.locks.revoke(web, held.nonce))).toBe(true);
    expect(await until(here, child.check())).toBe("lost");
  });

  test("may ask for another lock while a structural command waits for their caller's", async () => {
    const { here, one, outside, held, under } = await family();
    const structural = outside.manager.acquire(exclusive(all));
    await pass(here, 2000);
    const child = await until(here, granted(one, { kind: "model", type: "test/thing", id: "b" }, under));
    await until(here, child.release());
    await until(here, held.release());
    await until(here, (await until(here, structural)).release());
  });
});

describe("what the dead leave", () => {
  const claimsIn = (here: World): string[] =>
    [...here.bucket.objects.keys()].filter((key) => key.startsWith("claims/"));

  test("claims that no record names are removed, those of the living and the waiting stay", async () => {
    const here = world();
    const [gc, holder, waiter, dead] = clients(here, "GHWD") as [Client, Client, Client, Client];
    const held = await until(here, granted(holder, web));
    void granted(waiter, web);
    await pass(here, 1000);
    void granted(dead, web).catch(() => undefined);
    await pass(here, 45); // its claim is made, and nothing more
    dead.computer.crash();
    await pass(here, 1000);
    expect(claimsIn(here)).toHaveLength(3);
    expect(await until(here, gc.locks.tidy())).toBe(1);
    expect(claimsIn(here).filter((key) => key.includes("/D-"))).toEqual([]);
    expect(await until(here, held.check())).toBe("held");
    expect(claimsIn(here)).toHaveLength(2);
  });

  test("where there are none it takes one list and no time", async () => {
    const here = world();
    const [gc] = clients(here, "G") as [Client];
    const lease = await until(here, gc.manager.acquire(exclusive(all)));
    const [before, start] = [gc.computer.requests, here.time];
    expect(await until(here, gc.locks.tidy())).toBe(0);
    expect([gc.computer.requests - before, here.time - start]).toEqual([2, 120]); // its own claim is one, so its record is read
    await until(here, lease.release());
  });

  test("one that was only paused before it entered finds its claim ended, and takes a new place", async () => {
    const here = world();
    const [gc, paused] = clients(here, "GP") as [Client, Client];
    const taking = granted(paused, web);
    await pass(here, 45);
    paused.computer.pause(60_000);
    expect(await until(here, gc.locks.tidy())).toBe(1);
    const grant = await until(here, taking);
    expect(await until(here, grant.check())).toBe("held");
    expect(claimsIn(here)).toEqual([`claims/test%2Fthing%2Fa/${grant.nonce}`]);
    await until(here, grant.release());
  });
});
