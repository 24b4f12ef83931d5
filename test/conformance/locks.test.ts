/** What every lock driver must do, tried with two independent clients of one datastore. */
import { claimOf } from "../../src/lock/manager.ts";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { systemMachine } from "../../src/kernel/machine.ts";
import { CasLocks } from "../../src/lock/cas/locks.ts";
import type { Claim, Grant, Holding, LockDriver, LockMode, Place, Resource } from "../../src/store/contract.ts";
import { openFilesystemDatastore } from "../../src/store/drivers/filesystem/datastore.ts";
import { MemoryBucket, MemoryConditionalStore } from "../../src/store/drivers/memory/conditional.ts";
import type { ConditionalStore } from "../../src/store/conditional.ts";
import { S3ConditionalStore } from "../../src/store/drivers/s3/conditional.ts";
import { clientOf, makeBucket, newPrefix } from "../support/s3-client.ts";

const machine = systemMachine("conformance");
const web: Resource = { kind: "model", type: "command/shell", id: "a0000000-0000-4000-a000-000000000001" };
const db: Resource = { kind: "model", type: "command/shell", id: "b0000000-0000-4000-b000-000000000002" };
const all: Resource = { kind: "datastore" };

interface Setting {
  readonly one: LockDriver;
  readonly two: LockDriver;
  /** Makes the record of `web` unreadable. */
  spoil(): Promise<void>;
  close(): void;
}

/** Locks made of two clients of conditional writes; `store` reaches the same objects past them. */
function casSetting([first, second, store]: readonly ConditionalStore[]): Setting {
  if (first === undefined || second === undefined || store === undefined) throw new Error("three clients are needed");
  const key = `locks/${encodeURIComponent("command/shell/a0000000-0000-4000-a000-000000000001")}`;
  return {
    one: new CasLocks(first, machine, { ttlMs: 1000 }),
    two: new CasLocks(second, machine, { ttlMs: 1000 }),
    spoil: async () => {
      await store.put(key, "not a record", { ifAbsent: true });
      // A record without a claim is not looked for: somebody waits for it.
      await store.put(key.replace("locks/", "claims/").concat("/lost"), '{"beat":0}', { ifAbsent: true });
    },
    close: () => undefined,
  };
}

const drivers: readonly { readonly name: string; open(): Setting | Promise<Setting> }[] = [
  {
    name: "filesystem",
    open: () => {
      const root = mkdtempSync(join(tmpdir(), "fen-conformance-"));
      const client = () => openFilesystemDatastore(root, machine).locks;
      return {
        one: client(),
        two: client(),
        spoil: async () => {
          const path = join(root, "data/command/shell/a0000000-0000-4000-a000-000000000001/.lock");
          mkdirSync(dirname(path), { recursive: true });
          writeFileSync(path, "not a record");
        },
        close: () => rmSync(root, { recursive: true, force: true }),
      };
    },
  },
  {
    name: "compare-and-swap in memory",
    open: () => {
      const bucket = new MemoryBucket();
      return casSetting([1, 2, 3].map(() => new MemoryConditionalStore(bucket)));
    },
  },
  {
    name: "compare-and-swap in S3 (Ceph)",
    open: async () => {
      const server = inject("s3");
      await makeBucket(server, "conformance");
      const prefix = newPrefix();
      const client = async () =>
        new S3ConditionalStore(await clientOf(server, { prefix }), { folder: ".fen", etagForm: "bare" });
      return casSetting(await Promise.all([client(), client(), client()]));
    },
  },
];

const claim = (within: readonly Holding[] = []): Claim => claimOf(machine, { owner: machine.random.uuid(), within });

