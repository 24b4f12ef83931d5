/** Data of models: read without locks, changed under the model's lock, cleaned up under the datastore's. */
import { FenError } from "../kernel/errors.ts";
import type { Held } from "../data/contract.ts";
import { safeDataName, type ModelRef } from "../data/layout.ts";
import { durationMs, type Metadata } from "../data/metadata.ts";
import type { DataVersion } from "../data/versions.ts";
import type { ModelDefinition } from "../model/definition.ts";
import type { AppContext } from "./context.ts";
import { parseTags } from "./inputs.ts";
import { settlePast } from "./settle.ts";
import { workUnder } from "./work-under.ts";
import { modelLock, openWorkspace, type Workspace } from "./workspace.ts";

/** Larger content isn't put into a document. */
const maxInlineBytes = 16 * 1024 * 1024;

export interface DataGetResult extends Omit<Metadata, "lifecycle" | "renamedTo"> {
  readonly modelId: string;
  readonly modelName: string;
  readonly modelType: string;
  readonly contentPath: string;
  /** JSON as JSON, everything else as text. */
  readonly content?: unknown;
}

export interface DataGetOptions {
  readonly model: string;
  readonly name: string;
  readonly version?: number | undefined;
  readonly content: "inline" | "none";
}

export async function getData(context: AppContext, options: DataGetOptions): Promise<DataGetResult> {
  const workspace = await openWorkspace(context);
  const { definition } = await workspace.definitions.find(options.model);
  const found = await findVersion(workspace, definition, options.name, options.version);
  const content =
    options.content === "none"
      ? {}
      : { content: decode(await workspace.data.content(found, maxInlineBytes), found.metadata.contentType) };
  return { ...describe(definition, found), contentPath: workspace.data.contentPath(found), ...content };
}

/** The bytes of a version as they are, piece by piece. */
export async function streamData(context: AppContext, options: DataGetOptions): Promise<AsyncIterable<Uint8Array>> {
  const workspace = await openWorkspace(context);
  const { definition } = await workspace.definitions.find(options.model);
  return workspace.data.stream(await findVersion(workspace, definition, options.name, options.version));
}

function findVersion(
  workspace: Workspace,
  model: ModelRef,
  name: string,
  version: number | undefined,
): Promise<DataVersion> {
  safeDataName(name);
  return version === undefined ? workspace.data.latest(model, name) : workspace.data.version(model, name, version);
}

function describe(definition: ModelDefinition, { metadata }: DataVersion) {
  const { lifecycle: _lifecycle, renamedTo: _renamedTo, ...shown } = metadata;
  return { ...shown, modelId: definition.id, modelName: definition.name, modelType: definition.type };
}

/** JSON that can't be parsed is shown as text. */
export function decode(bytes: Uint8Array, contentType: string): unknown {
  const text = new TextDecoder().decode(bytes);
  if (!contentType.includes("json")) return text;
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    return text;
  }
}

export interface DataItem {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly contentType: string;
  readonly lifetime: string;
  readonly streaming: boolean;
  readonly size?: number;
  readonly createdAt: string;
  readonly tags: Readonly<Record<string, string>>;
}

export interface DataListResult {
  readonly modelId: string;
  readonly modelName: string;
  readonly modelType: string;
  readonly groups: readonly { readonly type: string; readonly items: readonly DataItem[] }[];
  readonly total: number;
}

export async function listData(
  context: AppContext,
  options: { readonly model: string; readonly type?: string | undefined },
): Promise<DataListResult> {
  const workspace = await openWorkspace(context);
  const { definition } = await workspace.definitions.find(options.model);
  const items = (await newestOf(context, workspace, definition)).map(toItem);
  const types = [...new Set(items.map((item) => item.tags["type"] ?? "other"))]
    .sort()
    .filter((type) => options.type === undefined || type === options.type);
  const groups = types.map((type) => ({
    type,
    items: items.filter((item) => (item.tags["type"] ?? "other") === type),
  }));
  return {
    modelId: definition.id,
    modelName: definition.name,
    modelType: definition.type,
    groups,
    total: groups.reduce((sum, group) => sum + group.items.length, 0),
  };
}

/** The newest version of each name; names that can't be read are warned of. */
async function newestOf(context: AppContext, workspace: Workspace, model: ModelRef): Promise<DataVersion[]> {
  const found: DataVersion[] = [];
  for (const name of await workspace.data.names(model)) {
    try {
      const number = await workspace.data.latestNumber(model, name);
      const version = number === undefined ? undefined : await workspace.data.version(model, name, number);
      if (version !== undefined && version.metadata.lifecycle !== "deleted") found.push(version);
    } catch (error) {
      if (!(error instanceof FenError)) throw error;
      context.emit({ event: "warning", message: error.message });
    }
  }
  return found;
}

