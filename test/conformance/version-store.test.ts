/** What every store of versions must do, tried with two machines on one datastore: their own local files, their own locks, their own caches. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { Held, VersionStore } from "../../src/data/contract.ts";
import { FolderVersions } from "../../src/data/folders.ts";
import { ContentCache } from "../../src/data/objects/content-cache.ts";
import { CasHeads } from "../../src/data/objects/heads.ts";
import { ObjectVersions } from "../../src/data/objects/object-versions.ts";
import { type Committed, Staging } from "../../src/data/staging.ts";
import { DataVersions } from "../../src/data/versions.ts";
import { systemMachine } from "../../src/kernel/machine.ts";
import { CasLocks } from "../../src/lock/cas/locks.ts";
import type { Lease } from "../../src/lock/lease.ts";
import { LockManager } from "../../src/lock/manager.ts";
import type { ConditionalStore } from "../../src/store/conditional.ts";
import type { LockDriver, LockMode } from "../../src/store/contract.ts";
import { openFilesystemDatastore } from "../../src/store/drivers/filesystem/datastore.ts";
import { MemoryBucket, MemoryConditionalStore } from "../../src/store/drivers/memory/conditional.ts";
import { MemoryObjects } from "../../src/store/drivers/memory/objects.ts";
import { S3ConditionalStore } from "../../src/store/drivers/s3/conditional.ts";
import { S3Objects } from "../../src/store/drivers/s3/objects.ts";
import type { ObjectStore } from "../../src/store/objects.ts";
import { clientOf, makeBucket, newPrefix } from "../support/s3-client.ts";
import { textSpec as spec } from "../support/output-spec.ts";

const machine = systemMachine("conformance");
const web = { type: "command/shell", id: "a0000000-0000-4000-a000-000000000001" };
const db = { type: "@acme/net/switch", id: "b0000000-0000-4000-b000-000000000002" };

/** One machine. */
interface Client {
  readonly store: VersionStore;
  readonly locks: LockDriver;
}

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "fen-versions-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function objectClient(name: string, conditional: ConditionalStore, objects: ObjectStore): Client {
  return {
    locks: new CasLocks(conditional, machine, { ttlMs: 2000 }),
    store: new ObjectVersions({
      machine,
      local: openFilesystemDatastore(join(root, name), machine).local,
      objects,
      heads: new CasHeads(conditional, machine),
      cache: new ContentCache(join(root, `${name}-cache`)),
    }),
  };
}

const kinds: readonly { readonly name: string; open(): Promise<readonly [Client, Client]> }[] = [
  {
    name: "folders",
    open: async () => {
      const client = () => {
        const { local, locks } = openFilesystemDatastore(root, machine);
        return { store: new FolderVersions(local), locks };
      };
      return [client(), client()];
    },
  },
  {
    name: "objects in memory",
    open: async () => {
      const [bucket, objects] = [new MemoryBucket(), new MemoryObjects()];
      const client = (name: string) =>
        objectClient(name, new MemoryConditionalStore(bucket), new MemoryObjects(objects.objects));
      return [client("one"), client("two")];
    },
  },
  {
    name: "objects in S3 (Ceph)",
    open: async () => {
      const server = inject("s3");
      await makeBucket(server, "conformance");
      const prefix = newPrefix();
      const client = async (name: string) => {
        const [small, large] = [await clientOf(server, { prefix }), await clientOf(server, { prefix })];
        const conditional = new S3ConditionalStore(small, { folder: ".fen", etagForm: "bare" });
        return objectClient(name, conditional, new S3Objects(large));
      };
      return [await client("one"), await client("two")];
    },
  },
];

async function stage({ store }: Client, content: Readonly<Record<string, string>>, model = web): Promise<Staging> {
  const staging = new Staging(store, machine, { model, runId: machine.random.uuid() });
  for (const [name, text] of Object.entries(content)) {
    const file = await staging.openFile(name, spec);
    file.append(text);
    await file.close();
  }
  return staging;
}

const commit = (staging: Staging, held: Held): Promise<Committed[]> =>
  staging.commit({ owner: { ownerType: "model-method", ownerRef: web.id }, tags: { by: "test" }, held });

function take({ locks }: Client, model = web, mode: LockMode = "exclusive"): Promise<Lease> {
  const manager = new LockManager(locks, machine);
  const signal = AbortSignal.timeout(30_000);
  return manager.acquire([{ resource: { kind: "model", ...model }, mode }], {
    timeoutMs: 20_000,
    signal,
    onWait: () => undefined,
  });
}