describe.each(drivers)("$name", ({ open }) => {
  let setting: Setting;
  beforeEach(async () => (setting = await open()));
  afterEach(() => setting.close());

  const ask = (by: "one" | "two", resource: Resource, mode: LockMode = "exclusive", within: readonly Holding[] = []) =>
    setting[by].join(resource, mode, claim(within));

  async function isBlocked(place: Place): Promise<boolean> {
    return (await place.attempt()).outcome === "blocked";
  }

  async function granted(place: Place): Promise<Grant> {
    const signal = AbortSignal.timeout(20_000);
    for (;;) {
      const attempt = await place.attempt();
      if (attempt.outcome === "granted") return attempt.grant;
      await place.changed(1000, signal);
    }
  }

  const take = async (by: "one" | "two", resource: Resource, mode: LockMode = "exclusive") =>
    granted(await ask(by, resource, mode));

  test("an exclusive lock keeps the other client out until it is given back", async () => {
    const held = await take("one", web);
    const waiting = await ask("two", web);
    expect(await isBlocked(waiting)).toBe(true);
    await held.release();
    const next = await granted(waiting);
    expect(await next.check()).toBe("held");
    await next.release();
  });

  test("models don't wait for one another", async () => {
    const [first, second] = [await take("one", web), await take("two", db)];
    await first.release();
    await second.release();
  });

  test("shared holders run side by side, and an exclusive one waits for the last of them", async () => {
    const [first, second] = [await take("one", web, "shared"), await take("two", web, "shared")];
    const waiting = await ask("one", web);
    await first.release();
    expect(await isBlocked(waiting)).toBe(true);
    await second.release();
    await (await granted(waiting)).release();
  });

  test("one who wants to share queues behind an exclusive one that waits", async () => {
    const first = await take("one", web, "shared");
    const exclusive = await ask("two", web);
    expect(await isBlocked(exclusive)).toBe(true);
    const late = await ask("one", web, "shared");
    expect(await isBlocked(late)).toBe(true);
    await first.release();
    const second = await granted(exclusive);
    expect(await isBlocked(late)).toBe(true);
    await second.release();
    await (await granted(late)).release();
  });

  test("the datastore and any model exclude each other, both ways", async () => {
    const model = await take("one", web, "shared");
    const structural = await ask("two", all);
    expect(await isBlocked(structural)).toBe(true);
    await model.release();
    const whole = await granted(structural);
    const later = await ask("one", db);
    expect(await isBlocked(later)).toBe(true);
    await whole.release();
    await (await granted(later)).release();
  });

  test("a newcomer queues behind a structural command that waits, on another model too", async () => {
    const model = await take("one", web);
    const structural = await ask("two", all);
    expect(await isBlocked(structural)).toBe(true);
    const newcomer = await ask("one", db);
    expect(await isBlocked(newcomer)).toBe(true);
    await model.release();
    const whole = await granted(structural);
    expect(await isBlocked(newcomer)).toBe(true);
    await whole.release();
    await (await granted(newcomer)).release();
  });

  test("one who holds a model gets another while a structural command waits for it", async () => {
    const first = await take("one", web);
    const structural = await ask("two", all);
    expect(await isBlocked(structural)).toBe(true);
    const second = await granted(await ask("one", db, "exclusive", [first.holding]));
    expect(await isBlocked(structural)).toBe(true);
    await second.release();
    await first.release();
    await (await granted(structural)).release();
  });

  test("waiters of both clients are served in the order in which they came", async () => {
    const held = await take("one", web);
    const places: Place[] = [];
    for (const by of ["two", "one", "two", "one", "two"] as const) {
      const place = await ask(by, web);
      expect(await isBlocked(place)).toBe(true);
      places.push(place);
    }
    const order: number[] = [];
    const served = places.map(async (place, index) => {
      const grant = await granted(place);
      order.push(index);
      await grant.release();
    });
    await held.release();
    await Promise.all(served);
    expect(order).toEqual([0, 1, 2, 3, 4]);
  });

  test("who leaves leaves no gap, and is not shown any more", async () => {
    const held = await take("one", web);
    const [leaver, next] = [await ask("two", web), await ask("one", web)];
    expect(await isBlocked(next)).toBe(true);
    await leaver.leave();
    await leaver.leave();
    expect((await setting.two.inspect(web)).waiting).toHaveLength(1);
    await held.release();
    await (await granted(next)).release();
  });

  test("tokens grow with every exclusive grant, whoever asks, and no release resets them", async () => {
    const tokens: number[] = [];
    for (const by of ["one", "two", "one", "two"] as const) {
      const grant = await take(by, web);
      tokens.push(grant.token);
      await grant.release();
    }
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
    expect(tokens).toHaveLength(4);
  });

  test("a revoked holder is told, and its release leaves the successor's lock alone", async () => {
    const first = await take("one", web);
    expect(await first.check()).toBe("held");
    expect(await setting.two.revoke(web, first.nonce)).toBe(true);
    const second = await take("two", web);
    expect(await first.check()).toBe("lost");
    await first.release();
    expect(await second.check()).toBe("held");
    expect(await isBlocked(await ask("one", web))).toBe(true);
    await second.release();
  });

  test("a nonce that holds nothing revokes nothing", async () => {
    const held = await take("one", web);
    expect(await setting.two.revoke(web, machine.random.uuid())).toBe(false);
    expect(await setting.two.revoke(db, held.nonce)).toBe(false);
    expect(await held.check()).toBe("held");
    await held.release();
    expect(await setting.two.revoke(web, held.nonce)).toBe(false);
  });

  test("either client sees who holds and who waits, and in which place", async () => {
    const held = await take("one", web);
    const structural = await ask("one", all);
    expect(await isBlocked(structural)).toBe(true);
    const waiting = await ask("two", web);
    expect(await isBlocked(waiting)).toBe(true);
    const table = await setting.two.inspect("live");
    const holders = table.held.filter((one) => one.resource.kind === "model");
    expect(holders).toMatchObject([
      { resource: web, state: "held", record: { nonce: held.nonce, token: held.token, pid: process.pid } },
    ]);
    expect(table.waiting.filter((one) => one.resource.kind === "model")).toMatchObject([{ resource: web, place: 1 }]);
    await waiting.leave();
    await structural.leave();
    await held.release();
    expect(await setting.one.inspect("live")).toEqual({ held: [], waiting: [] });
  });

  test("a wait names the one who is in the way", async () => {
    const held = await take("one", web);
    const waiting = await ask("two", web);
    expect(await waiting.attempt()).toMatchObject({
      outcome: "blocked",
      place: 1,
      by: { kind: "holder", record: { nonce: held.nonce, command: "conformance" } },
    });
    await waiting.leave();
    await held.release();
  });

  test("a wait ends at once when its signal fires", async () => {
    const held = await take("one", web);
    const waiting = await ask("two", web);
    expect(await isBlocked(waiting)).toBe(true);
    const stop = new AbortController();
    const wait = waiting.changed(60_000, stop.signal);
    stop.abort(new Error("enough"));
    // It may have seen a change first; if not, it says why it ended.
    await wait.catch((error: unknown) => expect(error).toEqual(new Error("enough")));
    await waiting.leave();
    await held.release();
  });

  test("what a caller says that it handed down is believed only as far as it is true", async () => {
    const held = await take("one", web);
    const forged = { ...held.holding, nonce: machine.random.uuid() };
    expect((await setting.two.inherit([forged])).holdings).toEqual([]);
    await held.release();
    expect((await setting.two.inherit([held.holding])).holdings).toEqual([]);
  });

  test("an unreadable record is shown, is waited for, and can be cleared", async () => {
    await setting.spoil();
    expect((await setting.one.inspect("all")).held).toMatchObject([{ resource: web, state: "unreadable" }]);
    const waiting = await ask("two", web);
    expect(await waiting.attempt()).toMatchObject({ outcome: "blocked", by: { kind: "foreign" } });
    expect(await setting.one.revoke(web, undefined)).toBe(true);
    const grant = await granted(waiting);
    expect(await grant.check()).toBe("held");
    await grant.release();
  });
});
