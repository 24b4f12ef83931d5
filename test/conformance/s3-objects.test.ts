/** Whole objects, from files and into files, on the real server and on the double: all of it or nothing, checked, and never a part. */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { S3Objects } from "../../src/store/drivers/s3/objects.ts";
import { contentOf, partBytes } from "../../src/store/drivers/s3/upload.ts";
import type { Content } from "../../src/store/objects.ts";
import { type ClientSettings, clientOf, makeBucket, newPrefix } from "../support/s3-client.ts";
import { startDouble } from "../support/s3-double.ts";
import { type Fault, first, type Passing, type S3Proxy, startProxy } from "../support/s3-proxy.ts";
import type { S3Server } from "../support/s3-server.ts";

const ends: (() => unknown)[] = [];
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fen-objects-"));
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  rmSync(folder, { recursive: true, force: true });
});

const servers: readonly { readonly name: string; open(): Promise<S3Server> }[] = [
  {
    name: "Ceph",
    open: async () => {
      await makeBucket(inject("s3"), "conformance");
      return inject("s3");
    },
  },
  {
    name: "a double that does as AWS documents",
    open: async () => {
      const double = await startDouble({ pageSize: 7 });
      ends.push(() => double.close());
      return double;
    },
  },
];

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const nonce = (): string => randomUUID();
const large = randomBytes(2 * partBytes + 12_345);

function fileOf(bytes: Uint8Array, name = "source"): Content {
  const file = join(folder, name);
  writeFileSync(file, bytes);
  return { source: { file }, size: bytes.length, sha256: hashOf(bytes), contentType: "text/plain" };
}

async function objectsOn(server: S3Server, settings: ClientSettings = {}): Promise<S3Objects> {
  return new S3Objects(await clientOf(server, { prefix: newPrefix(), ...settings }));
}

async function proxied(server: S3Server): Promise<S3Proxy> {
  const proxy = await startProxy(server);
  ends.push(() => proxy.close());
  return proxy;
}

const limit = { maxBytes: 100_000_000 };

