/** `datastore setup`: the place is tried, then the marker names it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runFen, type Scratch, scratchRepo } from "../../support/cli.ts";
import { documentOf, errorOf, textOf } from "../../support/documents.ts";
import { type DoubleOptions, type S3Double, startDouble } from "../../support/s3-double.ts";

let repo: Scratch;
const ends: (() => unknown)[] = [];
beforeEach(async () => {
  repo = await scratchRepo();
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  repo.remove();
});

const marker = () => readFileSync(join(repo.path, ".swamp.yaml"), "utf8");

/** There was nothing to copy. */
const nothing = { filesCopied: 0, bytesCopied: 0, filesThere: 0 };

async function double(options: DoubleOptions = {}): Promise<{ server: S3Double; env: Record<string, string> }> {
  const server = await startDouble(options);
  ends.push(() => server.close());
  const { accessKeyId, secretAccessKey } = server;
  return { server, env: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } };
}

describe("datastore setup s3", () => {
  test("tries the store, says what it can do, and is what the next command uses; comments in the marker stay", async () => {
    const { server, env } = await double();
    writeFileSync(join(repo.path, ".swamp.yaml"), `# ours\n${marker()}`);
    const command = `datastore setup s3 --bucket fleet --prefix team/a --region eu-central-1 --endpoint ${server.endpoint}`;
    expect(await documentOf(repo, command, { env })).toEqual({
      type: "s3",
      path: expect.stringMatching(/^s3:\/\/fleet\/team\/a at 127\.0\.0\.1/),
      bucket: "fleet",
      prefix: "team/a",
      region: "eu-central-1",
      capabilities: { etagForm: "quoted", conditionalDelete: "works", versioned: false },
      ...nothing,
    });
    expect(marker()).toContain("# ours");
    expect(await documentOf(repo, "datastore status", { env })).toMatchObject({
      type: "s3",
      bucket: "fleet",
      prefix: "team/a",
      region: "eu-central-1",
      healthy: true,
    });
    expect([...server.objects.keys()].every((key) => key.startsWith("team/a/"))).toBe(true);
    expect(await textOf(repo, command, { env })).toMatch(/^set up {2}The datastore is s3:\/\/fleet\/team\/a/);
  });

  describe("credentials that aren't in the environment", () => {
    const config = (text: string) => {
      const path = join(repo.path, "aws-config");
      writeFileSync(path, text);
      const none = { AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "", AWS_EC2_METADATA_DISABLED: "true" };
      return { ...none, HOME: repo.path, AWS_CONFIG_FILE: path, AWS_SHARED_CREDENTIALS_FILE: path };
    };

    test("a profile's are used", async () => {
      const { server } = await double();
      const env = config(
        `[default]\naws_access_key_id = ${server.accessKeyId}\naws_secret_access_key = ${server.secretAccessKey}\n`,
      );
      const command = `datastore setup s3 --bucket fleet --region eu-central-1 --endpoint ${server.endpoint}`;
      expect(await documentOf(repo, command, { env })).toMatchObject({ type: "s3" });
      expect(server.objects.size).toBeGreaterThan(0);
    });

    test.each([
      ["none anywhere", {}, /could not load credentials/i],
      ["a profile that isn't there", { AWS_PROFILE: "nope" }, /nope/],
    ])("%s: an error that says so", async (_, more, message) => {
      const { server } = await double();
      const command = `datastore setup s3 --bucket fleet --region eu-central-1 --endpoint ${server.endpoint}`;
      expect(await errorOf(repo, command, { env: { ...config(""), ...more } })).toMatchObject({
        code: "credentials_missing",
        exitCode: 78,
        message: expect.stringMatching(message),
      });
    });

    test("a role's are asked for, and nothing but our error is on stderr", async () => {
      const role = "[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = base\nregion = eu-central-1\n";
      const base = "[profile base]\naws_access_key_id = a\naws_secret_access_key = b\n";
      const env = { ...config(role + base), AWS_PROFILE: "role", AWS_ENDPOINT_URL_STS: "http://127.0.0.1:9" };
      const { server } = await double();
      const words = ["datastore", "setup", "s3", "--bucket", "fleet", "--endpoint", server.endpoint, "--json"];
      const { stderr } = await runFen(words, { cwd: repo.path, env });
      expect(JSON.parse(stderr)).toMatchObject({ error: { code: "credentials_missing" } });
    });
  });

  test("a store whose conditions don't work is refused with the reason, and the marker is as it was", async () => {
    const { server, env } = await double({ conditions: "ignored" });
    const before = marker();
    const command = `datastore setup s3 --bucket fleet --endpoint ${server.endpoint}`;
    expect(await errorOf(repo, command, { env })).toMatchObject({
      code: "store_unsuited",
      exitCode: 69,
      message: expect.stringMatching(/ignores the condition/),
    });
    expect(marker()).toBe(before);
  });

  test("a bucket that keeps everything, or that throws away, is warned of", async () => {
    const lifecycle = `<LifecycleConfiguration><Rule><ID>tidy</ID><Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>`;
    const { server, env } = await double({ versioned: true, lifecycle });
    const document = await documentOf(repo, `datastore setup s3 --bucket fleet --endpoint ${server.endpoint}`, { env });
    expect(document).toMatchObject({ capabilities: { versioned: true, expiredBy: "tidy" } });
  });

  test.each([
    ["datastore setup s3", "usage", 2],
    ["datastore setup s3 --bucket Fleet", "datastore_invalid", 78],
    ["datastore setup s3 --bucket fleet --endpoint http://s3.example.net", "datastore_invalid", 78],
    ["datastore setup filesystem", "usage", 2],
    ["datastore setup filesystem --path .swamp.yaml", "store_unavailable", 69],
  ])("refuses %s", async (command, code, exitCode) => {
    expect(await errorOf(repo, command)).toMatchObject({ code, exitCode });
  });
});

describe("datastore setup filesystem", () => {
  test("names a folder, relative to the repository or absolute, and is what the next command uses", async () => {
    const folder = mkdtempSync(join(tmpdir(), "fen-store-"));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
    expect(await documentOf(repo, `datastore setup filesystem --path ${folder}`)).toEqual({
      type: "filesystem",
      path: folder,
      ...nothing,
    });
    expect(await documentOf(repo, "datastore status")).toMatchObject({ path: folder });
    expect(await textOf(repo, "datastore setup filesystem --path data-here")).toBe(
      "set up  The datastore is <repo>/data-here now.",
    );
    expect(await documentOf(repo, "datastore status")).toMatchObject({ path: join(repo.path, "data-here") });
  });
});
