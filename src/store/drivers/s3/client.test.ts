/** One request and what becomes of it, against a server in memory: what may be asked again, what is known, what isn't. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { clientOf, machineFor, testOptions } from "../../../../test/support/s3-client.ts";
import { type Fault, type S3Double, type Seen, startDouble } from "../../../../test/support/s3-double.ts";
import { FenError } from "../../../kernel/errors.ts";
import { S3Client } from "./client.ts";
import { S3ConditionalStore } from "./conditional.ts";

let double: S3Double;
beforeEach(async () => {
  double = await startDouble();
});
afterEach(() => double.close());

const storeOn = async (etagForm: "quoted" | "bare" = "quoted", maxBytes?: number) =>
  new S3ConditionalStore(await clientOf(double, { prefix: "p" }), {
    folder: ".fen",
    etagForm,
    ...(maxBytes === undefined ? {} : { maxBytes }),
  });

/** These, one after the other, for what is about objects; then the server as it is. */
function faults(...given: (Fault | undefined)[]): void {
  const left = [...given];
  double.options = { ...double.options, intercept: ({ key }: Seen) => (key === "" ? undefined : left.shift()) };
}

const unknown = { code: "store_unavailable", facts: { unknown: true } };

describe("a write on condition", () => {
  test("whose answer is a failure though it was done is unknown, and isn't sent again", async () => {
    const store = await storeOn();
    faults({ status: 500, code: "InternalError", done: true });
    await expect(store.put("a", "1", { ifAbsent: true })).rejects.toMatchObject(unknown);
    expect(double.seen).toHaveLength(1);
    expect((await store.get("a"))?.body).toBe("1");
  });

  test("that was turned away and then failed is unknown, not refused", async () => {
    const store = await storeOn();
    faults({ status: 503, code: "SlowDown" }, { status: 500, code: "InternalError", done: true });
    await expect(store.put("a", "1", { ifAbsent: true })).rejects.toMatchObject(unknown);
    expect(double.seen).toHaveLength(2);
  });

  test("that met another one under way (409) is sent again", async () => {
    const store = await storeOn();
    faults({ status: 409, code: "ConditionalRequestConflict" });
    expect(await store.put("a", "1", { ifAbsent: true })).toMatchObject({ outcome: "done" });
  });

  test.each(["quoted", "bare"] as const)("names the etag as the store was found to want it: %s", async (form) => {
    double.options = { etags: form };
    const store = await storeOn(form);
    const first = await store.put("a", "1", { ifAbsent: true });
    const etag = first.outcome === "done" ? first.etag : "";
    expect(etag).not.toContain('"');
    expect((await store.get("a"))?.etag).toBe(etag);
    expect((await store.list("a"))[0]?.etag).toBe(etag);
    expect(await store.put("a", "2", { ifMatch: etag })).toMatchObject({ outcome: "done" });
    expect(await store.put("a", "3", { ifMatch: etag })).toEqual({ outcome: "refused" });
  });

  test("on the condition that there is none is refused where there is one, whoever put it", async () => {
    const store = await storeOn();
    await store.put("a", "1", { ifAbsent: true });
    expect(await (await storeOn()).put("a", "2", { ifAbsent: true })).toEqual({ outcome: "refused" });
    expect((await store.get("a"))?.body).toBe("1");
  });

  test("on the etag of what isn't there is refused, not a failure", async () => {
    expect(await (await storeOn()).put("a", "1", { ifMatch: "x" })).toEqual({ outcome: "refused" });
  });
});

describe("an etag that something between has changed", () => {
  test("is told as that: nobody reads and writes for ever", async () => {
    const store = await storeOn();
    await store.put("a", "0", { ifAbsent: true });
    const headers = { etag: '"0123456789abcdef0123456789abcdef"' };
    double.options = { intercept: ({ method }) => (method === "GET" ? { status: 200, headers } : undefined) };
    const change = async () => {
      for (let turn = 0; turn < 100; turn++) {
        const { etag = "" } = (await store.get("a")) ?? {};
        if ((await store.put("a", "1", { ifMatch: etag })).outcome === "done") return;
      }
    };
    await expect(change()).rejects.toMatchObject({
      code: "store_refused",
      message: expect.stringContaining("refuses"),
    });
    expect(double.seen.length).toBeLessThan(60);
  });

  test("and so is a store that says there is none, and doesn't let one be made", async () => {
    const store = await storeOn();
    const refuse = { status: 412, code: "PreconditionFailed" };
    double.options = { intercept: ({ method }) => (method === "PUT" ? refuse : undefined) };
    const make = async () => {
      for (let turn = 0; turn < 100 && (await store.get("a")) === undefined; turn++)
        await store.put("a", "1", { ifAbsent: true });
    };
    await expect(make()).rejects.toMatchObject({ code: "store_refused" });
  });

  test("is no contradiction where others are faster", async () => {
    const [store, other] = [await storeOn(), await storeOn()];
    await store.put("a", "0", { ifAbsent: true });
    for (let turn = 0; turn < 50; turn++) {
      const { etag = "" } = (await store.get("a")) ?? {};
      await other.put("a", `other ${turn}`, { ifMatch: etag });
      expect(await store.put("a", "1", { ifMatch: etag })).toEqual({ outcome: "refused" });
    }
  });
});

