/** The S3 client against a real server behind a proxy that breaks things: what is known, what is unknown, and never a guess. */
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { FenError } from "../../src/kernel/errors.ts";
import { CasLocks } from "../../src/lock/cas/locks.ts";
import { claimOf } from "../../src/lock/manager.ts";
import type { Grant, Resource } from "../../src/store/contract.ts";
import type { ConditionalStore } from "../../src/store/conditional.ts";
import { S3ConditionalStore } from "../../src/store/drivers/s3/conditional.ts";
import { Chance } from "../support/chance.ts";
import { type ClientSettings, clientOf, machineFor, makeBucket, newPrefix } from "../support/s3-client.ts";
import type { S3Server } from "../support/s3-server.ts";
import { byChance, type Fault, first, type S3Proxy, startProxy } from "../support/s3-proxy.ts";

const quick = { limits: { wholeMs: 1200, quietMs: 600 } };
let proxy: S3Proxy;
beforeAll(async () => {
  await makeBucket(inject("s3"), "conformance");
  proxy = await startProxy(inject("s3"));
});
afterAll(() => proxy.close());
afterEach(() => {
  proxy.options = {};
});

/** Two clients behind the proxy and one that isn't, on the same objects. */
async function open(settings: ClientSettings = {}): Promise<Record<"broken" | "other" | "direct", ConditionalStore>> {
  const prefix = newPrefix();
  const storeOn = async (server: S3Server, more: ClientSettings) =>
    new S3ConditionalStore(await clientOf(server, { prefix, ...more }), { folder: ".fen", etagForm: "bare" });
  return {
    broken: await storeOn(proxy, { ...quick, ...settings }),
    other: await storeOn(proxy, { ...quick, ...settings }),
    direct: await storeOn(inject("s3"), {}),
  };
}

const every: readonly Fault[] = [
  "lost request",
  "lost answer",
  "cut answer",
  "hang",
  "hang after",
  "slow answer",
  409,
  500,
  503,
  "done 500",
];

describe("reads", () => {
  test.each(every)("one that meets %s is asked again, and gives what is there", async (fault) => {
    const { broken, direct } = await open();
    await direct.put("a", "x".repeat(200), { ifAbsent: true });
    proxy.options.fault = first(1, fault);
    expect((await broken.get("a"))?.body).toBe("x".repeat(200));
    proxy.options.fault = first(1, fault);
    expect(await broken.list("a")).toHaveLength(1);
  });

  test.each(every)(
    "lock-66, lock-80: where every attempt meets %s it fails within its time, and says nothing of absence",
    async (fault) => {
      const { broken, direct } = await open({ attempts: 2 });
      await direct.put("a", "x".repeat(200), { ifAbsent: true });
      proxy.options.fault = () => fault;
      const start = performance.now();
      await expect(broken.get("a")).rejects.toMatchObject({ code: "store_unavailable" });
      await expect(broken.list("a")).rejects.toMatchObject({ code: "store_unavailable" });
      expect(performance.now() - start).toBeLessThan(15_000);
    },
  );

  test("a 404 that the store didn't write is no absence", async () => {
    const { broken } = await open({ attempts: 2 });
    proxy.options.fault = () => "not S3";
    await expect(broken.get("a")).rejects.toMatchObject({ code: "store_refused" });
  });

  test("lock-80: silence is noticed long before the whole time is over, which a large object needs", async () => {
    const { broken, direct } = await open({ attempts: 1, limits: { wholeMs: 600_000, quietMs: 300 } });
    await direct.put("a", "x", { ifAbsent: true });
    proxy.options.fault = () => "hang";
    await expect(broken.get("a")).rejects.toMatchObject({
      code: "store_unavailable",
      message: expect.stringMatching(/nothing came/),
    });
  });

  test("where nobody listens the error says so, and that nothing was heard", async () => {
    const gone = await startProxy(inject("s3"));
    await gone.close();
    const client = await clientOf(gone, { ...quick, attempts: 2 });
    const store = new S3ConditionalStore(client, { folder: ".fen", etagForm: "bare" });
    await expect(store.get("a")).rejects.toMatchObject({
      code: "store_unavailable",
      message: expect.stringMatching(/No answer from/),
    });
  });
});

