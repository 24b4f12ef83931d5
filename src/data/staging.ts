/**
 * The outputs of one run before they are data (decision 0003). Written into a staging folder; committed by renames under the model's lock, so that
 * readers see each version whole or not at all. What a crash leaves is finished or removed by `recoverStaging` at the next run.
 */
import { createHash, type Hash } from "node:crypto";
import { FenError } from "../kernel/errors.ts";
import type { Machine } from "../kernel/machine.ts";
import type { Appender, Files } from "../store/contract.ts";
import { dataFolder, type ModelRef, stagedFolder, stagingFolder, versionFolder } from "./layout.ts";
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

/** What `commit.json` says: from here on the commit is finished, whatever happens. */
interface Plan {
  readonly moves: readonly { readonly from: string; readonly name: string; readonly version: number }[];
}

export class Staging {
  readonly #files: Files;
  readonly #machine: Machine;
  readonly #model: ModelRef;
  readonly #folder: string;
  readonly #runId: string;
  readonly #items = new Map<string, Item>();
  #spools = 0;
  #isPlanned = false;

  constructor(files: Files, machine: Machine, run: { readonly model: ModelRef; readonly runId: string }) {
    this.#files = files;
    this.#machine = machine;
    this.#model = run.model;
    this.#runId = run.runId;
    this.#folder = `${stagingFolder(run.model)}/${run.runId}`;
  }

  /** True from the moment when nothing can stop the commit any more until it is carried out. */
  get isPlanned(): boolean {
    return this.#isPlanned;
  }

  /** JSON as one line, without a newline at its end. */
  async writeJson(name: string, content: unknown, spec: StagedSpec, fate: Fate = {}): Promise<void> {
    const file = await this.openFile(name, spec, fate);
    file.append(JSON.stringify(content) ?? "null");
    await file.close();
  }