function toItem({ metadata }: DataVersion): DataItem {
  const { id, name, version, contentType, lifetime, streaming, size, createdAt, tags } = metadata;
  return {
    id,
    name,
    version,
    contentType,
    lifetime,
    streaming,
    ...(size === undefined ? {} : { size }),
    createdAt,
    tags,
  };
}

export interface DataSearchOptions {
  readonly query: string;
  readonly type?: string | undefined;
  readonly model?: string | undefined;
  readonly lifetime?: string | undefined;
  readonly contentType?: string | undefined;
  readonly since?: string | undefined;
  readonly tags: readonly string[];
  readonly limit: number;
}

export interface DataSearchResult {
  readonly query: string;
  readonly filters: Readonly<Record<string, unknown>>;
  readonly results: readonly (DataItem & {
    readonly modelId: string;
    readonly modelName: string;
    readonly modelType: string;
  })[];
  readonly total: number;
  readonly limited: boolean;
}

export async function searchData(context: AppContext, options: DataSearchOptions): Promise<DataSearchResult> {
  const workspace = await openWorkspace(context);
  const tags = Object.entries(parseTags(options.tags));
  const earliest = earliestOf(context, options.since);
  const names = new Map((await workspace.definitions.list()).definitions.map((one) => [one.id, one.name]));
  const wanted =
    options.model === undefined ? undefined : (await workspace.definitions.find(options.model)).definition.id;
  const results: DataSearchResult["results"][number][] = [];
  for (const model of await workspace.data.models()) {
    if (wanted !== undefined && model.id !== wanted) continue;
    for (const version of await newestOf(context, workspace, model)) {
      const item = toItem(version);
      if (!matches(item, options, tags, earliest)) continue;
      results.push({
        ...item,
        modelId: model.id,
        modelName: names.get(model.id) ?? item.tags["modelName"] ?? "",
        modelType: model.type,
      });
    }
  }
  results.sort((a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt));
  const { query, limit, tags: _tags, ...filters } = options;
  const shown = Object.fromEntries(
    Object.entries({ ...filters, ...(tags.length > 0 ? { tags: Object.fromEntries(tags) } : {}) }).filter(
      ([, value]) => value !== undefined,
    ),
  );
  return {
    query,
    filters: shown,
    results: results.slice(0, limit),
    total: results.length,
    limited: results.length > limit,
  };
}

/** The time that `--since 7d` means, in milliseconds since the epoch. Throws `usage`. */
export function earliestOf({ machine }: AppContext, since: string | undefined): number {
  if (since === undefined) return -Infinity;
  const ms = durationMs(since);
  if (ms === undefined)
    throw new FenError("usage", `--since can't be ${since}.`, { hint: "For example: 30m, 12h, 7d" });
  return machine.clock.now() - ms;
}

function matches(
  item: DataItem,
  options: DataSearchOptions,
  tags: readonly (readonly [string, string])[],
  earliest: number,
): boolean {
  const query = options.query.toLowerCase();
  return (
    (item.name.toLowerCase().includes(query) || (item.tags["modelName"] ?? "").toLowerCase().includes(query)) &&
    (options.type === undefined || item.tags["type"] === options.type) &&
    (options.lifetime === undefined || item.lifetime === options.lifetime) &&
    (options.contentType === undefined || item.contentType === options.contentType) &&
    Date.parse(item.createdAt) >= earliest &&
    tags.every(([key, value]) => item.tags[key] === value)
  );
}

export interface DataVersionsResult {
  readonly dataName: string;
  readonly modelId: string;
  readonly modelName: string;
  readonly modelType: string;
  readonly versions: readonly {
    readonly version: number;
    readonly createdAt: string;
    readonly size?: number;
    readonly checksum?: string;
    readonly isLatest: boolean;
    /** `deleted`: no content, only a mark that the data was renamed or deleted. */
    readonly lifecycle?: string;
    readonly renamedTo?: string;
  }[];
  readonly total: number;
}

export async function listVersions(
  context: AppContext,
  options: { readonly model: string; readonly name: string },
): Promise<DataVersionsResult> {
  const workspace = await openWorkspace(context);
  const { definition } = await workspace.definitions.find(options.model);
  const name = safeDataName(options.name);
  const latest = await workspace.data.latestNumber(definition, name);
  if (latest === undefined) await workspace.data.latest(definition, name);
  const versions: DataVersionsResult["versions"][number][] = [];
  for (const number of (await workspace.data.numbers(definition, name)).toReversed()) {
    try {
      const { metadata } = await workspace.data.version(definition, name, number);
      const { createdAt, size, checksum, lifecycle, renamedTo } = metadata;
      versions.push({
        version: number,
        createdAt,
        ...(size === undefined ? {} : { size }),
        ...(checksum === undefined ? {} : { checksum }),
        isLatest: number === latest,
        ...(lifecycle === undefined ? {} : { lifecycle }),
        ...(renamedTo === undefined ? {} : { renamedTo }),
      });
    } catch (error) {
      if (!(error instanceof FenError)) throw error;
      context.emit({ event: "warning", message: error.message });
    }
  }
  return {
    dataName: name,
    modelId: definition.id,
    modelName: definition.name,
    modelType: definition.type,
    versions,
    total: versions.length,
  };
}

