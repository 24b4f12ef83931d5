/** Whole objects on a server in memory: put once, got whole and checked, listed within bounds, and nothing left of what nobody completed. */
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { clientOf } from "../../../../test/support/s3-client.ts";
import { type Fault, type S3Double, startDouble } from "../../../../test/support/s3-double.ts";
import { S3Objects } from "./objects.ts";
import { contentOf, partBytes } from "./upload.ts";

let double: S3Double;
let objects: S3Objects;
let folder: string;
beforeEach(async () => {
  double = await startDouble();
  objects = new S3Objects(await clientOf(double, { prefix: "p" }));
  folder = mkdtempSync(join(tmpdir(), "fen-s3-objects-"));
});
afterEach(async () => {
  rmSync(folder, { recursive: true, force: true });
  await double.close();
});

const limit = { maxBytes: 1_000_000_000 };
const text = (body: string) => contentOf(Buffer.from(body), "text/plain");
const hashOf = (body: string) => createHash("sha256").update(body).digest("hex");
const isHead = ({ method }: { readonly method: string }) => method === "HEAD";
const failed: Fault = { status: 500, code: "InternalError" };

describe("a new object", () => {
  test("whose answer was lost is ours by its nonce, and another's by another", async () => {
    const once = (fault: Fault) => {
      let left = 1;
      double.options = { intercept: ({ method }) => (method === "PUT" && left-- > 0 ? fault : undefined) };
    };
    once({ ...failed, done: true });
    expect(await objects.create("a", text("one"), { nonce: "1" })).toBe("put");
    once(failed);
    expect(await objects.create("a", text("two"), { nonce: "2" })).toBe("taken");
    expect(new TextDecoder().decode(await objects.get("a", limit))).toBe("one");
  });

  test("never replaces one that is there", async () => {
    await objects.create("a", text("one"), { nonce: "1" });
    expect(await objects.create("a", text("two"), { nonce: "2" })).toBe("taken");
    expect(new TextDecoder().decode(await objects.get("a", limit))).toBe("one");
  });

  test("is not put, and not taken, where nobody can tell", async () => {
    double.options = { intercept: (seen) => (isHead(seen) || seen.method === "PUT" ? failed : undefined) };
    await expect(objects.create("a", text("one"), { nonce: "1" })).rejects.toMatchObject({ code: "store_unavailable" });
  });

  test("that is large is claimed before its parts are sent, so that the key of another is left alone", async () => {
    await objects.create("a", text("one"), { nonce: "1" });
    const large = contentOf(Buffer.alloc(partBytes + 1), "text/plain");
    expect(await objects.create("a", large, { nonce: "2" })).toBe("taken");
    expect(new TextDecoder().decode(await objects.get("a", limit))).toBe("one");
    expect(double.uploads.size).toBe(0);
  });

  test("that changed while its parts were sent is none, and no part is left", async () => {
    const large = { ...contentOf(Buffer.alloc(partBytes + 1), "text/plain"), sha256: hashOf("other") };
    await expect(objects.create("a", large, { nonce: "1" })).rejects.toMatchObject({ code: "data_corrupt" });
    expect(double.uploads.size).toBe(0);
  });
});

