/** What versions in an object store do beyond what all stores of versions do: adopt, page, skip what nobody committed, and survive answers that are lost. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { ContentCache } from "../../src/data/objects/content-cache.ts";
import { CasHeads } from "../../src/data/objects/heads.ts";
import { ObjectVersions } from "../../src/data/objects/object-versions.ts";
import { stringifyMetadata } from "../../src/data/metadata.ts";
import { Staging } from "../../src/data/staging.ts";
import { FenError } from "../../src/kernel/errors.ts";
import { systemMachine } from "../../src/kernel/machine.ts";
import { CasLocks } from "../../src/lock/cas/locks.ts";
import type { Lease } from "../../src/lock/lease.ts";
import { LockManager } from "../../src/lock/manager.ts";
import type { Held } from "../../src/data/contract.ts";
import type { ConditionalStore } from "../../src/store/conditional.ts";
import type { LockMode, Resource } from "../../src/store/contract.ts";
import { openFilesystemDatastore } from "../../src/store/drivers/filesystem/datastore.ts";
import { MemoryBucket, MemoryConditionalStore } from "../../src/store/drivers/memory/conditional.ts";
import { FaultyConditionalStore } from "../../src/store/drivers/memory/faults.ts";
import { MemoryObjects } from "../../src/store/drivers/memory/objects.ts";
import { S3ConditionalStore } from "../../src/store/drivers/s3/conditional.ts";
import { S3Objects } from "../../src/store/drivers/s3/objects.ts";
import type { ObjectStore } from "../../src/store/objects.ts";
import { Chance } from "../support/chance.ts";
import { clientOf, makeBucket, newPrefix } from "../support/s3-client.ts";
import { textSpec as spec } from "../support/output-spec.ts";

const machine = systemMachine("conformance");
const web = { type: "command/shell", id: "a0000000-0000-4000-a000-000000000001" };
const folder = `data/${web.type}/${web.id}`;

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "fen-object-versions-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

class Machine {
  readonly store: ObjectVersions;
  readonly objects: ObjectStore;
  readonly locks: CasLocks;

  constructor(name: string, conditional: ConditionalStore, objects: ObjectStore) {
    this.objects = objects;
    this.locks = new CasLocks(conditional, machine, { ttlMs: 3000 });
    this.store = new ObjectVersions({
      machine,
      local: openFilesystemDatastore(join(root, name), machine).local,
      objects,
      heads: new CasHeads(conditional, machine),
      cache: new ContentCache(join(root, `${name}-cache`)),
    });
  }

  take(resource: Resource = { kind: "model", ...web }, mode: LockMode = "exclusive"): Promise<Lease> {
    return new LockManager(this.locks, machine).acquire([{ resource, mode }], {
      timeoutMs: 30_000,
      signal: AbortSignal.timeout(60_000),
      onWait: () => undefined,
    });
  }

  /** A run that leaves two outputs whose content is its name. */
  async run(name: string, tags: Readonly<Record<string, string>> = {}): Promise<number> {
    await using lease = await this.take();
    await this.store.settle(web, lease);
    return await this.commit(name, lease, tags);
  }

  async commit(name: string, held: Held, tags: Readonly<Record<string, string>> = {}): Promise<number> {
    const staging = new Staging(this.store, machine, { model: web, runId: name });
    for (const output of ["log", "result"]) {
      const file = await staging.openFile(output, spec);
      file.append(name);
      await file.close();
    }
    const owner = { ownerType: "model-method", ownerRef: web.id } as const;
    const [first] = await staging.commit({ owner, tags, held });
    return first?.version ?? 0;
  }

  async contents(name: string): Promise<string[]> {
    const numbers = await this.store.numbers(web, name);
    const read = numbers.map((number) => this.store.read({ model: web, name, number }, { maxBytes: 1000 }));
    return (await Promise.all(read)).map((bytes) => new TextDecoder().decode(bytes));
  }
}

const aMoment = () => new Promise((resolve) => setTimeout(resolve, 120));

const kinds: readonly { readonly name: string; open(): Promise<(name: string) => Promise<Machine>> }[] = [
  {
    name: "memory",
    open: async () => {
      const [bucket, { objects }] = [new MemoryBucket(), new MemoryObjects()];
      return async (name) => new Machine(name, new MemoryConditionalStore(bucket), new MemoryObjects(objects));
    },
  },
  {
    name: "S3 (Ceph)",
    open: async () => {
      const server = inject("s3");
      await makeBucket(server, "conformance");
      const prefix = newPrefix();
      return async (name) => {
        const client = await clientOf(server, { prefix });
        const conditional = new S3ConditionalStore(client, { folder: ".fen", etagForm: "bare" });
        return new Machine(name, conditional, new S3Objects(client));
      };
    },
  },
];