describe.each(servers)("$name", ({ open }) => {
  test.each([
    ["nothing", Buffer.alloc(0)],
    ["a few bytes", Buffer.from("ä\0b")],
    ["more than a part", large],
  ])("a file of %s comes back as it was, with its hash", async (_, bytes) => {
    const objects = await objectsOn(await open());
    expect(await objects.create("data/x y/ü/1/raw", fileOf(bytes), { nonce: nonce() })).toBe("put");
    expect(await objects.head("data/x y/ü/1/raw")).toMatchObject({ size: bytes.length, sha256: hashOf(bytes) });
    expect(await objects.getTo("data/x y/ü/1/raw", join(folder, "target"), limit)).toBe(true);
    expect(readFileSync(join(folder, "target")).equals(bytes)).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(["source", "target"]);
  });

  test.each([
    ["small", Buffer.from("one"), Buffer.from("two")],
    ["large", large, Buffer.concat([large, Buffer.from("x")])],
  ])("a key that is taken is told and left alone: %s", async (_, one, two) => {
    const objects = await objectsOn(await open());
    expect(await objects.create("a", fileOf(one), { nonce: "1" })).toBe("put");
    expect(await objects.create("a", fileOf(two), { nonce: "2" })).toBe("taken");
    expect((await objects.head("a"))?.size).toBe(one.length);
    // The same put again: it is there already.
    expect(await objects.create("a", fileOf(one), { nonce: "1" })).toBe("put");
  });

  test("where there is no object nothing is got, and no file is left", async () => {
    const objects = await objectsOn(await open());
    expect(await objects.get("none", limit)).toBeUndefined();
    expect(await objects.head("none")).toBeUndefined();
    expect(await objects.getTo("none", join(folder, "target"), limit)).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a list goes over as many pages as there are, in the order of code points, and stays below its folder", async () => {
    const objects = await objectsOn(await open());
    const names = Array.from({ length: 20 }, (_, index) => `d/${index} ü&+/raw`);
    for (const name of [...names, "d2/x", "e"]) await objects.put(name, Buffer.from(name));
    const listed: string[] = [];
    for await (const { path, size } of objects.list("d")) {
      listed.push(path);
      expect(size).toBe(Buffer.byteLength(path));
    }
    expect(listed).toEqual(names.sort());
    expect(await objects.entries("")).toEqual({ folders: ["d", "d2"], objects: ["e"] });
    expect((await objects.entries("d")).folders).toHaveLength(20);
  });

  test("many are removed at once, and what isn't there is no error", async () => {
    const objects = await objectsOn(await open());
    const names = Array.from({ length: 20 }, (_, index) => `d/<${index}>&`);
    for (const name of names) await objects.put(name, Buffer.from("x"));
    await objects.removeAll([...names.slice(0, 19), "d/none"]);
    const left: string[] = [];
    for await (const { path } of objects.list("")) left.push(path);
    expect(left).toEqual(names.slice(19));
  });

  const onWrites = ({ method }: Passing): boolean => method === "PUT" || method === "POST";
  const faults: readonly Fault[] = ["lost request", "lost answer", "done 500", 500, 503];
  test.each(faults)("a put that meets %s ends put, once, whatever its size", async (fault) => {
    const proxy = await proxied(await open());
    const objects = await objectsOn(proxy);
    for (const [path, bytes] of [
      ["small", Buffer.from("x")],
      ["large", large],
    ] as const) {
      for (const number of [1, 2, 4]) {
        let writes = 0;
        proxy.options.fault = first(1, fault, (passing) => onWrites(passing) && ++writes === number);
        expect(await objects.create(`${path}/${number}`, fileOf(bytes), { nonce: nonce() })).toBe("put");
        expect(await objects.head(`${path}/${number}`)).toMatchObject({ size: bytes.length, sha256: hashOf(bytes) });
      }
    }
  });

  test("the end of an upload whose answer is lost is known by what is there", async () => {
    const proxy = await proxied(await open());
    const objects = await objectsOn(proxy);
    proxy.options.fault = first(1, "lost answer", ({ method, path }) => method === "POST" && path.includes("uploadId"));
    expect(await objects.create("a", fileOf(large), { nonce: nonce() })).toBe("put");
    expect((await objects.head("a"))?.size).toBe(large.length);
  });

  test("an upload that can't go on is nothing: no object with its content, no part left", async () => {
    const proxy = await proxied(await open());
    const objects = await objectsOn(proxy);
    proxy.options.fault = ({ path }) => (path.includes("partNumber=2") ? 503 : undefined);
    await expect(objects.create("a", fileOf(large), { nonce: nonce() })).rejects.toMatchObject({
      code: "store_unavailable",
    });
    expect(proxy.passed.at(-1)).toMatchObject({ method: "DELETE", path: expect.stringContaining("uploadId") });
    expect((await objects.head("a"))?.size ?? 0).toBe(0);
  });

  test("an upload that was begun and not completed is given up when it is old enough, and none of another folder", async () => {
    const [server, prefix] = [await open(), newPrefix()];
    const client = await clientOf(server, { prefix });
    const objects = new S3Objects(client);
    for (const path of ["data/a ü", "data2/b"]) {
      const key = `${prefix}/${path}`;
      await client.send({ method: "POST", key, query: { uploads: "" }, what: "begin", repeat: "always" });
    }
    expect(await objects.abandonUploads("data", { olderThanMs: 3_600_000 })).toBe(0);
    // The store tells the time in whole seconds.
    expect(await objects.abandonUploads("data", { olderThanMs: -5000 })).toBe(1);
    expect(await objects.abandonUploads("data", { olderThanMs: -5000 })).toBe(0);
    expect(await objects.abandonUploads("data2", { olderThanMs: -5000 })).toBe(1);
  });

  test("a transfer that breaks off goes on where it stopped", async () => {
    const server = await open();
    const proxy = await proxied(server);
    const objects = await objectsOn(proxy);
    await objects.create("a", fileOf(large), { nonce: nonce() });
    proxy.options.fault = first(2, "cut answer");
    expect(await objects.getTo("a", join(folder, "target"), { ...limit, sha256: hashOf(large) })).toBe(true);
    expect(readFileSync(join(folder, "target")).equals(large)).toBe(true);
    expect(proxy.passed.filter(({ method }) => method === "GET")).toHaveLength(3);
  });

  test("a transfer that always breaks off leaves no file", async () => {
    const proxy = await proxied(await open());
    const objects = await objectsOn(proxy);
    await objects.put("a", Buffer.alloc(100_000));
    proxy.options.fault = () => "cut answer";
    await expect(objects.getTo("a", join(folder, "target"), limit)).rejects.toMatchObject({
      code: "store_unavailable",
    });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("what isn't what was expected is refused, and leaves no file", async () => {
    const objects = await objectsOn(await open());
    await objects.put("a", Buffer.from("something"));
    const other = hashOf(Buffer.from("something else"));
    await expect(objects.getTo("a", join(folder, "target"), { ...limit, sha256: other })).rejects.toMatchObject({
      code: "data_corrupt",
    });
    await expect(objects.get("a", { ...limit, sha256: other })).rejects.toMatchObject({ code: "data_corrupt" });
    await expect(objects.getTo("a", join(folder, "target"), { maxBytes: 3 })).rejects.toMatchObject({
      code: "file_too_large",
    });
    await expect(objects.get("a", { maxBytes: 3 })).rejects.toMatchObject({ code: "file_too_large" });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a file that changes while it is sent becomes no object", async () => {
    const objects = await objectsOn(await open());
    const content = { ...fileOf(Buffer.from("abc")), sha256: hashOf(Buffer.from("abd")) };
    await expect(objects.create("a", content, { nonce: nonce() })).rejects.toMatchObject({ code: "store_refused" });
    expect(await objects.head("a")).toBeUndefined();
    const long = { ...fileOf(large), sha256: hashOf(Buffer.from("abd")) };
    await expect(objects.create("b", long, { nonce: nonce() })).rejects.toMatchObject({ code: "data_corrupt" });
    expect((await objects.head("b"))?.size ?? 0).toBe(0);
  });

  test.each(["../a", "a//b", "/a", ""])("%j is no path of an object", async (path) => {
    const objects = await objectsOn(await open());
    await expect(
      objects.create(path, contentOf(Buffer.from("x"), "text/plain"), { nonce: nonce() }),
    ).rejects.toMatchObject({ code: "path_escapes" });
    await expect(objects.get(path, limit)).rejects.toMatchObject({ code: "path_escapes" });
  });
});

test("keys that could lead out of a folder are left out of lists", async () => {
  const double = await startDouble();
  ends.push(() => double.close());
  const objects = await objectsOn(double, { prefix: "p" });
  for (const key of ["p/a", "p/../b", "p/c//d", "p/e\\f", "p/g/", "pq/h"])
    double.objects.set(key, { body: Buffer.from("x"), etag: "x", meta: {} });
  const listed: string[] = [];
  for await (const { path } of objects.list("")) listed.push(path);
  expect(listed).toEqual(["a"]);
});

test("keys that a policy keeps are named", async () => {
  const double = await startDouble({ deletes: "denied" });
  ends.push(() => double.close());
  const objects = await objectsOn(double);
  await expect(objects.removeAll(["a", "b"])).rejects.toMatchObject({
    code: "store_denied",
    facts: { paths: ["a", "b"] },
  });
});