export interface DataDeleteResult {
  readonly modelId: string;
  readonly modelName: string;
  readonly dataName: string;
  readonly versionsDeleted: readonly number[];
  readonly bytesReclaimed: number;
}

interface DataDeleteOptions {
  readonly model: string;
  readonly name: string;
  readonly version?: number | undefined;
  readonly force: boolean;
  confirm(question: string): Promise<boolean>;
}

export async function deleteData(
  context: AppContext,
  options: DataDeleteOptions,
): Promise<DataDeleteResult | { readonly cancelled: true }> {
  const workspace = await openWorkspace(context);
  const loaded = await workspace.definitions.find(options.model);
  const name = safeDataName(options.name);
  await findAny(workspace, loaded.definition, name, options.version);
  const what = `${name}${options.version === undefined ? " (all versions)" : ` version ${options.version}`} of ${loaded.definition.name}`;
  if (!options.force && !(await options.confirm(`Delete the data ${what}?`))) return { cancelled: true };
  const lease = await workspace.lock([modelLock(loaded)]);
  return workUnder(lease, async () => {
    await settlePast(context, workspace, { definition: loaded.definition, lease });
    const { versions, bytes } = await workspace.data.remove(loaded.definition, name, {
      version: options.version,
      held: lease,
    });
    return {
      modelId: loaded.definition.id,
      modelName: loaded.definition.name,
      dataName: name,
      versionsDeleted: versions,
      bytesReclaimed: bytes,
    };
  });
}

/** Throws `data_missing`; a version that can't be read is there all the same. */
async function findAny(
  workspace: Workspace,
  model: ModelRef,
  name: string,
  version: number | undefined,
): Promise<void> {
  const numbers = await workspace.data.numbers(model, name);
  if (version === undefined ? numbers.length > 0 : numbers.includes(version)) return;
  if (version === undefined) await workspace.data.latest(model, name);
  else await workspace.data.version(model, name, version);
}

export interface DataGcResult {
  readonly dataEntriesExpired: number;
  readonly versionsDeleted: number;
  readonly bytesReclaimed: number;
  readonly dryRun: boolean;
  readonly expiredEntries: readonly {
    readonly type: string;
    readonly modelId: string;
    readonly dataName: string;
    readonly reason: string;
    readonly versionCount: number;
  }[];
}

interface DataGcOptions {
  readonly dryRun: boolean;
  readonly force: boolean;
  confirm(question: string): Promise<boolean>;
}

/** Structural: excludes everything else. A dry run takes no lock. */
export async function collectGarbage(
  context: AppContext,
  options: DataGcOptions,
): Promise<DataGcResult | { readonly cancelled: true }> {
  const workspace = await openWorkspace(context);
  if (options.dryRun) return sweep(context, workspace, undefined);
  if (!options.force && !(await options.confirm("Delete expired data and old versions in the whole datastore?")))
    return { cancelled: true };
  const lease = await workspace.lock([{ resource: { kind: "datastore" }, mode: "exclusive" }]);
  return workUnder(lease, async () => {
    const clean = async (): Promise<DataGcResult> => {
      const done = await sweep(context, workspace, lease);
      await workspace.data.store.tidy();
      return done;
    };
    // To tell what the dead left in the locks from the living's takes a while: beside the rest.
    const [swept] = await Promise.all([clean(), workspace.datastore.locks.tidy?.()]);
    return swept;
  });
}

/** With the datastore held, removes what it finds. */
async function sweep(context: AppContext, workspace: Workspace, held: Held | undefined): Promise<DataGcResult> {
  const entries: DataGcResult["expiredEntries"][number][] = [];
  let versionsDeleted = 0;
  let bytesReclaimed = 0;
  let dataEntriesExpired = 0;
  for (const model of await workspace.data.models()) {
    const expired = await workspace.data.expired(model, context.machine.clock.now()).catch((error: unknown) => {
      if (!(error instanceof FenError)) throw error;
      context.emit({ event: "warning", message: `${model.type}/${model.id} is left alone: ${error.message}` });
      return [];
    });
    for (const { name, reason, versions, bytes, whole } of expired) {
      context.signal.throwIfAborted();
      if (held !== undefined) await workspace.data.store.remove(model, name, { numbers: versions, held });
      entries.push({ type: model.type, modelId: model.id, dataName: name, reason, versionCount: versions.length });
      versionsDeleted += versions.length;
      bytesReclaimed += bytes;
      dataEntriesExpired += whole ? 1 : 0;
    }
  }
  return {
    dataEntriesExpired,
    versionsDeleted,
    bytesReclaimed,
    dryRun: held === undefined,
    expiredEntries: entries,
  };
}
