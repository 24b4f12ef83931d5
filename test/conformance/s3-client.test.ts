/** Who we are to the store, what its clock says, and what its refusals mean. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, inject, test, vi } from "vitest";
import type { Machine } from "../../src/kernel/machine.ts";
import { S3Client } from "../../src/store/drivers/s3/client.ts";
import { S3Objects } from "../../src/store/drivers/s3/objects.ts";
import type { S3Settings } from "../../src/store/drivers/s3/place.ts";
import { type ClientSettings, clientOf, machineFor, makeBucket, newPrefix, testOptions } from "../support/s3-client.ts";
import { type Seen, startDouble } from "../support/s3-double.ts";

beforeAll(() => makeBucket(inject("s3"), "conformance"));
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const limit = { maxBytes: 1000 };

async function objects(settings: ClientSettings = {}): Promise<S3Objects> {
  return new S3Objects(await clientOf(inject("s3"), { prefix: newPrefix(), ...settings }));
}

function machineWith(env: Record<string, string>): Machine {
  const machine = machineFor(inject("s3"));
  return { ...machine, host: { ...machine.host, env: { HOME: "/none", AWS_EC2_METADATA_DISABLED: "true", ...env } } };
}

describe("credentials", () => {
  test("keys of a profile in the shared file", async () => {
    const folder = mkdtempSync(join(tmpdir(), "fen-aws-"));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
    const { accessKeyId, secretAccessKey } = inject("s3");
    const file = join(folder, "credentials");
    writeFileSync(file, `[team]\naws_access_key_id=${accessKeyId}\naws_secret_access_key=${secretAccessKey}\n`);
    // The chain looks into the environment of the process itself.
    const env = { AWS_PROFILE: "team", AWS_SHARED_CREDENTIALS_FILE: file, AWS_CONFIG_FILE: join(folder, "config") };
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    ends.push(() => vi.unstubAllEnvs());
    const mine = await objects({ machine: machineWith(env) });
    await mine.put("a", Buffer.from("x"));
    expect(await mine.get("a", limit)).toEqual(Buffer.from("x"));
  });

  test("a wrong key is said to be denied, not absent", async () => {
    const machine = machineWith({ AWS_ACCESS_KEY_ID: inject("s3").accessKeyId, AWS_SECRET_ACCESS_KEY: "wrong" });
    await expect((await objects({ machine })).get("a", limit)).rejects.toMatchObject({
      code: "store_denied",
      message: expect.stringMatching(/SignatureDoesNotMatch/),
    });
  });

  const expired = () => ({ status: 400, code: "ExpiredToken" });
  test("those that expire in the middle of a run are asked for anew, once", async () => {
    const isOld = ({ headers }: Seen) => headers.authorization?.includes("Credential=old") === true;
    const double = await startDouble({ intercept: (seen) => (isOld(seen) ? expired() : undefined) });
    ends.push(() => double.close());
    const { place, machine } = await clientOf(double);
    const asked: boolean[] = [];
    const client = new S3Client(place, machine, testOptions, async ({ renew }) => {
      asked.push(renew);
      return { accessKeyId: asked.includes(true) ? "new" : "old", secretAccessKey: "x" };
    });
    await new S3Objects(client).put("a", Buffer.from("x"));
    expect(asked).toEqual([false, true]);
    double.options = { intercept: expired };
    await expect(new S3Objects(client).get("a", limit)).rejects.toMatchObject({ code: "store_denied" });
    expect(asked).toEqual([false, true, false, true]);
  });
});

describe("clocks", () => {
  test.each([-3_600_000, 3_600_000])("one that is off by %i ms signs by the store's", async (offMs) => {
    const machine = machineFor(inject("s3"));
    const clock = { ...machine.clock, now: () => machine.clock.now() + offMs };
    const client = await clientOf(inject("s3"), { prefix: newPrefix(), machine: { ...machine, clock } });
    const mine = new S3Objects(client);
    await mine.put("a", Buffer.from("x"));
    expect(client.sent.put).toBe(2);
    expect(await mine.get("a", limit)).toEqual(Buffer.from("x"));
    expect(client.sent.get).toBe(1);
  });
});

describe("refusals", () => {
  test("a bucket that isn't there is no absence of an object", async () => {
    const mine = await objects({ bucket: "there-is-none" });
    const missing = { code: "datastore_invalid", message: expect.stringMatching(/no bucket there-is-none/) };
    await expect(mine.get("a", limit)).rejects.toMatchObject(missing);
    await expect(mine.head("a")).rejects.toMatchObject(missing);
    await expect(mine.put("a", Buffer.from("x"))).rejects.toMatchObject(missing);
  });

  test("a bucket of another region is named with it", async () => {
    const double = await startDouble({
      intercept: () => ({ status: 301, code: "PermanentRedirect", headers: { "x-amz-bucket-region": "eu-west-3" } }),
    });
    ends.push(() => double.close());
    const mine = new S3Objects(await clientOf(double));
    await expect(mine.get("a", limit)).rejects.toMatchObject({
      code: "datastore_invalid",
      hint: expect.stringMatching(/eu-west-3/),
    });
  });

  test("an answer that is no S3 answer is not taken for one", async () => {
    const double = await startDouble({ intercept: () => ({ status: 200, code: "" }) });
    ends.push(() => double.close());
    const list = async () => {
      for await (const { path } of new S3Objects(await clientOf(double)).list("")) throw new Error(path);
    };
    await expect(list()).rejects.toMatchObject({ code: "store_refused" });
  });
});

test("no secret in what an error says", async () => {
  const { secretAccessKey, accessKeyId } = inject("s3");
  const settings: Partial<S3Settings> = { bucket: "there-is-none" };
  const error = await (await objects(settings)).get("a", limit).catch((thrown: unknown) => thrown);
  const said = JSON.stringify(error, Object.getOwnPropertyNames(error));
  expect(said).not.toContain(secretAccessKey);
  expect(said).not.toContain(accessKeyId);
});
