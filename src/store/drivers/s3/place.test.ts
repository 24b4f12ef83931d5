import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { systemMachine } from "../../../kernel/machine.ts";
import { placeOf, type S3Settings } from "./place.ts";

function find(settings: Partial<S3Settings> = {}, env: Record<string, string> = {}) {
  const machine = systemMachine("test");
  return placeOf(
    { bucket: "bucket", ...settings },
    { ...machine, host: { ...machine.host, env: { HOME: "/none", ...env } } },
  );
}

const region = { region: "eu-west-1" };

describe("addresses", () => {
  test.each<[string, Partial<S3Settings>, Record<string, string>, object]>([
    [
      "AWS by the name of the bucket",
      region,
      {},
      { host: "bucket.s3.eu-west-1.amazonaws.com", root: "/", port: 443, secure: true },
    ],
    [
      "a bucket with dots by path, since no certificate fits it",
      { ...region, bucket: "a.b" },
      {},
      { host: "s3.eu-west-1.amazonaws.com", root: "/a.b/" },
    ],
    ["China under its own name", { region: "cn-north-1" }, {}, { host: "bucket.s3.cn-north-1.amazonaws.com.cn" }],
    [
      "another endpoint by path",
      { endpoint: "https://s3.example.net:9000/" },
      {},
      { host: "s3.example.net:9000", hostname: "s3.example.net", port: 9000, root: "/bucket/" },
    ],
    [
      "another endpoint by name, where wanted",
      { endpoint: "s3.example.net", forcePathStyle: false },
      {},
      { host: "bucket.s3.example.net", root: "/", secure: true },
    ],
    ["an endpoint below a path", { endpoint: "https://example.net/s3/" }, {}, { root: "/s3/bucket/" }],
    [
      "the endpoint of the environment",
      {},
      { AWS_ENDPOINT_URL: "https://a.example", AWS_ENDPOINT_URL_S3: "https://b.example" },
      { host: "b.example" },
    ],
    [
      "settings before the environment",
      { endpoint: "https://c.example" },
      { AWS_ENDPOINT_URL_S3: "https://b.example" },
      { host: "c.example" },
    ],
    [
      "IPv6 on loopback without TLS",
      { endpoint: "http://[::1]:9000" },
      {},
      { host: "[::1]:9000", hostname: "::1", secure: false },
    ],
  ])("%s", async (_, settings, env, expected) => {
    expect(await find(settings, env)).toMatchObject(expected);
  });

  test.each(["http://127.0.0.1:9000", "http://localhost:9000", "http://127.9.9.9"])(
    "%s needs no TLS",
    async (endpoint) => {
      expect(await find({ endpoint })).toMatchObject({ secure: false });
    },
  );

  test.each([
    "http://s3.example.net",
    "http://127.0.0.1.example.net",
    "http://10.0.0.1:9000",
    "http://localhost.example.net",
  ])("%s is spoken to only where plain http is asked for", async (endpoint) => {
    await expect(find({ endpoint })).rejects.toMatchObject({
      code: "datastore_invalid",
      message: expect.stringMatching(/isn't encrypted/),
    });
    expect(await find({ endpoint, allowHttp: true })).toMatchObject({ secure: false });
  });

  test("people see where it is, without credentials", async () => {
    expect((await find({ prefix: "/a/b/", ...region })).location).toBe("s3://bucket/a/b");
    await expect(find({ endpoint: "https://me:secret@example.net" })).rejects.not.toMatchObject({
      message: expect.stringMatching(/secret/),
    });
  });
});

describe("regions", () => {
  test("settings, then the environment, then the profile, then a default", async () => {
    const folder = mkdtempSync(join(tmpdir(), "fen-place-"));
    const config = join(folder, "config");
    writeFileSync(config, "[default]\nregion = eu-central-1\n[profile other]\noutput=json\nregion=eu-north-1 # here\n");
    try {
      const env = { AWS_CONFIG_FILE: config };
      expect((await find({}, env)).region).toBe("eu-central-1");
      expect((await find({}, { ...env, AWS_PROFILE: "other" })).region).toBe("eu-north-1");
      expect((await find({}, { ...env, AWS_REGION: "us-west-2" })).region).toBe("us-west-2");
      expect((await find({ region: "sa-east-1" }, { ...env, AWS_REGION: "us-west-2" })).region).toBe("sa-east-1");
      expect((await find({}, { AWS_CONFIG_FILE: join(folder, "none") })).region).toBe("us-east-1");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

test.each<[string, Partial<S3Settings>]>([
  ["a bucket in capitals", { bucket: "Bucket" }],
  ["a bucket that is a path", { bucket: "a/../b" }],
  ["a bucket with two dots", { bucket: "a..b" }],
  ["a prefix that leads up", { prefix: "a/../b" }],
  ["a prefix with an empty name", { prefix: "a//b" }],
  ["an endpoint of another kind", { endpoint: "ftp://example.net" }],
  ["an endpoint with a query", { endpoint: "https://example.net/?x=1" }],
])("%s is refused", async (_, settings) => {
  await expect(find(settings)).rejects.toMatchObject({ code: "datastore_invalid" });
});