describe.each(kinds)("$name", ({ open }) => {
  let one: Machine;
  let two: Machine;
  beforeEach(async () => {
    const machineOf = await open();
    [one, two] = [await machineOf("one"), await machineOf("two")];
  });

  async function adoptable(numbers: readonly number[]): Promise<void> {
    for (const version of numbers) {
      const metadata = {
        id: machine.random.uuid(),
        name: "result",
        version,
        ...spec,
        ownerDefinition: { ownerType: "model-method", ownerRef: web.id },
        createdAt: "2026-01-01T00:00:00.000Z",
      } as const;
      await one.objects.put(`${folder}/result/${version}/metadata.yaml`, Buffer.from(stringifyMetadata(metadata)));
      await one.objects.put(`${folder}/result/${version}/raw`, Buffer.from(`old ${version}`));
    }
    await one.objects.put(`${folder}/result/latest`, Buffer.from(String(numbers.at(-1))));
  }

  async function paths(below: string): Promise<string[]> {
    const found: string[] = [];
    for await (const { path } of one.objects.list(below)) found.push(path);
    return found;
  }

  test("a bucket of the older program is readable at once, and its first commit names what was there, under the keys that it had", async () => {
    await adoptable([1, 2, 5]);
    const before = await paths(folder);
    expect(await two.store.models()).toEqual([web]);
    expect(await two.store.numbers(web, "result")).toEqual([1, 2, 5]);
    expect(await two.store.metadata({ model: web, name: "result", number: 5 })).toMatchObject({
      version: 5,
      lifetime: "infinite",
    });
    expect(await two.contents("result")).toEqual(["old 1", "old 2", "old 5"]);
    expect(await one.run("new")).toBe(1);
    await aMoment();
    expect(await two.contents("result")).toEqual(["old 1", "old 2", "old 5", "new"]);
    expect(await two.contents("log")).toEqual(["new"]);
    expect(await paths(folder)).toEqual(expect.arrayContaining(before));
  });

  test("an adopted version that is removed leaves nothing, and tidying up leaves adopted ones alone", async () => {
    await adoptable([1, 2]);
    // Half of a version, of which only the older program knows what it is; and somebody has looked at the model.
    await one.objects.put(`${folder}/result/3/raw`, Buffer.from("?"));
    await (await one.take()).release();
    {
      await using whole = await two.take({ kind: "datastore" });
      await two.store.tidy();
      await two.store.remove(web, "result", { numbers: [1], held: whole });
    }
    await aMoment();
    expect(await one.contents("result")).toEqual(["old 2"]);
    expect(await paths(`${folder}/result/1`)).toEqual([]);
    expect(await paths(`${folder}/result/2`)).toHaveLength(2);
    expect(await paths(`${folder}/result/3`)).toHaveLength(1);
  });

  test("a manifest that grows goes into pages: the head stays small, and every version can be read", async () => {
    const tags = { long: "x".repeat(4000) };
    for (let number = 1; number <= 16; number++) await one.run(String(number), tags);
    const names = Array.from({ length: 16 }, (_, index) => String(index + 1));
    await aMoment();
    expect(await two.contents("result")).toEqual(names);
    expect(await two.contents("log")).toEqual(names);
    expect((await two.store.metadata({ model: web, name: "result", number: 1 }))?.tags).toMatchObject(tags);
    expect((await paths(".fen/pages")).length).toBeGreaterThan(0);
    await using lease = await two.take();
    await two.store.remove(web, "result", { numbers: [1, 16], held: lease });
    await aMoment();
    expect(await one.contents("result")).toEqual(names.slice(1, 15));
  });

  test("whoever shared a lock that was taken away is refused by the record itself, whatever it thinks", async () => {
    const lease = await one.take({ kind: "model", ...web }, "shared");
    const [grant] = lease.grants;
    expect(await two.locks.revoke({ kind: "model", ...web }, grant?.nonce ?? "")).toBe(true);
    const { grants, signal } = lease;
    const commit = (): Promise<never> => Promise.reject(new Error("one who shares a lock can't"));
    const held: Held = { grants, signal, commit, assertHeld: async () => undefined };
    await expect(one.commit("zombie", held)).rejects.toMatchObject({ code: "lock_lost" });
    await lease.release();
    await aMoment();
    expect(await two.store.names(web)).toEqual([]);
  });

  test("what is written beside a commit hears the numbers before it, and once more where one of them was taken", async () => {
    await one.run("first");
    await one.objects.put(`${folder}/result/2/raw`, Buffer.from("of a zombie"));
    const heard: string[] = [];
    await using lease = await one.take();
    const staging = new Staging(one.store, machine, { model: web, runId: "second" });
    for (const output of ["log", "result"]) await (await staging.openFile(output, spec)).close();
    await staging.commit({
      owner: { ownerType: "model-method", ownerRef: web.id },
      tags: {},
      held: lease,
      beside: async (versions) => {
        const head = (await two.locks.head({ kind: "model", ...web })) ?? "";
        const isCommitted = versions.some(({ dataId }) => head.includes(dataId));
        heard.push(`${isCommitted} ${versions.map(({ name, version }) => `${name} ${version}`).join()}`);
      },
    });
    expect(heard).toEqual(["false log 2,result 2", "false log 2,result 3"]);
    await aMoment();
    expect(await two.store.numbers(web, "result")).toEqual([1, 3]);
  });

  test("of a commit that gives the lock back nothing is left to do but the claim: the next one gets in at once", async () => {
    const lease = await one.take();
    const staging = new Staging(one.store, machine, { model: web, runId: "last" });
    await (await staging.openFile("result", spec)).close();
    const owner = { ownerType: "model-method", ownerRef: web.id } as const;
    await staging.commit({ owner, tags: {}, held: lease, last: true });
    await using next = await two.take();
    await lease.release();
    await next.assertHeld();
    expect(lease.signal.aborted).toBe(false);
    expect(await two.commit("next", next)).toBe(1);
    await aMoment();
    expect(await one.store.numbers(web, "result")).toEqual([1, 2]);
  });

  test("content that nobody committed is never taken for a version, is stepped over, and is tidied up", async () => {
    await one.run("first");
    const orphan = `${folder}/result/2/raw`;
    await one.objects.put(orphan, Buffer.from("of a zombie"));
    await aMoment();
    expect(await two.store.numbers(web, "result")).toEqual([1]);
    await two.run("second");
    await aMoment();
    expect(await one.contents("result")).toEqual(["first", "second"]);
    expect(new TextDecoder().decode(await one.objects.get(orphan, { maxBytes: 100 }))).toBe("of a zombie");
    {
      await using _whole = await two.take({ kind: "datastore" });
      await two.store.tidy();
    }
    expect(await one.objects.get(orphan, { maxBytes: 100 })).toBeUndefined();
    expect(await one.contents("result")).toEqual(["first", "second"]);
  });
});

