/**
 * The outputs of one run before they are data (decision 0003). In a staging folder of its own, `<staging of the model>/<run id>/<data name>/`, or, as long as they are
 * small, in memory; committed by the store of versions, under the model's lock. What a crash leaves is settled by the next holder.
 */
import { isoNow } from "../kernel/iso-time.ts";
import type { Machine } from "../kernel/machine.ts";
import { FenError } from "../kernel/errors.ts";
import { ContentHash } from "../kernel/hash.ts";
import type { Appender, LocalFiles, Owned } from "../store/contract.ts";
import { asideFolder, metadataFile, ownerFile, putAside, unlessStoreFails } from "./commit.ts";
import type { CommitOptions, Draft, Held, StagedRun, VersionStore } from "./contract.ts";
import { type ModelRef, safeDataName, stagingFolder } from "./layout.ts";
import type { Metadata, Owner } from "./metadata.ts";
import { LazySpool } from "./spool.ts";

export interface StagedSpec {
  readonly contentType: string;
  readonly lifetime: string;
  readonly garbageCollection: number | string;
  readonly streaming: boolean;
  readonly tags: Readonly<Record<string, string>>;
}

export interface Committed {
  readonly dataId: string;
  readonly name: string;
  readonly version: number;
  readonly contentType: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Absolute path of the version's folder. */
  readonly path: string;
}

/** What makes a version a tombstone. */
export interface Fate {
  readonly lifecycle?: string;
  readonly renamedTo?: string;
}

interface Item {
  readonly name: string;
  readonly spec: StagedSpec;
  readonly fate: Fate;
  readonly folder: string;
  readonly hash: ContentHash;
  readonly file: LazySpool;
  readonly createdAt: string;
}

export class Staging {
  readonly #store: VersionStore;
  readonly #files: LocalFiles;
  readonly #machine: Machine;
  readonly #model: ModelRef;
  readonly #folder: string;
  readonly #runId: string;
  readonly #isLate: boolean;
  readonly #items = new Map<string, Item>();
  readonly #spools: LazySpool[] = [];
  #owned: Promise<Owned> | undefined;
  #isOwnerTaken = false;
  /** What `getReady` does. */
  #readying: Promise<void> | undefined;
  /** The disk is asked ahead for names that it will be asked for. */
  #keeping: Promise<void> | undefined;
  /** For these files may have been made. */
  #expected: readonly string[] = [];
  /** Committed, and left to `settle`. */
  #unsettled: readonly Metadata[] = [];

  /** `isLate`: nobody needs to see that the run is at work before there is something to commit. */
  constructor(
    store: VersionStore,
    machine: Machine,
    run: { readonly model: ModelRef; readonly runId: string; readonly isLate?: boolean },
  ) {
    this.#isLate = run.isLate === true;
    this.#store = store;
    this.#files = store.local;
    this.#machine = machine;
    this.#model = run.model;
    this.#runId = run.runId;
    this.#folder = `${stagingFolder(run.model)}/${run.runId}`;
  }

  /** JSON as one line, without a newline at its end. */
  async writeJson(name: string, content: unknown, spec: StagedSpec, fate: Fate = {}): Promise<void> {
    const file = await this.openFile(name, spec, fate);
    file.append(JSON.stringify(content) ?? "null");
    await file.close();
  }

  /** A file that becomes data at `commit`. One of each name per run. */
  async openFile(name: string, spec: StagedSpec, fate: Fate = {}): Promise<Appender> {
    const folder = `${this.#folder}/${safeDataName(name)}`;
    if (this.#items.has(name)) throw new Error(`the run has written ${name} already`);
    const file = this.#spool(`${folder}/raw`, () => this.#takeOwner());
    const hash = new ContentHash();
    this.#items.set(name, { name, spec, fate, folder, hash, file, createdAt: isoNow(this.#machine) });
    if (!this.#isLate) await this.#own();
    return hashing(file, hash);
  }

  /** A scratch file that never becomes data. */
  spool(): LazySpool {
    const spool = this.#spool(`${this.#folder}/.spool-${this.#spools.length + 1}`);
    this.#spools.push(spool);
    return spool;
  }

  #spool(path: string, from: () => string | undefined = () => undefined): LazySpool {
    return new LazySpool({
      create: async () => {
        await this.#own();
        return this.#files.create(path, { from: from() });
      },
      stream: () => this.#files.stream(path),
    });
  }

  /** The first output is the file that tells that we live, under another name: so a run makes, and removes, one file fewer. */
  #takeOwner(): string | undefined {
    const from = this.#isOwnerTaken ? undefined : `${this.#folder}/${ownerFile}`;
    this.#isOwnerTaken = true;
    return from;
  }

