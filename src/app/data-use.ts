/** Data of models: read without locks, changed under the model's lock, cleaned up under the datastore's. */
import { FenError } from "../kernel/errors.ts";
import type { Held } from "../data/contract.ts";
import { safeDataName, type ModelRef } from "../data/layout.ts";
import type { Metadata } from "../data/metadata.ts";
import type { DataVersion } from "../data/versions.ts";
import type { AppContext } from "./context.ts";
import { dataOfRun, findInRun, type Left, type RunChoice } from "./data-of-run.ts";
import type { PastStatus } from "./past-runs.ts";
import { settlePast } from "./settle.ts";
import { unlessUnreadable } from "./unless-unreadable.ts";
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
  /** A model, or the run of a workflow that left it. */
  readonly of: { readonly model: string } | RunChoice;
  readonly name: string;
  readonly version?: number | undefined;
  readonly content: "inline" | "none";
}

export async function getData(context: AppContext, options: DataGetOptions): Promise<DataGetResult> {
  const workspace = await openWorkspace(context);
  const found = await findVersion(context, workspace, options);
  const content =
    options.content === "none"
      ? {}
      : { content: decode(await workspace.data.content(found, maxInlineBytes), found.metadata.contentType) };
  return { ...describe(found), contentPath: workspace.data.contentPath(found), ...content };
}

/** The bytes of a version as they are, piece by piece. */
export async function streamData(context: AppContext, options: DataGetOptions): Promise<AsyncIterable<Uint8Array>> {
  const workspace = await openWorkspace(context);
  return workspace.data.stream(await findVersion(context, workspace, options));
}

async function findVersion(
  context: AppContext,
  workspace: Workspace,
  { of, name, version }: DataGetOptions,
): Promise<Left> {
  if ("workflow" in of) {
    safeDataName(name);
    return findInRun(await dataOfRun(context, workspace, of), { name, version });
  }
  const { definition } = await workspace.definitions.find(of.model);
  safeDataName(name);
  const { data } = workspace;
  const found = await (version === undefined ? data.latest(definition, name) : data.version(definition, name, version));
  return { ...found, modelName: definition.name };
}

function describe({ metadata, model, modelName }: Left) {
  const { lifecycle: _lifecycle, renamedTo: _renamedTo, ...shown } = metadata;
  return { ...shown, ...ownerOf({ model, modelName }) };
}

function ownerOf({ model, modelName }: Pick<Left, "model" | "modelName">) {
  return { modelId: model.id, modelName, modelType: model.type };
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

interface Grouped<T extends DataItem> {
  readonly groups: readonly { readonly type: string; readonly items: readonly T[] }[];
  readonly total: number;
}

export interface DataListResult extends Grouped<DataItem> {
  readonly modelId: string;
  readonly modelName: string;
  readonly modelType: string;
}

/** Data and whose it is. */
export interface OwnedDataItem extends DataItem {
  readonly modelId: string;
  readonly modelName: string;
  readonly modelType: string;
}

export interface RunDataListResult extends Grouped<OwnedDataItem> {
  readonly workflowId: string;
  readonly workflowName: string;
  readonly runId: string;
  readonly runStatus: PastStatus;
}

export async function listData(
  context: AppContext,
  options: { readonly model: string; readonly type?: string | undefined },
): Promise<DataListResult> {
  const workspace = await openWorkspace(context);
  const { definition } = await workspace.definitions.find(options.model);
  const items = (await newestOf(context, workspace, definition)).map(toItem);
  return {
    modelId: definition.id,
    modelName: definition.name,
    modelType: definition.type,
    ...grouped(items, options.type),
  };
}

/** Every version that a step of the run left, and that is still there. */
export async function listRunData(
  context: AppContext,
  options: RunChoice & { readonly type?: string | undefined },
): Promise<RunDataListResult> {
  const { ref, workflowName, status, left } = await dataOfRun(context, await openWorkspace(context), options);
  const items = left.map(toOwnedItem);
  return {
    workflowId: ref.workflowId,
    workflowName,
    runId: ref.id,
    runStatus: status,
    ...grouped(items, options.type),
  };
}

function grouped<T extends DataItem>(items: readonly T[], wanted: string | undefined): Grouped<T> {
  const types = [...new Set(items.map((item) => item.tags["type"] ?? "other"))]
    .sort()
    .filter((type) => wanted === undefined || type === wanted);
  const groups = types.map((type) => ({
    type,
    items: items.filter((item) => (item.tags["type"] ?? "other") === type),
  }));
  return { groups, total: groups.reduce((sum, group) => sum + group.items.length, 0) };
}

/** The newest version of each name; names that can't be read are warned of. */
export async function newestOf(context: AppContext, workspace: Workspace, model: ModelRef): Promise<DataVersion[]> {
  const found: DataVersion[] = [];
  for (const name of await workspace.data.names(model)) {
    const version = await unlessUnreadable(context, async () => {
      const number = await workspace.data.latestNumber(model, name);
      return number === undefined ? undefined : workspace.data.version(model, name, number);
    });
    if (version !== undefined && version.metadata.lifecycle !== "deleted") found.push(version);
  }
  return found;
}

export function toOwnedItem(version: Left): OwnedDataItem {
  return { ...toItem(version), ...ownerOf(version) };
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
    const found = await unlessUnreadable(context, () => workspace.data.version(definition, name, number));
    if (found === undefined) continue;
    const { createdAt, size, checksum, lifecycle, renamedTo } = found.metadata;
    versions.push({
      version: number,
      createdAt,
      ...(size === undefined ? {} : { size }),
      ...(checksum === undefined ? {} : { checksum }),
      isLatest: number === latest,
      ...(lifecycle === undefined ? {} : { lifecycle }),
      ...(renamedTo === undefined ? {} : { renamedTo }),
    });
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
  await using lease = await workspace.lock([modelLock(loaded)]);
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
  await using lease = await workspace.lock([{ resource: { kind: "datastore" }, mode: "exclusive" }]);
  const clean = async (): Promise<DataGcResult> => {
    const done = await sweep(context, workspace, lease);
    await workspace.data.store.tidy();
    return done;
  };
  // To tell what the dead left in the locks from the living's takes a while: beside the rest.
  const [swept] = await Promise.all([clean(), workspace.datastore.locks.tidy?.()]);
  return swept;
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