describe("answers that are lost", () => {
  test("a commit beside others whose answer is lost is there once", async () => {
    const [bucket, { objects }] = [new MemoryBucket(), new MemoryObjects()];
    const memory = new MemoryConditionalStore(bucket);
    let losses = 0;
    const losing: ConditionalStore = {
      get: (key) => memory.get(key),
      list: (prefix) => memory.list(prefix),
      remove: (key) => memory.remove(key),
      put: async (key, body, condition) => {
        const outcome = await memory.put(key, body, condition);
        if (!body.includes("log") || losses++ > 0) return outcome;
        throw new FenError("store_unavailable", "No answer came.");
      },
    };
    const one = new Machine("one", losing, new MemoryObjects(objects));
    await using lease = await one.take({ kind: "model", ...web }, "shared");
    await one.commit("a", lease);
    expect(losses).toBeGreaterThan(0);
    expect(await one.contents("result")).toEqual(["a"]);
    expect(await one.contents("log")).toEqual(["a"]);
  });

  const seeds = Array.from({ length: 12 }, (_, index) => index + 1);

  test.each(seeds)(
    "seed %i: what was said to be committed is there once, and both outputs of a run or none",
    async (seed) => {
      const [bucket, { objects }] = [new MemoryBucket(), new MemoryObjects()];
      const chance = new Chance(seed);
      const faulty = (name: string) => {
        const source = {
          rates: () => ({ before: 0.05, after: 0.05, late: 0.03 }),
          chance: () => chance.next(),
          travel: (leg: "there" | "back" | "late") =>
            new Promise<void>((resolve) =>
              setTimeout(resolve, leg === "late" ? chance.between(5, 60) : chance.between(0, 3)),
            ),
        };
        const store = new FaultyConditionalStore(new MemoryConditionalStore(bucket), source);
        return new Machine(name, store, new MemoryObjects(objects));
      };
      const machines = [faulty("one"), faulty("two")];
      const told = new Map<string, "done" | "failed">();
      const work = async (which: number, name: string) => {
        for (let turn = 0; turn < 4; turn++) {
          try {
            await machines[which]?.run(`${name}${turn}`);
            told.set(`${name}${turn}`, "done");
          } catch (error) {
            if (!(error instanceof FenError)) throw error;
            told.set(`${name}${turn}`, "failed");
          }
        }
      };
      await Promise.all([work(0, "a"), work(1, "b"), work(0, "c")]);
      const clear = new Machine("clear", new MemoryConditionalStore(bucket), new MemoryObjects(objects));
      const [results, logs] = [await clear.contents("result"), await clear.contents("log")];
      expect(results.toSorted()).toEqual(logs.toSorted());
      expect(new Set(results).size).toBe(results.length);
      for (const [name, said] of told) if (said === "done") expect(results).toContain(name);
      expect(results.length).toBeGreaterThan(0);
    },
  );
});
