/**
 * Data as expressions see it. Data whose model was deleted and made anew, under another id, belongs to the model of the same type that its tag `modelName` names,
 * or to the only model of that type.
 */
import type { ModelRef } from "../data/layout.ts";
import type { DataVersion, DataVersions } from "../data/versions.ts";
import type { DataRecord, DataSource, FileRecord, OutputsBySpec } from "../expression/sources.ts";
import { FenError } from "../kernel/errors.ts";
import { compareCodePoints } from "../kernel/order.ts";
import type { ModelDefinition } from "../model/definition.ts";
import type { ModelIndex } from "./model-index.ts";

/** Larger content isn't read into an expression. */
const maxContentBytes = 16 * 1024 * 1024;

export class DataReader implements DataSource {
  readonly #data: DataVersions;
  readonly #models: ModelIndex;
  readonly #strays = new Map<string, Promise<readonly ModelRef[]>>();
  #withData: Promise<readonly ModelRef[]> | undefined;

  constructor(data: DataVersions, models: ModelIndex) {
    this.#data = data;
    this.#models = models;
  }

  async latest(model: string, name: string): Promise<DataRecord | undefined> {
    const found = await this.#find(model, (ref) => this.#data.latest(ref, name));
    return found === undefined ? undefined : this.#record(found);
  }

  async version(model: string, name: string, version: number): Promise<DataRecord | undefined> {
    const found = await this.#find(model, (ref) => this.#data.version(ref, name, version));
    return found === undefined || found.metadata.lifecycle === "deleted" ? undefined : this.#record(found);
  }

  async listVersions(model: string, name: string): Promise<readonly number[]> {
    const found = await this.#find(model, (ref) => this.#data.latest(ref, name));
    return found === undefined ? [] : this.#data.numbers(found.model, found.metadata.name);
  }

  async findByTag(key: string, value: string): Promise<readonly DataRecord[]> {
    const records: DataRecord[] = [];
    for (const { name } of [...(await this.#models.all())].sort((a, b) => compareCodePoints(a.name, b.name)))
      for (const found of await this.#all(name))
        if (found.metadata.tags[key] === value) records.push(await this.#record(found));
    return records;
  }

  async findBySpec(model: string, spec: string): Promise<readonly DataRecord[]> {
    const found = await this.#all(model, ({ metadata }) => metadata.tags["specName"] === spec);
    return Promise.all(found.map((one) => this.#record(one)));
  }

  async contents(model: string, spec: string): Promise<string | undefined> {
    const [first] = await this.#all(model, ({ metadata: { tags } }) => tags["specName"] === spec);
    return first === undefined ? undefined : new TextDecoder().decode(await this.#data.content(first, maxContentBytes));
  }

  async outputs(model: string, kind: "resource" | "file", spec?: string): Promise<OutputsBySpec> {
    const bySpec: Record<string, Record<string, DataRecord | FileRecord>> = {};
    const isWanted = ({ metadata: { tags } }: DataVersion) =>
      tags["type"] === kind && tags["specName"] !== undefined && (spec ?? tags["specName"]) === tags["specName"];
    for (const found of await this.#all(model, isWanted)) {
      const { name, tags } = found.metadata;
      const instances = (bySpec[tags["specName"] ?? ""] ??= {});
      instances[name] = kind === "resource" ? await this.#record(found) : this.#file(found);
    }
    return bySpec;
  }

  /** What `read` finds in the model's own data, else in that which belongs to it by name. */
  async #find(model: string, read: (ref: ModelRef) => Promise<DataVersion>): Promise<DataVersion | undefined> {
    const { definition } = await this.#models.find(model);
    const own = await ifThere(read(definition));
    if (own !== undefined) return own;
    for (const stray of await this.#straysOf(definition)) {
      const found = await ifThere(read(stray));
      if (found !== undefined && (await this.#belongs(found, definition))) return found;
    }
    return undefined;
  }

  /** The latest version of each data of a model, by name; what was deleted or renamed is left out. */
  async #all(model: string, isWanted: (found: DataVersion) => boolean = () => true): Promise<DataVersion[]> {
    const { definition } = await this.#models.find(model);
    const byName = new Map<string, DataVersion>();
    for (const ref of [definition, ...(await this.#straysOf(definition))])
      for (const name of await this.#data.names(ref)) {
        const number = byName.has(name) ? undefined : await this.#data.latestNumber(ref, name);
        const found = number === undefined ? undefined : await ifThere(this.#data.version(ref, name, number));
        if (found === undefined || found.metadata.lifecycle === "deleted" || !isWanted(found)) continue;
        if (ref === definition || (await this.#belongs(found, definition))) byName.set(name, found);
      }
    return [...byName.values()].sort((a, b) => compareCodePoints(a.metadata.name, b.metadata.name));
  }

  /** Models of the same type that have data but no definition. */
  #straysOf({ type }: ModelDefinition): Promise<readonly ModelRef[]> {
    const strays = this.#strays.get(type) ?? this.#findStrays(type);
    this.#strays.set(type, strays);
    return strays;
  }

  async #findStrays(type: string): Promise<readonly ModelRef[]> {
    this.#withData ??= this.#data.models();
    const withData = (await this.#withData).filter((one) => one.type === type);
    if (withData.length === 0) return [];
    const known = new Set((await this.#models.all()).filter((one) => one.type === type).map(({ id }) => id));
    return withData.filter(({ id }) => !known.has(id.toLowerCase()));
  }

  async #belongs({ metadata: { tags } }: DataVersion, { name, type }: ModelDefinition): Promise<boolean> {
    if (tags["modelName"] === name) return true;
    const ofType = (await this.#models.all()).filter((one) => one.type === type);
    return ofType.length === 1 && !ofType.some((one) => one.name === tags["modelName"]);
  }

  async #record(found: DataVersion): Promise<DataRecord> {
    const { id, name, version, createdAt, tags, contentType } = found.metadata;
    return { id, name, version, createdAt, attributes: await this.#attributes(found, contentType), tags };
  }

  async #attributes(found: DataVersion, contentType: string): Promise<unknown> {
    if (!/\bjson\b/.test(contentType)) return {};
    const text = new TextDecoder().decode(await this.#data.content(found, maxContentBytes));
    try {
      const value: unknown = JSON.parse(text);
      return value;
    } catch (error) {
      const path = this.#data.contentPath(found);
      throw new FenError("data_corrupt", `The content isn't the JSON that it says it is: ${path}`, {
        hint: "Look at it, or run the method again that makes it.",
        facts: { path },
        cause: error,
      });
    }
  }

  #file(found: DataVersion): FileRecord {
    const { id, version, createdAt, size = 0, contentType } = found.metadata;
    return { id, version, createdAt, path: this.#data.contentPath(found), size, contentType };
  }
}

/** Undefined for data that isn't there. */
async function ifThere(reading: Promise<DataVersion>): Promise<DataVersion | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof FenError && error.code === "data_missing") return undefined;
    throw error;
  }
}
