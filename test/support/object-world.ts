/** Machines on one datastore of objects in memory, with the production code above: each with its own files and cache. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { ContentCache } from "../../src/data/objects/content-cache.ts";
import { CasHeads } from "../../src/data/objects/heads.ts";
import { ObjectVersions } from "../../src/data/objects/object-versions.ts";
import { ObjectSync } from "../../src/data/objects/sync.ts";
import { stringifyMetadata } from "../../src/data/metadata.ts";
import { Staging } from "../../src/data/staging.ts";
import { systemMachine } from "../../src/kernel/machine.ts";
import { CasLocks } from "../../src/lock/cas/locks.ts";
import type { Lease } from "../../src/lock/lease.ts";
import { LockManager } from "../../src/lock/manager.ts";
import type { ConditionalStore } from "../../src/store/conditional.ts";
import type { Datastore, LocalFiles } from "../../src/store/contract.ts";
import { openFilesystemDatastore } from "../../src/store/drivers/filesystem/datastore.ts";
import { MemoryBucket, MemoryConditionalStore } from "../../src/store/drivers/memory/conditional.ts";
import { MemoryObjects } from "../../src/store/drivers/memory/objects.ts";
import { ObjectFiles } from "../../src/store/object-files.ts";
import { ObjectJournals } from "../../src/store/object-journals.ts";
import type { ObjectStore } from "../../src/store/objects.ts";
import { textSpec as spec } from "./output-spec.ts";

export const machine = systemMachine("object world");
export const web = { type: "command/shell", id: "a0000000-0000-4000-a000-000000000001" };
export const webFolder = `data/${web.type}/${web.id}`;

/** What is its own of a machine: stores in the place of the real ones, for what goes wrong; a clock that stands still for what it has read. */
interface Own {
  readonly objects?: ObjectStore;
  readonly index?: ConditionalStore;
  /** Another one than that of the others: it publishes beside them. */
  readonly turns?: ConditionalStore;
  readonly isStill?: boolean;
  /** Stands before its files. */
  around?(real: LocalFiles): LocalFiles;
}

/** What all machines see. */
export class ObjectWorld {
  readonly locks = new MemoryBucket();
  readonly index = new MemoryBucket();
  readonly objects = new MemoryObjects();
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  machine(name: string, own: Own = {}): ObjectMachine {
    return new ObjectMachine(this, name, own);
  }

  text(path: string): string | undefined {
    const found = this.objects.objects.get(path);
    return found === undefined ? undefined : new TextDecoder().decode(found.bytes);
  }

  /** A version as the older program leaves it. */
  async older(name: string, number: number, content = `old ${number}`): Promise<void> {
    const metadata = {
      ...{ id: machine.random.uuid(), name, version: number, ...spec },
      ownerDefinition: { ownerType: "model-method", ownerRef: web.id },
      createdAt: "2026-01-01T00:00:00.000Z",
    } as const;
    await this.objects.put(`${webFolder}/${name}/${number}/metadata.yaml`, Buffer.from(stringifyMetadata(metadata)));
    await this.objects.put(`${webFolder}/${name}/${number}/raw`, Buffer.from(content));
  }
}

/** In a folder that goes with the test that asks for it. */
export function freshWorld(): ObjectWorld {
  const root = mkdtempSync(join(tmpdir(), "fen-world-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  return new ObjectWorld(root);
}

export class ObjectMachine {
  readonly versions: ObjectVersions;
  readonly sync: ObjectSync;
  readonly cache: ContentCache;
  readonly datastore: Datastore;

  constructor(world: ObjectWorld, name: string, own: Own) {
    const { objects = world.objects, index = new MemoryConditionalStore(world.index), isStill = false } = own;
    const still = { ...machine, clock: { ...machine.clock, monotonic: () => 0 } };
    const store = new MemoryConditionalStore(world.locks);
    const real = openFilesystemDatastore(join(world.root, name), machine).local;
    const local = own.around?.(real) ?? real;
    const heads = new CasHeads(store, machine);
    this.cache = new ContentCache(join(world.root, `${name}-cache`));
    this.versions = new ObjectVersions({
      machine: isStill ? still : machine,
      local,
      objects,
      heads,
      cache: this.cache,
    });
    this.sync = new ObjectSync({
      ...{ machine, objects, heads, cache: this.cache, versions: this.versions, conditional: index },
      turns: own.turns ?? store,
      keyPrefix: "prefix/",
    });
    const files = new ObjectFiles(objects, local);
    const journals = new ObjectJournals({ objects, local, machine, quietMs: 10_000 });
    const locks = new CasLocks(store, machine);
    const location = `memory:${world.root}`;
    this.datastore = { kind: "s3", location, files, local, journals, lookEveryMs: 1000, locks };
  }

  take(model = web): Promise<Lease> {
    const resource = { kind: "model", ...model } as const;
    return new LockManager(this.datastore.locks, machine).acquire([{ resource, mode: "exclusive" }]);
  }

  /** A run that leaves an output of each name, whose content is given. */
  async run(content: string, ...names: readonly string[]): Promise<void> {
    await using held = await this.take();
    const staging = new Staging(this.versions, machine, { model: web, runId: machine.random.uuid() });
    for (const name of names) {
      const file = await staging.openFile(name, spec);
      file.append(content);
      await file.close();
    }
    await staging.commit({ owner: { ownerType: "model-method", ownerRef: web.id }, tags: {}, held });
  }
}