  /** Before anything else is in the folder, it tells that we live. */
  #own(): Promise<Owned> {
    this.#owned ??= this.#files.own(`${this.#folder}/${ownerFile}`);
    return this.#owned;
  }

  /**
   * While the method is at work there is time for what its commit would begin with, and what those who wait for the lock would wait for. Asked once, with the names
   * of the outputs to expect. Never throws: what can't be done now is done, or fails, at the commit.
   */
  getReady(expected: readonly string[], held: Held): void {
    this.#readying = this.#prepare(expected, held).catch(() => undefined);
  }

  async #prepare(expected: readonly string[], held: Held): Promise<void> {
    await this.#own();
    if (this.#store.prepare === undefined) return;
    this.#expected = expected;
    const run = { model: this.#model, folder: this.#folder, owner: this.#takeOwner() };
    await this.#store.prepare(run, expected, held);
    this.#keeping = this.#files.keep([this.#folder]).catch(() => undefined);
  }

  /** What was made ready for outputs that didn't come is no output. */
  async #dropUnused(folder: string): Promise<void> {
    const unused = this.#expected.filter((name) => !this.#items.has(name));
    for (const name of unused) await this.#files.remove(`${folder}/${safeDataName(name)}`);
  }

  /**
   * Makes everything data, or nothing: `held` is asked (and may throw) just before. Versions are allotted above all that exist.
   * `tags` are added to each item's. Gives what was committed, in the order of writing. What could not be committed is kept aside; the
   * error names it (`keptAside`). `lock_lost` also where the lock was lost after the check: then nothing of it is data, unless the error says `committed`.
   */
  async commit(options: {
    readonly owner: Owner;
    readonly tags: Readonly<Record<string, string>>;
    readonly held: Held;
    readonly last?: boolean | undefined;
    /** It survives a power cut as data once this resolves, or, where this is false, once `settle` does, which needs no lock. Default true. */
    readonly durable?: boolean;
    /** See `CommitOptions`. */
    beside?(committed: readonly Committed[]): Promise<void>;
  }): Promise<Committed[]> {
    const [model, runId, folder] = [this.#model, this.#runId, this.#folder];
    const { held, last = false, durable = true } = options;
    const beside: CommitOptions["beside"] = async (versions) => options.beside?.(this.#committed(versions));
    let metadatas: readonly Metadata[];
    await this.#readying;
    try {
      await this.#dropUnused(folder);
      const outputs = await this.#drafts(options);
      const staged = { model, runId, folder, outputs, ...(this.#store.takesFolder ? await this.#unwritten() : {}) };
      metadatas = await this.#store.commit(staged, held, { last, beside });
    } catch (error) {
      if (isSafe(error)) {
        await this.#letGo().catch(() => undefined); // the first error is the one to tell
        throw error;
      }
      throw await this.#keepAside(await lossOr(error, held));
    }
    this.#unsettled = metadatas;
    await (this.#store.takesFolder && metadatas.length > 0
      ? this.#letGo()
      : unlessStoreFails(this.#discard({ now: false })));
    if (durable) await this.settle();
    return this.#committed(metadatas);
  }

  /** What was committed survives a power cut as data once this resolves. Throws where the store fails; the error says `committed`. */
  async settle(): Promise<void> {
    try {
      if (this.#keeping !== undefined) await this.#keeping;
      await this.#store.keep(this.#model, this.#unsettled);
    } catch (error) {
      throw error instanceof FenError ? unsettled(error) : error;
    }
    this.#unsettled = [];
  }

  #committed(metadatas: readonly Metadata[]): Committed[] {
    return metadatas.map(({ id, name, version, contentType, tags }) => ({
      dataId: id,
      name,
      version,
      contentType,
      tags,
      path: this.#store.locate({ model: this.#model, name, number: version }).version,
    }));
  }

  async #drafts(options: { readonly owner: Owner; readonly tags: Readonly<Record<string, string>> }): Promise<Draft[]> {
    const drafts: Draft[] = [];
    for (const item of this.#items.values()) {
      if (!this.#store.takesFolder) await item.file.toFile();
      const { contentType, lifetime, garbageCollection, streaming, tags } = item.spec;
      drafts.push({
        id: this.#machine.random.uuid(),
        name: item.name,
        contentType,
        lifetime,
        garbageCollection,
        streaming,
        tags: { ...tags, ...options.tags },
        ownerDefinition: { ...options.owner },
        createdAt: item.createdAt,
        size: item.file.size,
        checksum: item.hash.digest(),
        ...item.fate,
      });
    }
    return drafts;
  }

  /** What of the run isn't in its folder yet, for who writes it with the rest. */
  async #unwritten(): Promise<Pick<StagedRun, "contents" | "owner" | "owned">> {
    const contents = new Map<string, Uint8Array>();
    for (const { name, file } of this.#items.values()) {
      const content = await file.content();
      if (content !== undefined) contents.set(name, content);
    }
    const owner = this.#takeOwner();
    if (this.#owned !== undefined) return { contents, owner };
    return { contents, owner, owned: (owned) => (this.#owned = Promise.resolve(owned)) };
  }

  /** Forgets everything that isn't committed. The room that it took is free then: where that was too much, there is some for the record. */
  discard(): Promise<void> {
    return this.#discard({ now: true });
  }

  async #discard({ now }: { readonly now: boolean }): Promise<void> {
    await this.#readying;
    await this.#close();
    if (this.#owned !== undefined) await this.#files.remove(this.#folder);
    (await this.#owned)?.letGo({ now });
    this.#owned = undefined;
  }

  /** Nothing more is done here with what there is: others may do with it what is to be done. */
  async #letGo(): Promise<void> {
    try {
      await this.#close();
    } finally {
      (await this.#owned)?.letGo();
    }
  }

  /** What may not, or can't, be committed goes where no later run removes it; the error says where. */
  async #keepAside(error: unknown): Promise<unknown> {
    try {
      await this.#close();
      const path = asideFolder(this.#runId);
      if (this.#items.size > 0) {
        const place = await putAside(this.#files, this.#folder, this.#runId);
        if (place !== undefined && place !== path) await this.#join(place, path);
        await this.#dropUnused(path); // somebody else may have put it there
      }
      if (!(await this.#isKept(path))) return error;
      await this.#files.remove(`${path}/${ownerFile}`);
      return keptAside(error, this.#files.locate(path));
    } catch {
      return error; // the store fails: the first error is the one to tell
    } finally {
      await this.#letGo().catch(() => undefined); // as above
    }
  }

  /** Somebody else has put aside what there was, while we wrote the rest: all of it goes to one place. */
  async #join(place: string, path: string): Promise<void> {
    for (const name of this.#items.keys()) {
      const isThere = ((await this.#files.stat(`${path}/${name}/raw`))?.size ?? 0) > 0; // it may have been made ready, and no more
      if (!isThere) await this.#files.remove(`${path}/${name}`);
      const outcome = isThere ? "absent" : await this.#files.adopt(`${place}/${name}`, `${path}/${name}`);
      if (outcome === "taken") return; // somebody puts it there as well: both stay
    }
    await this.#files.remove(place);
  }

  /** Writes what was only in memory; whether anything is there then. What can't be written whole isn't kept: nothing is half there. */
  async #isKept(aside: string): Promise<boolean> {
    let isKept = false;
    for (const { name, file } of this.#items.values()) {
      const raw = `${aside}/${name}/raw`;
      try {
        const content = await file.content();
        const size = (await this.#files.stat(raw))?.size;
        if (content !== undefined && size !== content.length) await this.#files.write(raw, content);
        const metadata = `${aside}/${name}/${metadataFile}`;
        if ((await this.#files.stat(metadata))?.size === 0) await this.#files.remove(metadata);
        isKept ||= content !== undefined || size !== undefined;
      } catch {
        await unlessStoreFails(this.#files.remove(`${aside}/${name}`)); // the first error is the one to tell
      }
    }
    if (!isKept) await unlessStoreFails(this.#files.remove(aside));
    return isKept;
  }

  async #close(): Promise<void> {
    for (const spool of this.#spools) await spool.close();
    for (const { file } of this.#items.values()) await file.close();
  }
}

/** True where it is committed all the same, or kept for the next holder to commit: whatever became of the lock, that is the thing to tell. */
function isSafe(error: unknown): boolean {
  return error instanceof FenError && (error.facts["committed"] === true || error.facts["keptAside"] !== undefined);
}

/** Files that are gone are what a lost lock looks like: then that is the thing to tell. A store that doesn't say whether it is lost is no loss. */
async function lossOr(error: unknown, held: Held): Promise<unknown> {
  return held.assertHeld().then(
    () => error,
    (failure: unknown) => (failure instanceof FenError && failure.code === "lock_lost" ? failure : error),
  );
}

function keptAside(error: unknown, path: string): unknown {
  if (!(error instanceof FenError)) return error;
  return error.retold({ hint: `What it produced is kept in ${path}.`, facts: { keptAside: path } });
}

function unsettled(error: FenError): FenError {
  return error.retold({ facts: { committed: true } });
}

/** Counts and hashes what passes; made durable with everything else at the commit. */
function hashing(file: LazySpool, hash: ContentHash): Appender {
  return {
    get size() {
      return file.size;
    },
    append: (bytes) => {
      const data = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
      file.append(data);
      hash.update(data);
    },
    sync: async () => undefined,
    close: () => file.settled(),
  };
}