async function run(client: Client, content: Readonly<Record<string, string>>, model = web): Promise<Committed[]> {
  const lease = await take(client, model);
  try {
    await client.store.settle(model, lease);
    return await commit(await stage(client, content, model), lease);
  } finally {
    await lease.release();
  }
}

async function text({ store }: Client, name: string, number: number, model = web): Promise<string | undefined> {
  const bytes = await store.read({ model, name, number }, { maxBytes: 1000 });
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

/** Memory of what was read lasts for a moment. */
const aMoment = () => new Promise((resolve) => setTimeout(resolve, 120));

describe.each(kinds)("$name", ({ open }) => {
  let one: Client;
  let two: Client;
  beforeEach(async () => {
    [one, two] = await open();
  });

  test("there is nothing where nothing was committed", async () => {
    expect(await one.store.names(web)).toEqual([]);
    expect(await one.store.numbers(web, "result")).toEqual([]);
    expect(await one.store.latestNumber(web, "result")).toBeUndefined();
    expect(await one.store.metadata({ model: web, name: "result", number: 1 })).toBeUndefined();
    expect(await one.store.models()).toEqual([]);
  });

  test("what one machine commits the other reads: names, numbers, metadata and content", async () => {
    const committed = await run(one, { result: "1", log: "line" });
    expect(committed.map(({ name, version }) => [name, version])).toEqual([
      ["result", 1],
      ["log", 1],
    ]);
    expect(await two.store.names(web)).toEqual(["log", "result"]);
    expect(await two.store.metadata({ model: web, name: "result", number: 1 })).toMatchObject({
      id: committed[0]?.dataId,
      name: "result",
      version: 1,
      contentType: "text/plain",
      tags: { by: "test" },
      size: 1,
      ownerDefinition: { ownerType: "model-method", ownerRef: web.id },
    });
    expect(await text(two, "result", 1)).toBe("1");
    expect(await two.store.size({ model: web, name: "log", number: 1 })).toBe(4);
    const chunks: Uint8Array[] = [];
    for await (const chunk of two.store.stream({ model: web, name: "log", number: 1 })) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe("line");
    expect(await two.store.models()).toEqual([web]);
  });

  test("versions are numbered one after the other, whichever machine commits", async () => {
    await run(one, { result: "1" });
    await run(two, { result: "2", other: "x" });
    await run(one, { result: "3" });
    await aMoment();
    expect(await two.store.numbers(web, "result")).toEqual([1, 2, 3]);
    expect(await two.store.latestNumber(web, "result")).toBe(3);
    expect(await Promise.all([1, 2, 3].map((number) => text(two, "result", number)))).toEqual(["1", "2", "3"]);
    expect(await two.store.numbers(web, "other")).toEqual([1]);
  });

  test("what is brought from elsewhere has the numbers that it had, and bringing it again does no harm", async () => {
    const brought = async (content: string) => {
      const metadata = {
        ...{ id: "c0000000-0000-4000-a000-000000000003", name: "result", version: 7, ...spec },
        ...{ ownerDefinition: { ownerType: "model-method" as const, ownerRef: web.id } },
        createdAt: "2026-01-01T00:00:00.000Z",
        ...{ size: content.length, checksum: createHash("sha256").update(content).digest("hex") },
      } as const;
      await one.store.local.write("from-elsewhere", content);
      await using lease = await new LockManager(one.locks, machine).acquire(
        [{ resource: { kind: "datastore" }, mode: "exclusive" }],
        { timeoutMs: 30_000, signal: AbortSignal.timeout(60_000), onWait: () => undefined },
      );
      await one.store.bring(web, [{ metadata, file: "from-elsewhere" }], lease);
    };
    await brought("seven");
    await brought("seven");
    await aMoment();
    expect(await two.store.numbers(web, "result")).toEqual([7]);
    expect(await text(two, "result", 7)).toBe("seven");
    await run(two, { result: "8" });
    await aMoment();
    expect(await one.store.numbers(web, "result")).toEqual([7, 8]);
    expect(await one.store.latestNumber(web, "result")).toBe(8);
  });

  test("nothing that is staged is seen before it is committed, nor after it was discarded", async () => {
    const lease = await take(one);
    const staging = await stage(one, { result: "1" });
    expect(await two.store.names(web)).toEqual([]);
    await staging.discard();
    await lease.release();
    await aMoment();
    expect(await two.store.names(web)).toEqual([]);
    expect(await one.store.settle(web, lease)).toEqual([]);
  });

  test("a holder whose lock was taken commits nothing; what it made is kept aside and named; its successor isn't disturbed", async () => {
    const zombie = await take(one);
    const staging = await stage(one, { result: "zombie", log: "z" });
    const [grant] = zombie.grants;
    expect(await two.locks.revoke({ kind: "model", ...web }, grant?.nonce ?? "")).toBe(true);
    await run(two, { result: "successor" });
    const error = await commit(staging, zombie).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "lock_lost", facts: { keptAside: expect.stringMatching(/aside/) } });
    await zombie.release();
    await aMoment();
    for (const client of [one, two]) {
      const latest = (await client.store.latestNumber(web, "result")) ?? 0;
      expect(await client.store.numbers(web, "result")).toEqual([latest]);
      expect(await text(client, "result", latest)).toBe("successor");
      expect(await client.store.numbers(web, "log")).toEqual([]);
    }
  });

  test("those who share the lock commit side by side, every version distinct", async () => {
    const clients = [one, two, one, two, one, two];
    const leases = await Promise.all(clients.map((client) => take(client, web, "shared")));
    const committed = await Promise.all(
      clients.map(async (client, index) => {
        const lease = leases[index];
        if (lease === undefined) throw new Error("no lease");
        return commit(await stage(client, { result: String(index) }), lease);
      }),
    );
    for (const lease of leases) await lease.release();
    const versions = committed.flatMap((some) => some.map(({ version }) => version));
    expect(new Set(versions).size).toBe(6);
    await aMoment();
    expect(await one.store.numbers(web, "result")).toEqual(versions.sort((a, b) => a - b));
    const contents = await Promise.all(versions.map((number) => text(two, "result", number)));
    expect(contents.sort()).toEqual(["0", "1", "2", "3", "4", "5"]);
  });

  test("a version that is removed is gone, the newest that is left is the latest, its number doesn't come again unless it was the last", async () => {
    for (const content of ["1", "2", "3"]) await run(one, { result: content });
    const lease = await take(two);
    expect(await two.store.remove(web, "result", { numbers: [1], held: lease })).toBe(1);
    await lease.release();
    await aMoment();
    expect(await one.store.numbers(web, "result")).toEqual([2, 3]);
    expect(await text(one, "result", 1)).toBeUndefined();
    expect((await run(one, { result: "4" }))[0]?.version).toBe(4);
  });

  test("a name without versions is gone, and so is a model that is forgotten; others stay", async () => {
    await run(one, { result: "1", log: "1" });
    await run(one, { result: "x" }, db);
    const lease = await take(two);
    await two.store.remove(web, "log", { numbers: [1], held: lease });
    await aMoment();
    expect(await one.store.names(web)).toEqual(["result"]);
    await two.store.forget(web, lease);
    await lease.release();
    await aMoment();
    expect(await one.store.names(web)).toEqual([]);
    expect(await one.store.names(db)).toEqual(["result"]);
    expect(await text(two, "result", 1, db)).toBe("x");
  });

  test("the common part follows renames and says what there is", async () => {
    await run(one, { result: "1" });
    const data = new DataVersions(two.store);
    expect((await data.latest(web, "result")).number).toBe(1);
    await expect(data.latest(web, "none")).rejects.toMatchObject({
      code: "data_missing",
      hint: expect.stringMatching(/result/),
    });
    await expect(data.version(web, "result", 7)).rejects.toMatchObject({
      code: "data_missing",
      hint: expect.stringMatching(/versions 1/),
    });
  });

  test("tidying up removes nothing that is committed", async () => {
    await run(one, { result: "1" });
    await run(two, { result: "2" }, db);
    await one.store.tidy();
    await aMoment();
    expect(await text(two, "result", 1)).toBe("1");
    expect(await text(one, "result", 1, db)).toBe("2");
  });

  test("twelve runs at once on two machines: every version there, in the order of its lock", async () => {
    await Promise.all(
      Array.from({ length: 12 }, (_, index) => run(index % 2 === 0 ? one : two, { result: String(index) })),
    );
    await aMoment();
    expect(await one.store.numbers(web, "result")).toEqual(Array.from({ length: 12 }, (_, index) => index + 1));
  });
});
