/** Which real stores are taken for a datastore, and which are refused and why; what they may lack else: src/store/drivers/s3/trial.test.ts. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import S3rver from "s3rver";
import { afterEach, expect, inject, test } from "vitest";
import { makeBucket, tryOn } from "../support/s3-client.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const unsuited = (reason: RegExp) => ({ code: "store_unsuited", message: expect.stringMatching(reason) });

test("taken: Ceph, with bare etags; it ignores conditions on DELETE", async () => {
  const server = inject("s3");
  await makeBucket(server, "conformance");
  expect(await tryOn(server)).toEqual({ etagForm: "bare", conditionalDelete: "ignored", versioned: false });
});

test("refused: s3rver, which ignores conditions and would let two commands hold one lock", async () => {
  const directory = mkdtempSync(join(tmpdir(), "fen-s3rver-"));
  const server = new S3rver({
    address: "127.0.0.1",
    port: 0,
    silent: true,
    directory,
    configureBuckets: [{ name: "conformance" }],
  });
  const { port } = await server.run();
  ends.push(async () => {
    await server.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const keys = { accessKeyId: "S3RVER", secretAccessKey: "S3RVER" };
  const tried = tryOn({ endpoint: `http://127.0.0.1:${port}`, region: "us-east-1", ...keys });
  await expect(tried).rejects.toMatchObject(unsuited(/ignores the condition that there is no such object/));
});