  /** A file that becomes data at `commit`. One of each name per run. */
  async openFile(name: string, spec: StagedSpec, fate: Fate = {}): Promise<Appender> {
    const folder = stagedFolder(this.#folder, name);
    if (this.#items.has(name)) throw new Error(`the run has written ${name} already`);
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
    const path = `${this.#folder}/.spool-${++this.#spools}`;
    const file = await this.#files.create(path);
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

  /**
   * Makes everything visible, or nothing: `assertHeld` is asked (and may throw) just before. Versions are allotted above all that exist.
   * `tags` are added to each item's. Gives what was committed, in the order of writing.
   */
  async commit(options: {
    readonly owner: Owner;
    readonly tags: Readonly<Record<string, string>>;
    assertHeld(): Promise<void>;
  }): Promise<Committed[]> {
    const data = new DataVersions(this.#files);
    const plan: Plan["moves"][number][] = [];
    const metadatas: Metadata[] = [];
    for (const item of this.#items.values()) {
      await item.file.close();
      const version = ((await data.numbers(this.#model, item.name)).at(-1) ?? 0) + 1;
      const metadata = this.#metadata(item, version, options);
      const file = await this.#files.create(`${item.folder}/metadata.yaml`);
      file.append(stringifyMetadata(metadata));
      await file.close();
      plan.push({ from: item.folder, name: item.name, version });
      metadatas.push(metadata);
    }
    await options.assertHeld();
    if (plan.length > 0) {
      await this.#files.write(`${this.#folder}/commit.json`, JSON.stringify({ moves: plan } satisfies Plan));
      this.#isPlanned = true;
    }
    try {
      await carryOut(this.#files, this.#model, plan);
    } catch (error) {
      throw commitPending(error);
    }
    this.#isPlanned = false;
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

  /** Forgets everything that isn't committed; what is planned is left to `recoverStaging`. */
  async discard(): Promise<void> {
    if (this.#isPlanned) return;
    for (const item of this.#items.values()) await item.file.close({ durable: false });
    this.#items.clear();
    await this.#files.remove(this.#folder);
    await this.#removeEmpty();
  }

  /** The folder above goes too when nobody else stages there; it is made again when needed. */
  async #removeEmpty(): Promise<void> {
    if ((await this.#files.list(stagingFolder(this.#model))).length === 0)
      await this.#files.remove(stagingFolder(this.#model));
  }

  /** Moves what may not be committed (the lock was lost) where no later run removes it. Gives the absolute path; undefined where there was nothing. */
  async keepAside(): Promise<string | undefined> {
    for (const item of this.#items.values()) await item.file.close();
    const aside = asideFolder(this.#runId);
    const isThere = (await this.#files.stat(this.#folder)) !== undefined;
    if (!isThere || !(await this.#files.adopt(this.#folder, aside))) return undefined;
    await this.#removeEmpty();
    return this.#files.locate(aside);
  }
}

function commitPending(error: unknown): unknown {
  if (!(error instanceof FenError)) return error;
  return new FenError(error.code, error.message, {
    hint: `What was made is complete: the next command on the model commits it. ${error.hint ?? ""}`.trim(),
    facts: error.facts,
    cause: error,
  });
}

function asideFolder(runId: string): string {
  return `.fen/aside/${runId}`;
}

function hashing(file: Appender, hash: Hash): Appender {
  return {
    get size() {
      return file.size;
    },
    append: (bytes) => {
      file.append(bytes);
      hash.update(bytes);
    },
    close: (options) => file.close(options),
  };
}

/** Moves each staged folder to its version and sets `latest`. Can be repeated: what was moved already is left alone. */
async function carryOut(files: Files, model: ModelRef, moves: Plan["moves"]): Promise<void> {
  const data = new DataVersions(files);
  for (const move of moves) {
    if (
      (await files.stat(`${move.from}/metadata.yaml`)) !== undefined &&
      !(await files.adopt(move.from, versionFolder(model, move.name, move.version)))
    ) {
      const version = `${dataFolder(model, move.name)}/${move.version}`;
      throw new FenError("data_exists", `Somebody else made ${version} during the commit.`, {
        hint: "Run the command again.",
        facts: { name: move.name, version: move.version },
      });
    }
    await data.setLatest(model, move.name);
  }
}

export interface Recovered {
  readonly runId: string;
  /** True where its commit had begun and is now complete; false where its partial outputs were removed. */
  readonly committed: boolean;
  /** Where its outputs are, where the commit couldn't be finished. */
  readonly keptAside?: string;
}

/** Finishes or removes what runs that died left behind. Only under the model's exclusive lock. */
export async function recoverStaging(files: Files, model: ModelRef): Promise<Recovered[]> {
  const recovered: Recovered[] = [];
  for (const { name: runId } of await files.list(stagingFolder(model))) {
    const folder = `${stagingFolder(model)}/${runId}`;
    const plan = await files.read(`${folder}/commit.json`, { maxBytes: 1024 * 1024 });
    const keptAside = plan === undefined ? undefined : await finish(files, model, { runId, folder, plan });
    await files.remove(folder);
    recovered.push({
      runId,
      committed: plan !== undefined && keptAside === undefined,
      ...(keptAside === undefined ? {} : { keptAside }),
    });
  }
  if (recovered.length > 0) await files.remove(stagingFolder(model));
  return recovered;
}

/** Carries a plan out. One that can't be (a damaged disk, versions of an older client in its way) must not stop the model for ever: its outputs are kept aside. */
async function finish(
  files: Files,
  model: ModelRef,
  run: { readonly runId: string; readonly folder: string; readonly plan: Uint8Array },
): Promise<string | undefined> {
  try {
    await carryOut(files, model, readPlan(run.plan, run.folder));
    return undefined;
  } catch (error) {
    const isHopeless =
      error instanceof FenError && ["data_corrupt", "name_invalid", "data_exists"].includes(error.code);
    if (!isHopeless) throw error;
    const aside = asideFolder(run.runId);
    await files.adopt(run.folder, aside);
    return files.locate(aside);
  }
}

/** A plan names folders only inside its own run's folder, and safe names. Throws `data_corrupt`, `name_invalid`. */
function readPlan(bytes: Uint8Array, folder: string): Plan["moves"] {
  const bad = () =>
    new FenError("data_corrupt", `The plan of a commit can't be read: ${folder}/commit.json`, {
      hint: "What the run produced is kept aside.",
    });
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw bad(); // a damaged disk: a plan is written whole or not at all
  }
  const moves: unknown = typeof value === "object" && value !== null && "moves" in value ? value.moves : undefined;
  if (!Array.isArray(moves)) throw bad();
  return moves.map((move: unknown) => {
    if (typeof move !== "object" || move === null || !("name" in move) || !("version" in move)) throw bad();
    const { name, version } = move;
    if (typeof name !== "string" || typeof version !== "number" || !Number.isInteger(version) || version < 1)
      throw bad();
    return { from: stagedFolder(folder, name), name, version };
  });
}