describe("what is got", () => {
  test("is what was expected, or damaged: in memory and into a file, of which nothing is left", async () => {
    await objects.put("a", Buffer.from("something"));
    const other = { ...limit, sha256: hashOf("something else") };
    await expect(objects.get("a", other)).rejects.toMatchObject({ code: "data_corrupt" });
    await expect(objects.getTo("a", join(folder, "file"), other)).rejects.toMatchObject({ code: "data_corrupt" });
    expect(readdirSync(folder)).toEqual([]);
    expect(await objects.getTo("a", join(folder, "file"), { ...limit, sha256: hashOf("something") })).toBe(true);
    expect(readFileSync(join(folder, "file"), "utf8")).toBe("something");
  });

  test("is checked by the hash that its writer left, where nobody expects one", async () => {
    await objects.put("a", Buffer.from("something"));
    const stored = double.objects.get("p/a");
    if (stored !== undefined) double.objects.set("p/a", { ...stored, body: Buffer.from("somethin9") });
    await expect(objects.get("a", limit)).rejects.toMatchObject({ code: "data_corrupt" });
    await expect(objects.getTo("a", join(folder, "file"), limit)).rejects.toMatchObject({ code: "data_corrupt" });
  });

  test("is never larger than was asked for", async () => {
    await objects.put("a", Buffer.from("something"));
    await expect(objects.get("a", { maxBytes: 3 })).rejects.toMatchObject({ code: "file_too_large" });
    const tooLarge = objects.getTo("a", join(folder, "file"), { maxBytes: 3 });
    await expect(tooLarge).rejects.toMatchObject({ code: "file_too_large" });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("is absent only where the store says so", async () => {
    expect(await objects.getTo("none", join(folder, "file"), limit)).toBe(false);
    double.options = { intercept: () => ({ status: 404 }) };
    await expect(objects.getTo("none", join(folder, "file"), limit)).rejects.toMatchObject({ code: "store_refused" });
    await expect(objects.get("none", limit)).rejects.toMatchObject({ code: "store_refused" });
    await expect(objects.head("none")).rejects.toMatchObject({ code: "store_refused" });
  });
});

describe("a list", () => {
  test("goes over all its pages, and names nothing that could lead out of its folder", async () => {
    double.options = { pageSize: 2 };
    for (const key of [
      "p/d/1",
      "p/d/2",
      "p/d/3",
      "p/d/4",
      "p/d2/x",
      "p/d/../b",
      "p/d//d",
      "p/d/e\\f",
      "pq/d/h",
      "p/d/g/",
    ])
      double.objects.set(key, { body: Buffer.from("x"), etag: "x", meta: {} });
    const listed: string[] = [];
    for await (const { path } of objects.list("d")) listed.push(path);
    expect(listed).toEqual(["d/1", "d/2", "d/3", "d/4"]);
  });
});

describe("a removal", () => {
  test("that the store refuses is told, with what is left", async () => {
    double.options = { deletes: "denied" };
    await objects.put("a", Buffer.from("x"));
    const denied = { code: "store_denied", facts: { paths: ["a"] } };
    await expect(objects.removeAll(["a"])).rejects.toMatchObject(denied);
  });

  test("that the store refuses for very many is told as that, however long the answer", async () => {
    double.options = { deletes: "denied" };
    const paths = Array.from({ length: 1000 }, (_, index) => `d/${"x".repeat(400)}/${index}`);
    for (const path of paths) double.objects.set(`p/${path}`, { body: Buffer.from("x"), etag: "x", meta: {} });
    await expect(objects.removeAll(paths)).rejects.toMatchObject({ code: "store_denied" });
  });

  test("of more than the store takes at once removes all of them", async () => {
    const paths = Array.from({ length: 1001 }, (_, index) => `d/${index}`);
    for (const path of paths) double.objects.set(`p/${path}`, { body: Buffer.from("x"), etag: "x", meta: {} });
    await objects.removeAll(paths);
    expect(double.objects.size).toBe(0);
    expect(double.seen).toHaveLength(2);
  });
});

describe("uploads that nobody completed", () => {
  const day = 24 * 3_600_000;
  function begin(key: string, ageMs: number): string {
    const id = `upload-${double.uploads.size + 1}`;
    double.uploads.set(id, new Map([[1, Buffer.from("part")]]));
    double.begun.set(id, { key, at: Date.now() - ageMs });
    return id;
  }

  test("are given up when they are old, ours alone, on however many pages", async () => {
    double.options = { pageSize: 1 };
    for (const name of ["1", "2", "3"]) begin(`p/data/x y/${name}`, day + 60_000);
    const left = [begin("p/data/young", day - 60_000), begin("pq/data/theirs", 2 * day), begin("p/other", 2 * day)];
    expect(await objects.abandonUploads("data", { olderThanMs: day })).toBe(3);
    expect([...double.uploads.keys()]).toEqual(left);
  });

  test("have the age that the store says, whatever our clock", async () => {
    begin("p/data/a", 60_000);
    expect(await objects.abandonUploads("data", { olderThanMs: day })).toBe(0);
    double.options = { headers: { date: new Date(Date.now() + 2 * day).toUTCString() } };
    expect(await objects.abandonUploads("data", { olderThanMs: day })).toBe(1);
  });

  test.each([
    { status: 403, code: "AccessDenied" },
    { status: 501, code: "NotImplemented" },
  ])("are none where the store doesn't say: %j", async (fault) => {
    begin("p/data/a", 2 * day);
    double.options = { intercept: ({ query }) => (query.has("uploads") ? fault : undefined) };
    expect(await objects.abandonUploads("data", { olderThanMs: day })).toBe(0);
    double.options = { intercept: ({ query }) => (query.has("uploads") ? failed : undefined) };
    await expect(objects.abandonUploads("data", { olderThanMs: day })).rejects.toMatchObject({
      code: "store_unavailable",
    });
  });
});