describe("a read", () => {
  test.each([
    { status: 404 },
    { status: 404, code: "NoSuchBucket" },
    { status: 403, code: "AccessDenied" },
    { status: 500, code: "InternalError" },
    { status: 503, code: "SlowDown" },
  ])("that fails with %j is no absence", async (fault) => {
    const store = await storeOn();
    await store.put("a", "1", { ifAbsent: true });
    faults(...Array.from({ length: 10 }, () => fault));
    await expect(store.get("a")).rejects.toBeInstanceOf(FenError);
  });

  test("that fails once is asked again, and only a 404 of the store itself is an absence", async () => {
    const store = await storeOn();
    await store.put("a", "1", { ifAbsent: true });
    faults({ status: 500, code: "InternalError" });
    expect((await store.get("a"))?.body).toBe("1");
    expect(await store.get("none")).toBeUndefined();
  });

  test("is ended where more comes than it may hold", async () => {
    const store = await storeOn("quoted", 100);
    await (await storeOn()).put("a", "x".repeat(101), { ifAbsent: true });
    await expect(store.get("a")).rejects.toMatchObject({ code: "file_too_large" });
  });

  test("is asked so often and no more", async () => {
    const store = await storeOn();
    faults(...Array.from({ length: 20 }, () => ({ status: 503, code: "SlowDown" })));
    await expect(store.get("a")).rejects.toMatchObject({ code: "store_unavailable" });
    expect(double.seen).toHaveLength(testOptions.attempts);
  });
});

describe("a list", () => {
  test("goes on over all its pages, and a part of it is never the whole", async () => {
    double.options = { pageSize: 3 };
    const store = await storeOn();
    for (let number = 0; number < 8; number++) await store.put(`a/${number}`, "1", { ifAbsent: true });
    expect(await store.list("a/")).toHaveLength(8);
  });
});

describe("what we are to the store", () => {
  test("credentials that have expired are asked for anew, once for each request", async () => {
    const { place, machine } = await clientOf(double);
    const asked: boolean[] = [];
    const client = new S3Client(place, machine, testOptions, async ({ renew }) => {
      asked.push(renew);
      return { accessKeyId: renew ? "new" : "old", secretAccessKey: "x" };
    });
    const read = { method: "GET", key: "a", what: "read a", repeat: "always" } as const;
    double.options = {
      intercept: ({ headers }) =>
        headers.authorization?.includes("Credential=old") === true ? { status: 400, code: "ExpiredToken" } : undefined,
    };
    expect(await client.send(read)).toEqual({ is: "absent" });
    expect(asked).toEqual([false, true]);
    double.options = { intercept: () => ({ status: 400, code: "ExpiredToken" }) };
    await expect(client.send(read)).rejects.toMatchObject({ code: "store_denied" });
    expect(asked).toEqual([false, true, false, true]);
  });

  test("that they have expired is heard also where the answer has no words", async () => {
    const { place, machine } = await clientOf(double);
    const client = new S3Client(place, machine, testOptions, async ({ renew }) => {
      if (renew) isExpired = false;
      return { accessKeyId: "a", secretAccessKey: "x" };
    });
    let isExpired = false;
    await client.send({ method: "PUT", key: "a", what: "write a", repeat: "always" });
    isExpired = true;
    double.options = { intercept: () => (isExpired ? { status: 400, code: "ExpiredToken" } : undefined) };
    const look = client.send({ method: "HEAD", key: "a", what: "look at a", repeat: "always" });
    expect(await look).toMatchObject({ is: "success" });
  });

  const off = 3_600_000;
  /** As a store whose clock is right: by what a request was signed with. */
  const skewed = ({ headers }: Seen): Fault | undefined => {
    const [, ...parts] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(String(headers["x-amz-date"])) ?? [];
    const [year = 0, month = 1, ...rest] = parts.map(Number);
    const signed = Date.UTC(year, month - 1, ...rest);
    return Math.abs(signed - Date.now()) > 900_000 ? { status: 403, code: "RequestTimeTooSkewed" } : undefined;
  };

  test("a clock that is off is set once, by what the store says, also for requests that were under way meanwhile", async () => {
    const machine = machineFor(double);
    const clock = { ...machine.clock, now: () => machine.clock.now() - off };
    const client = await clientOf(double, { machine: { ...machine, clock } });
    double.options = { intercept: skewed };
    const read = (key: string) => client.send({ method: "GET", key, what: "read", repeat: "always" });
    expect(await Promise.all(["a", "b", "c"].map(read))).toEqual(["a", "b", "c"].map(() => ({ is: "absent" })));
    const before = double.seen.length;
    expect(await read("a")).toEqual({ is: "absent" });
    expect(double.seen.length - before).toBe(1);
  });

  test("a clock that is set right, or wrong, while the command goes on is followed each time", async () => {
    const machine = machineFor(double);
    let by = -off;
    const clock = { ...machine.clock, now: () => machine.clock.now() + by };
    const client = await clientOf(double, { machine: { ...machine, clock } });
    double.options = { intercept: skewed };
    for (by of [-off, 0, 2 * off, -off])
      expect(await client.send({ method: "GET", key: "a", what: "read", repeat: "always" })).toEqual({ is: "absent" });
  });

  test("a store that refuses every time is told as that, soon", async () => {
    const client = await clientOf(double);
    double.options = { intercept: () => ({ status: 403, code: "RequestTimeTooSkewed" }) };
    const read = client.send({ method: "GET", key: "a", what: "read a", repeat: "always" });
    await expect(read).rejects.toMatchObject({ code: "store_denied", message: expect.stringMatching(/clock/) });
    expect(double.seen.length).toBeLessThanOrEqual(2);
  });
});
