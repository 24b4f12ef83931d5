/** Versioned data of models, wherever it is (contract.ts). Reads take no lock and never see a version that isn't committed. */
import { FenError } from "../kernel/errors.ts";
import type { Held, VersionRef, VersionStore } from "./contract.ts";
import type { ModelRef } from "./layout.ts";
import { durationMs, type Metadata } from "./metadata.ts";

const maxRenames = 5;
/** So many versions are looked through for those of one run. */
const newest = 1000;

export interface DataVersion extends VersionRef {
  readonly metadata: Metadata;
}

export interface Expiry {
  readonly model: ModelRef;
  readonly name: string;
  readonly reason: string;
  readonly versions: readonly number[];
  readonly bytes: number;
  /** The whole entry goes, not only old versions. */
  readonly whole: boolean;
}

export class DataVersions {
  readonly store: VersionStore;

  constructor(store: VersionStore) {
    this.store = store;
  }

  /** Names of a model's data, tombstones included. */
  names(model: ModelRef): Promise<readonly string[]> {
    return this.store.names(model);
  }

  /** Version numbers that are committed, ascending. */
  numbers(model: ModelRef, name: string): Promise<readonly number[]> {
    return this.store.numbers(model, name);
  }

  /** The newest version. Undefined where there is none. */
  latestNumber(model: ModelRef, name: string): Promise<number | undefined> {
    return this.store.latestNumber(model, name);
  }

  /** One version. Throws `data_missing` or `data_corrupt`. */
  async version(model: ModelRef, name: string, number: number): Promise<DataVersion> {
    const ref = { model, name, number };
    const metadata = await this.store.metadata(ref);
    if (metadata !== undefined) return { ...ref, metadata };
    if (!(await this.numbers(model, name)).includes(number)) throw await this.#missing(model, name, number);
    const later = await this.store.metadata(ref); // it may have come in between
    if (later === undefined) throw damaged("metadata", ref, this.store.locate(ref).version);
    return { ...ref, metadata: later };
  }

  /** The newest version, following renames. Throws `data_missing`. */
  async latest(model: ModelRef, name: string): Promise<DataVersion> {
    let current = name;
    for (let step = 0; step <= maxRenames; step++) {
      const number = await this.latestNumber(model, current);
      if (number === undefined) throw await this.#missing(model, current);
      const found = await this.version(model, current, number);
      if (found.metadata.lifecycle !== "deleted") return found;
      if (found.metadata.renamedTo === undefined) throw await this.#missing(model, current);
      current = found.metadata.renamedTo;
    }
    throw new FenError("data_missing", `Data ${name} was renamed more than ${maxRenames} times in a row.`, {
      hint: "Name the data as it is called now; see: fen data list <model>",
      facts: { name },
    });
  }

  /** Versions that one run made: at most one of each name, and among the newest. */
  async madeBy(model: ModelRef, outputId: string): Promise<readonly DataVersion[]> {
    const found: DataVersion[] = [];
    for (const name of await this.names(model))
      for (const number of (await this.numbers(model, name)).slice(-newest).toReversed()) {
        const version = await this.version(model, name, number);
        if (version.metadata.ownerDefinition["outputId"] !== outputId) continue;
        found.push(version);
        break;
      }
    return found;
  }

  /** The content. Throws `file_too_large` beyond `maxBytes`. */
  async content(version: DataVersion, maxBytes: number): Promise<Uint8Array> {
    const bytes = await this.store.read(version, { maxBytes });
    if (bytes !== undefined) return bytes;
    throw damaged("content", version, this.contentPath(version));
  }

  contentPath(version: DataVersion): string {
    return this.store.locate(version).content;
  }

  stream(version: DataVersion): AsyncIterable<Uint8Array> {
    return this.store.stream(version);
  }

  /** All models that have data. */
  models(): Promise<readonly ModelRef[]> {
    return this.store.models();
  }

  /** Removes one version (the newest that is left is the latest then) or the whole name. Throws `data_missing`. */
  async remove(
    model: ModelRef,
    name: string,
    { version, held }: { readonly version?: number | undefined; readonly held: Held },
  ): Promise<{ readonly versions: readonly number[]; readonly bytes: number }> {
    const numbers = await this.numbers(model, name);
    const doomed = version === undefined ? numbers : numbers.filter((number) => number === version);
    if (doomed.length === 0) throw await this.#missing(model, name, version);
    return { versions: doomed, bytes: await this.store.remove(model, name, { numbers: doomed, held }) };
  }

  /** What a clean-up at `now` (wall clock, milliseconds) would remove from one model. */
  async expired(model: ModelRef, now: number): Promise<Expiry[]> {
    const found: Expiry[] = [];
    for (const name of await this.names(model)) {
      const expiry = await this.#expiredOf(model, name, now);
      if (expiry !== undefined) found.push(expiry);
    }
    return found;
  }

  async #expiredOf(model: ModelRef, name: string, now: number): Promise<Expiry | undefined> {
    const numbers = await this.numbers(model, name);
    const highest = numbers.at(-1);
    if (highest === undefined) return undefined;
    const newest = (await this.version(model, name, highest)).metadata;
    const lifetime = durationMs(newest.lifetime);
    const age = (metadata: Metadata) => now - Date.parse(metadata.createdAt);
    if (lifetime !== undefined && age(newest) > lifetime)
      return this.#expiry(model, name, `older than ${newest.lifetime}`, numbers, true);
    const { garbageCollection: rule } = newest;
    const keepMs = typeof rule === "string" ? durationMs(rule) : undefined;
    const count = typeof rule === "number" ? rule : Number(rule);
    let old: number[] = [];
    if (keepMs !== undefined) {
      for (const number of numbers.slice(0, -1))
        if (age((await this.version(model, name, number)).metadata) > keepMs) old.push(number);
    } else if (Number.isInteger(count) && count >= 1) old = numbers.slice(0, -count);
    const reason = keepMs === undefined ? `more than ${rule} kept` : `older than ${rule}`;
    return old.length === 0 ? undefined : this.#expiry(model, name, reason, old, false);
  }

  async #expiry(
    model: ModelRef,
    name: string,
    reason: string,
    versions: readonly number[],
    whole: boolean,
  ): Promise<Expiry> {
    let bytes = 0;
    for (const version of versions) bytes += await this.store.size({ model, name, number: version });
    return { model, name, reason, versions, bytes, whole };
  }

  async #missing(model: ModelRef, name: string, version?: number): Promise<FenError> {
    const names = await this.names(model);
    const numbers = version === undefined ? [] : await this.numbers(model, name);
    const known =
      numbers.length > 0
        ? `It has versions ${numbers.join(", ")}.`
        : names.length > 0
          ? `The model has: ${names.join(", ")}.`
          : "The model has no data yet.";
    return new FenError("data_missing", `No data ${name}${version === undefined ? "" : ` version ${version}`}.`, {
      hint: known,
      facts: { name, ...(version === undefined ? {} : { version }) },
    });
  }
}

/** A part of a version that is there. */
function damaged(
  part: "content" | "metadata",
  { name, number }: Pick<DataVersion, "name" | "number">,
  path: string,
): FenError {
  return new FenError("data_corrupt", `The ${part} of ${name} version ${number} is missing: ${path}`, {
    hint: `Remove the version: fen data delete <model> ${name} --version ${number}`,
    facts: { path },
  });
}
