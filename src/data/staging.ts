/**
 * The outputs of one run before they are data (decision 0003). Written into a staging folder of its own, `<staging of the model>/<run id>/<data name>/`;
 * committed by renaming that folder, under the model's lock. What a crash leaves is settled by `recoverStaging` (commit.ts).
 */
import { createHash, type Hash } from "node:crypto";
import type { Machine } from "../kernel/machine.ts";
import { FenError } from "../kernel/errors.ts";
import type { Appender, Files, Owned } from "../store/contract.ts";
import { asideFolder, metadataFile, moveToData, ownerFile, type Planned, putAside } from "./commit.ts";
import { type ModelRef, safeDataName, stagingFolder, versionFolder } from "./layout.ts";
import { type Metadata, type Owner, stringifyMetadata } from "./metadata.ts";
import { DataVersions } from "./versions.ts";

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
  readonly hash: Hash;
  readonly file: Appender;
  readonly createdAt: string;
}

export class Staging {
  readonly #files: Files;
  readonly #machine: Machine;
  readonly #model: ModelRef;
  readonly #folder: string;
  readonly #runId: string;
  readonly #items = new Map<string, Item>();
  readonly #spools: Appender[] = [];
  #owned: Promise<Owned> | undefined;

  constructor(files: Files, machine: Machine, run: { readonly model: ModelRef; readonly runId: string }) {
    this.#files = files;
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
    await this.#own();
    const file = await this.#files.create(`${folder}/raw`);
    const hash = createHash("sha256");
    this.#items.set(name, {
      name,
      spec,
      fate,
      folder,
      hash,
      file,
      createdAt: new Date(this.#machine.clock.now()).toISOString(),
    });
    return hashing(file, hash);
  }

  /** A scratch file that never becomes data. */
  async spool(): Promise<{
    append(bytes: Uint8Array): void;
    readonly size: number;
    read(): AsyncIterable<Uint8Array>;
  }> {
    await this.#own();
    const path = `${this.#folder}/.spool-${this.#spools.length + 1}`;
    const file = await this.#files.create(path);
    this.#spools.push(file);
    const files = this.#files;
    return {
      append: (bytes) => file.append(bytes),
      get size() {
        return file.size;
      },
      async *read() {
        await file.close({ durable: false });
        yield* files.stream(path);
      },
    };
  }

  /** Before anything else is in the folder, it tells that we live. */
  #own(): Promise<Owned> {
    this.#owned ??= this.#files.own(`${this.#folder}/${ownerFile}`);
    return this.#owned;
  }

  /**
   * Makes everything data, or nothing: `assertHeld` is asked (and may throw) just before. Versions are allotted above all that exist.
   * `tags` are added to each item's. Gives what was committed, in the order of writing. What could not be committed is kept aside; the
   * error names it (`keptAside`). `lock_lost` also where the lock was lost after the check: then nothing of it is data, unless the error says `committed`.
   */
  async commit(options: {
    readonly owner: Owner;
    readonly tags: Readonly<Record<string, string>>;
    assertHeld(): Promise<void>;
  }): Promise<Committed[]> {
    const committing = `${this.#folder}.commit`;
    let planned: Planned[];
    try {
      planned = await this.#plan(committing, options);
      await options.assertHeld();
      if (planned.length > 0 && (await this.#files.adopt(this.#folder, committing)) !== "adopted") throw lostBefore();
    } catch (error) {
      // Files that are gone are what a lost lock looks like: then that is the thing to tell.
      const cause: unknown = await options.assertHeld().then(
        () => error,
        (lost: unknown) => lost,
      );
      throw await this.#keepAside(cause);
    }
    const metadatas = await this.#moveAll(planned);
    await this.#files.remove(committing);
    await this.discard();
    return metadatas.map(({ id, name, version, contentType, tags }) => ({
      dataId: id,
      name,
      version,
      contentType,
      tags,
      path: this.#files.locate(versionFolder(this.#model, name, version)),
    }));
  }

  /** Beyond the commit: what fails here is completed by the next holder. */
  async #moveAll(planned: readonly Planned[]): Promise<Metadata[]> {
    try {
      const moved = await Promise.all(planned.map((one) => moveToData(this.#files, this.#model, one)));
      const metadatas = moved.filter((one) => one !== undefined);
      if (metadatas.length < moved.length) throw lostAfter();
      return metadatas;
    } catch (error) {
      (await this.#owned)?.letGo();
      if (!(error instanceof FenError)) throw error;
      throw new FenError(error.code, error.message, {
        hint: `The outputs are complete; the next run of the model makes them data. ${error.hint ?? ""}`.trim(),
        facts: { ...error.facts, committed: true },
        cause: error,
      });
    }
  }

  /** Completes the staged folders, durably. */
  async #plan(
    committing: string,
    options: { readonly owner: Owner; readonly tags: Readonly<Record<string, string>> },
  ): Promise<Planned[]> {
    const data = new DataVersions(this.#files);
    const planned: Planned[] = [];
    for (const item of this.#items.values()) {
      await item.file.close({ durable: false });
      const metadata = this.#metadata(item, await data.nextNumber(this.#model, item.name), options);
      const file = await this.#files.create(`${item.folder}/${metadataFile}`);
      file.append(stringifyMetadata(metadata));
      await file.close({ durable: false });
      planned.push({ folder: `${committing}/${item.name}`, metadata });
    }
    if (planned.length > 0) await this.#files.settle(this.#folder);
    return planned;
  }

  #metadata(
    item: Item,
    version: number,
    options: { readonly owner: Owner; readonly tags: Readonly<Record<string, string>> },
  ): Metadata {
    const { contentType, lifetime, garbageCollection, streaming, tags } = item.spec;
    return {
      id: this.#machine.random.uuid(),
      name: item.name,
      version,
      contentType,
      lifetime,
      garbageCollection,
      streaming,
      tags: { ...tags, ...options.tags },
      ownerDefinition: { ...options.owner },
      createdAt: item.createdAt,
      size: item.file.size,
      checksum: item.hash.digest("hex"),
      ...item.fate,
    };
  }

  /** Forgets everything that isn't committed. */
  async discard(): Promise<void> {
    await this.#close();
    if (this.#owned !== undefined) await this.#files.remove(this.#folder);
    (await this.#owned)?.letGo();
    this.#owned = undefined;
  }

  /** What may not, or can't, be committed goes where no later run removes it; the error says where. */
  async #keepAside(error: unknown): Promise<unknown> {
    try {
      await this.#close();
      if (this.#items.size > 0) await putAside(this.#files, this.#folder, this.#runId);
      const path = asideFolder(this.#runId);
      if ((await this.#files.stat(path)) === undefined) return error;
      await this.#files.remove(`${path}/${ownerFile}`);
      return keptAside(error, this.#files.locate(path));
    } catch {
      return error; // the store fails: the first error is the one to tell
    }
  }

  async #close(): Promise<void> {
    for (const file of [...this.#spools, ...[...this.#items.values()].map((item) => item.file)])
      await file.close({ durable: false });
  }
}

function lostBefore(): FenError {
  return new FenError("lock_lost", "The lock was taken away before the outputs were committed.", {
    hint: "Look who holds it now: fen datastore lock status",
  });
}

function lostAfter(): FenError {
  return new FenError("lock_lost", "The lock was taken away while the outputs were being committed.");
}

function keptAside(error: unknown, path: string): unknown {
  if (!(error instanceof FenError)) return error;
  return new FenError(error.code, error.message, {
    hint: `What it produced is kept in ${path}. ${error.hint ?? ""}`.trim(),
    facts: { ...error.facts, keptAside: path },
    cause: error,
  });
}

/** Counts and hashes what passes; made durable with everything else at the commit. */
function hashing(file: Appender, hash: Hash): Appender {
  return {
    get size() {
      return file.size;
    },
    append: (bytes) => {
      file.append(bytes);
      hash.update(bytes);
    },
    sync: () => file.sync(),
    close: () => file.close({ durable: false }),
  };
}
