/**
 * Versioned data of models: `data/<type>/<id>/<name>/<n>/{metadata.yaml,raw}` and `latest`. A version is there whole or not at all and never
 * changes. Reads take no lock and never see a version that isn't committed.
 */
import { FenError } from "../kernel/errors.ts";
import type { Files } from "../store/contract.ts";
import { dataFolder, modelFolder, type ModelRef, versionFolder } from "./layout.ts";
import { durationMs, type Metadata, parseMetadata } from "./metadata.ts";

const maxMetadataBytes = 1024 * 1024;
const maxRenames = 5;
/** So many versions are looked through for those of one run. */
const newest = 1000;

export interface DataVersion {
  readonly model: ModelRef;
  readonly metadata: Metadata;
  /** Relative to the datastore. */
  readonly folder: string;
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
  readonly #files: Files;

  constructor(files: Files) {
    this.#files = files;
  }

  /** Names of a model's data, tombstones included. */
  async names(model: ModelRef): Promise<string[]> {
    const entries = await this.#files.list(modelFolder(model));
    return entries.filter((entry) => entry.kind === "folder" && !entry.name.startsWith(".")).map((entry) => entry.name);
  }

  /** Version numbers that are committed, ascending. */
  async numbers(model: ModelRef, name: string): Promise<number[]> {
    const entries = await this.#files.list(dataFolder(model, name));
    return entries
      .filter((entry) => entry.kind === "folder" && /^[1-9]\d*$/.test(entry.name))
      .map((entry) => Number(entry.name))
      .sort((a, b) => a - b);
  }

  /** One more than the highest number in use. */
  async nextNumber(model: ModelRef, name: string): Promise<number> {
    const entries = await this.#files.list(dataFolder(model, name));
    return Math.max(0, ...entries.map((entry) => (/^[1-9]\d*$/.test(entry.name) ? Number(entry.name) : 0))) + 1;
  }

  /** The newest version: what `latest` says if it is there, else the highest number. Undefined where there is none. */
  async latestNumber(model: ModelRef, name: string): Promise<number | undefined> {
    const numbers = await this.numbers(model, name);
    const said = await this.#files.read(`${dataFolder(model, name)}/latest`, { maxBytes: 64 }).catch(() => undefined); // a link to a folder, or garbage: the numbers tell
    const number = said === undefined ? Number.NaN : Number(new TextDecoder().decode(said).trim());
    return numbers.includes(number) && number >= (numbers.at(-1) ?? 0) ? number : numbers.at(-1);
  }

  /** One version. Throws `data_missing` or `data_corrupt`. */
  async version(model: ModelRef, name: string, number: number): Promise<DataVersion> {
    const folder = versionFolder(model, name, number);
    const bytes = await this.#files.read(`${folder}/metadata.yaml`, { maxBytes: maxMetadataBytes });
    if (bytes === undefined) throw await this.#missing(model, name, number);
    const metadata = parseMetadata(new TextDecoder().decode(bytes), this.#files.locate(`${folder}/metadata.yaml`));
    return { model, metadata, folder };
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
    const path = `${version.folder}/raw`;
    const bytes = await this.#files.read(path, { maxBytes });
    if (bytes === undefined)
      throw new FenError(
        "data_corrupt",
        `The content of ${version.metadata.name} version ${version.metadata.version} is missing: ${this.#files.locate(path)}`,
        {
          hint: `Remove the version: fen data delete <model> ${version.metadata.name} --version ${version.metadata.version}`,
          facts: { path },
        },
      );
    return bytes;
  }

  contentPath(version: DataVersion): string {
    return this.#files.locate(`${version.folder}/raw`);
  }

  stream(version: DataVersion): AsyncIterable<Uint8Array> {
    return this.#files.stream(`${version.folder}/raw`);
  }

  /** All models that have data. */
  async models(): Promise<ModelRef[]> {
    const found: ModelRef[] = [];
    const walk = async (segments: readonly string[]): Promise<void> => {
      for (const entry of await this.#files.list(["data", ...segments].join("/"))) {
        if (entry.kind !== "folder") continue;
        if (/^[0-9a-f-]{36}$/i.test(entry.name)) found.push({ type: segments.join("/"), id: entry.name });
        else if (segments.length < 8) await walk([...segments, entry.name]);
      }
    };
    await walk([]);
    return found;
  }

  /** Removes one version (`latest` then names the newest that is left) or the whole name. Only under the model's lock. */
  async remove(
    model: ModelRef,
    name: string,
    version?: number,
  ): Promise<{ readonly versions: number[]; readonly bytes: number }> {
    const numbers = await this.numbers(model, name);
    const doomed = version === undefined ? numbers : numbers.filter((number) => number === version);
    if (doomed.length === 0) throw await this.#missing(model, name, version);
    let bytes = 0;
    for (const number of doomed) bytes += await this.#removeVersion(model, name, number);
    if (doomed.length === numbers.length) await this.#files.remove(dataFolder(model, name));
    else await this.setLatest(model, name);
    return { versions: doomed, bytes };
  }

  async #removeVersion(model: ModelRef, name: string, number: number): Promise<number> {
    const folder = versionFolder(model, name, number);
    const size = (await this.#files.stat(`${folder}/raw`))?.size ?? 0;
    await this.#files.remove(folder);
    return size;
  }

  /** Writes `latest` as the highest number there is. */
  async setLatest(model: ModelRef, name: string): Promise<void> {
    const highest = (await this.numbers(model, name)).at(-1);
    if (highest !== undefined) await this.setLatestFrom(model, name, highest);
  }

  /**
   * As `setLatest`, for whoever knows that `highest` was the highest. Several may do so at once: who finds a higher number
   * after writing (numbers are given out one after the other) writes again.
   */
  async setLatestFrom(model: ModelRef, name: string, highest: number): Promise<void> {
    let number = highest;
    for (;;) {
      await this.#files.write(`${dataFolder(model, name)}/latest`, String(number), { durable: false });
      if ((await this.#files.stat(versionFolder(model, name, number + 1))) === undefined) return;
      const next = (await this.numbers(model, name)).at(-1) ?? number;
      if (next <= number) return;
      number = next;
    }
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
    for (const version of versions)
      bytes += (await this.#files.stat(`${versionFolder(model, name, version)}/raw`))?.size ?? 0;
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