describe("writes on condition", () => {
  test.each([409, 503] as const)(
    "lock-25: what was turned away with %i is tried again, and is done once",
    async (fault) => {
      const { broken, direct } = await open();
      proxy.options.fault = first(2, fault);
      expect(await broken.put("a", "1", { ifAbsent: true })).toMatchObject({ outcome: "done" });
      expect((await direct.get("a"))?.body).toBe("1");
    },
  );

  const isDone: readonly (readonly [Fault, boolean])[] = [
    ["lost request", false],
    ["hang", false],
    [500, false],
    ["lost answer", true],
    ["hang after", true],
    ["done 500", true],
  ];
  test.each(isDone)("after %s it says that nobody knows, and doesn't try again (done: %s)", async (fault, done) => {
    const { broken, direct } = await open();
    proxy.options.fault = first(1, fault);
    const before = proxy.passed.length;
    const error = await broken.put("a", "1", { ifAbsent: true }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "store_unavailable", facts: { unknown: true } });
    expect(error instanceof FenError && error.retryable).toBe(true);
    expect(proxy.passed.length - before).toBe(1);
    expect((await direct.get("a")) !== undefined).toBe(done);
  });

  test("one that was turned away and then broke off is unknown, not refused", async () => {
    const { broken, direct } = await open();
    const faults: (Fault | undefined)[] = [503, "lost answer"];
    proxy.options.fault = () => faults.shift();
    await expect(broken.put("a", "1", { ifAbsent: true })).rejects.toMatchObject({ facts: { unknown: true } });
    expect((await direct.get("a"))?.body).toBe("1");
  });

  test.each(["lost answer", "lost request", 500, 503] as const)(
    "a removal that meets %s is asked for again",
    async (fault) => {
      const { broken, direct } = await open();
      await direct.put("a", "1", { ifAbsent: true });
      proxy.options.fault = first(1, fault);
      await broken.remove("a");
      expect(await direct.get("a")).toBeUndefined();
    },
  );

  test.each([1, 2, 3, 4, 5, 6])(
    "seed %i: a counter that two clients raise counts what was done, and no more than may have been",
    async (seed) => {
      const { broken, other, direct } = await open();
      const chance = new Chance(seed);
      proxy.options.fault = byChance(chance, 0.25, [
        "lost request",
        "lost answer",
        "cut answer",
        409,
        500,
        503,
        "done 500",
      ]);
      let [done, unknown] = [0, 0];
      const raise = async (store: ConditionalStore, name: string) => {
        for (let turn = 0; turn < 12; turn++) {
          try {
            const found = await store.get("count");
            const count = Number(found?.body.split(" ")[0] ?? 0) + 1;
            const condition = found === undefined ? { ifAbsent: true as const } : { ifMatch: found.etag };
            if ((await store.put("count", `${count} ${name} ${turn}`, condition)).outcome === "done") done++;
          } catch (error) {
            if (!(error instanceof FenError) || error.code !== "store_unavailable") throw error;
            unknown++;
          }
        }
      };
      await Promise.all([raise(broken, "one"), raise(other, "two"), raise(other, "three")]);
      const total = Number((await direct.get("count"))?.body.split(" ")[0] ?? 0);
      expect(total).toBeGreaterThanOrEqual(done);
      expect(total).toBeLessThanOrEqual(done + unknown);
      expect(done).toBeGreaterThan(0);
    },
  );
});

describe("the profile of 60 ms", () => {
  test("every request takes as long as the way there and back", async () => {
    const { broken } = await open();
    await broken.get("warm");
    proxy.options.latencyMs = 60;
    const start = performance.now();
    for (let count = 0; count < 5; count++) await broken.get("a");
    expect(performance.now() - start).toBeGreaterThanOrEqual(5 * 58);
  });
});

describe("locks behind it", () => {
  const web: Resource = { kind: "model", type: "command/shell", id: "a0000000-0000-4000-a000-000000000001" };

  test.each([1, 2])("seed %i: of those who want one lock one has it at a time, and all get it", async (seed) => {
    const { broken: store } = await open();
    const machine = machineFor(inject("s3"));
    proxy.options = {
      latencyMs: 4,
      fault: byChance(new Chance(seed), 0.08, ["lost request", "lost answer", 409, 500, 503, "done 500"]),
    };
    let inside = 0;
    let turns = 0;
    const take = async (): Promise<Grant> => {
      const place = await new CasLocks(store, machine, { ttlMs: 3000 }).join(
        web,
        "exclusive",
        claimOf(machine, { owner: machine.random.uuid(), within: [] }),
      );
      for (;;) {
        const attempt = await place.attempt();
        if (attempt.outcome === "granted") return attempt.grant;
        await place.changed(1000, AbortSignal.timeout(50_000));
      }
    };
    const worker = async () => {
      for (let turn = 0; turn < 3; turn++) {
        const grant = await take();
        expect(++inside).toBe(1);
        await new Promise((resolve) => setTimeout(resolve, 5));
        turns++;
        inside--;
        await grant.release();
      }
    };
    await Promise.all([worker(), worker(), worker()]);
    expect(turns).toBe(9);
  });
});
