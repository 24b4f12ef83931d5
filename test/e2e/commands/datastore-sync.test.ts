/** `datastore sync`: its document and its errors; what it does is tried on a real server (test/s3/sync.test.ts). */
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Scratch, scratchRepo } from "../../support/cli.ts";
import { documentOf, errorOf, textOf } from "../../support/documents.ts";
import { type S3Double, startDouble } from "../../support/s3-double.ts";

let repo: Scratch;
let server: S3Double;
beforeEach(async () => {
  repo = await scratchRepo();
  server = await startDouble({});
});
afterEach(async () => {
  await server.close();
  repo.remove();
});

test("says what was pulled and pushed, on AWS's kind of store as on ours", async () => {
  const env = { AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_SECRET_ACCESS_KEY: server.secretAccessKey };
  await documentOf(repo, `datastore setup s3 --bucket fleet --endpoint ${server.endpoint}`, { env });
  repo.model("web", "echo hello");
  await documentOf(repo, "model method run web execute", { env });
  expect(await documentOf(repo, "datastore sync --push", { env })).toEqual({
    mode: "push",
    filesPushed: 5,
    runs: [],
    errors: [],
  });
  expect([...server.objects.keys()]).toContain(".datastore-index.json");
  expect(await documentOf(repo, "datastore sync", { env })).toMatchObject({ mode: "sync", filesPushed: 0 });
  expect(await textOf(repo, "datastore sync --pull", { env })).toBe("0 files pulled");
});

test.each([
  ["datastore sync", "datastore_invalid", 78],
  ["datastore sync --pull --push", "usage", 2],
])("in a folder, %s is refused", async (command, code, exitCode) => {
  expect(await errorOf(repo, command)).toMatchObject({ code, exitCode });
});
