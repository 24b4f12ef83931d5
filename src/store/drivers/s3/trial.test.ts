/** Which stores are taken for a datastore, and which are refused and why, by doubles that lack this or that; real ones: test/conformance/s3-trial.test.ts. */
import { afterEach, describe, expect, test } from "vitest";
import { clientOf, tryOn } from "../../../../test/support/s3-client.ts";
import { type DoubleOptions, type S3Double, startDouble } from "../../../../test/support/s3-double.ts";
import { capabilitiesOf, parseVerdict, verdictText } from "./trial.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function double(options: DoubleOptions = {}): Promise<S3Double> {
  const server = await startDouble(options);
  ends.push(() => server.close());
  return server;
}

const unsuited = (reason: RegExp) => ({ code: "store_unsuited", message: expect.stringMatching(reason) });

describe("taken", () => {
  test("a double that does as AWS documents: quoted etags, 404, 409 for some of those who race, conditions on DELETE", async () => {
    const server = await double({ conflicts: 0.3 });
    expect(await tryOn(server)).toEqual({ etagForm: "quoted", conditionalDelete: "works", versioned: false });
    expect(server.objects.size).toBe(0);
  });

  test("the verdict is kept in the datastore: the next client reads it and tries nothing", async () => {
    const server = await double();
    const settings = { prefix: "p" };
    const [one, two] = [await clientOf(server, settings), await clientOf(server, settings)];
    ends.push(
      () => one.close(),
      () => two.close(),
    );
    const first = await capabilitiesOf(one, () => two);
    const before = server.seen.length;
    const later = await clientOf(server, settings);
    ends.push(() => later.close());
    const none = () => {
      throw new Error("it is tried again");
    };
    expect(await capabilitiesOf(later, none)).toEqual(first);
    expect(server.seen.length - before).toBe(1);
  });
});

test("a verdict is read as it was written, and nothing else is taken for one", () => {
  const verdict = { etagForm: "bare", conditionalDelete: "works", versioned: true, expiredBy: "tidy" } as const;
  expect(parseVerdict(verdictText(verdict))).toEqual(verdict);
  for (const text of ["", "[]", "{}", '{"version":2,"etagForm":"bare"}', '{"version":1,"etagForm":"odd"}'])
    expect(parseVerdict(text)).toBeUndefined();
});

describe("warned of", () => {
  test("a bucket that keeps every version is told", async () => {
    expect(await tryOn(await double({ versioned: true }))).toMatchObject({ versioned: true });
  });

  test.each([
    ["for the whole bucket", "<Filter/>"],
    ["for a prefix above ours", "<Filter><Prefix>te</Prefix></Filter>"],
    ["for a prefix of ours, in the old form", "<Prefix>test/</Prefix>"],
  ])("a lifecycle rule that removes our objects is named: %s", async (_, filter) => {
    const lifecycle = `<LifecycleConfiguration><Rule><ID>tidy</ID>${filter}<Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>`;
    expect(await tryOn(await double({ lifecycle }))).toMatchObject({ expiredBy: "tidy" });
  });

  test.each([
    ["is off", "<Status>Disabled</Status><Expiration/>"],
    ["is about other objects", "<Filter><Prefix>other/</Prefix></Filter><Status>Enabled</Status><Expiration/>"],
    ["removes only old versions", "<Status>Enabled</Status><NoncurrentVersionExpiration/>"],
  ])("a lifecycle rule that %s is left alone", async (_, rule) => {
    const lifecycle = `<LifecycleConfiguration><Rule><ID>x</ID>${rule}</Rule></LifecycleConfiguration>`;
    expect(await tryOn(await double({ lifecycle }))).not.toHaveProperty("expiredBy");
  });
});

describe("refused", () => {
  test("a double that answers 501 to conditions, as Swift's S3 interface does", async () => {
    const tried = tryOn(await double({ conditions: "refused" }));
    await expect(tried).rejects.toMatchObject(unsuited(/can't do what a datastore needs/));
  });

  test("one that knows no etag in any form", async () => {
    await expect(tryOn(await double({ etags: "none" }))).rejects.toMatchObject(
      unsuited(/on the condition of its etag/),
    );
  });

  test("one that creates on condition, but replaces whatever the etag", async () => {
    const server = await double({
      intercept: ({ headers, method }) => {
        if (method === "PUT" && headers["if-match"] !== undefined) delete headers["if-match"];
        return undefined;
      },
    });
    await expect(tryOn(server)).rejects.toMatchObject(unsuited(/ignores the condition .*etag/));
  });

  test("one whose check and write are apart: of those who race several are told that they won", async () => {
    const server = await double({
      intercept: ({ headers, key, body }) => {
        // Whatever they know, the racers' conditions hold.
        if (key.endsWith("/race") && body.length > 0) {
          delete headers["if-match"];
          delete headers["if-none-match"];
        }
        return undefined;
      },
    });
    await expect(tryOn(server)).rejects.toMatchObject(unsuited(/more than one was told/));
  });

  test("one that says that it refused a change, and made it", async () => {
    const server = await double({
      intercept: ({ key, body }) =>
        key.endsWith("/race") && body.length > 0 ? { status: 412, code: "PreconditionFailed", done: true } : undefined,
    });
    await expect(tryOn(server)).rejects.toMatchObject(unsuited(/a change that was refused was made/));
  });

  test("one whose lists are late", async () => {
    await expect(tryOn(await double({ lists: "late" }))).rejects.toMatchObject(unsuited(/a list doesn't show/));
  });

  test("one that doesn't let us delete says so: a word that names the permission", async () => {
    await expect(tryOn(await double({ deletes: "denied" }))).rejects.toMatchObject({
      code: "store_denied",
      message: expect.stringMatching(/doesn't let us delete/),
    });
  });
});
