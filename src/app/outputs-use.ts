/** Looking back: records of runs, their data and logs. Takes no lock. */
import { FenError } from "../kernel/errors.ts";
import { type OutputRecord, type StoredOutput, unlessMissing } from "../data/outputs.ts";
import type { DataVersion } from "../data/versions.ts";
import type { Files } from "../store/contract.ts";
import type { AppContext } from "./context.ts";
import { decode } from "./data-use.ts";
import { RecordTruth } from "./record-truth.ts";
import { unlessUnreadable } from "./unless-unreadable.ts";
import { openWorkspace, type Workspace } from "./workspace.ts";

const maxLogBytes = 64 * 1024 * 1024;
const maxDataBytes = 16 * 1024 * 1024;

export interface OutputSearchResult {
  readonly query: string;
  readonly results: readonly {
    readonly id: string;
    readonly definitionId: string;
    readonly modelName: string;
    readonly type: string;
    readonly methodName: string;
    readonly status: string;
    readonly startedAt: string;
    readonly durationMs?: number;
  }[];
}

/** Newest first. Records that can't be read are warned of. */
export async function searchOutputs(
  context: AppContext,
  options: { readonly query: string; readonly limit: number },
): Promise<OutputSearchResult> {
  const workspace = await openWorkspace(context);
  const names = new Map((await workspace.definitions.list()).definitions.map((one) => [one.id, one.name]));
  const truth = new RecordTruth(workspace);
  const wanted = options.query.toLowerCase();
  const results: OutputSearchResult["results"][number][] = [];
  for (const file of await workspace.outputs.files()) {
    if (results.length >= options.limit) break;
    const read = await unlessUnreadable(context, async () => {
      const stored = await unlessMissing(workspace.outputs.read(file));
      return stored === undefined ? undefined : { stored, told: await truth.of(stored) };
    });
    if (read === undefined) continue;
    const { type, record } = read.stored;
    const { id, definitionId, methodName, startedAt, durationMs, status } = read.told;
    const modelName = names.get(definitionId) ?? nameInTags(record) ?? "";
    if (![id, definitionId, modelName, type, methodName, status].some((text) => text.toLowerCase().includes(wanted)))
      continue;
    results.push({
      id,
      definitionId,
      modelName,
      type,
      methodName,
      status,
      startedAt,
      ...(durationMs === undefined ? {} : { durationMs }),
    });
  }
  return { query: options.query, results };
}

function nameInTags(record: OutputRecord): string | undefined {
  return record.artifacts.dataArtifacts[0]?.tags["modelName"];
}

export type OutputGetResult = Omit<OutputRecord, "lockNonce"> & { readonly modelName: string; readonly type: string };

/** By id, prefix of an id, or model (its newest). */
export async function getOutput(context: AppContext, options: { readonly id: string }): Promise<OutputGetResult> {
  const workspace = await openWorkspace(context);
  const stored = await findOutput(workspace, options.id);
  const names = (await workspace.definitions.list()).definitions;
  const { lockNonce: _nonce, ...record } = await new RecordTruth(workspace).of(stored);
  return {
    ...record,
    modelName: names.find((one) => one.id === record.definitionId)?.name ?? nameInTags(stored.record) ?? "",
    type: stored.type,
  };
}

async function findOutput(workspace: Workspace, idOrModel: string): Promise<StoredOutput> {
  const model = await workspace.definitions.find(idOrModel).catch((error: unknown) => {
    if (error instanceof FenError && error.code === "model_missing") return undefined;
    throw error;
  });
  if (model === undefined) return workspace.outputs.find(idOrModel);
  const newest = await workspace.outputs.newest(model.definition.id);
  if (newest === undefined)
    throw new FenError("output_missing", `${model.definition.name} has never been run.`, {
      hint: `Run it: fen model method run ${model.definition.name} <method>`,
    });
  return newest;
}

export interface HistoryLogsResult {
  readonly path: string;
  readonly lines: readonly string[];
  readonly lineCount: number;
}

export async function historyLogs(
  context: AppContext,
  options: { readonly id: string; readonly tail?: number | undefined },
): Promise<HistoryLogsResult> {
  const workspace = await openWorkspace(context);
  const stored = await findOutput(workspace, options.id);
  return readLog(workspace.datastore.files, await logOf(workspace, stored), options.tail);
}

/** Its lines, or the last `tail` of them. */
export async function readLog(files: Files, path: string, tail: number | undefined): Promise<HistoryLogsResult> {
  const lines = toLines(await files.read(path, { maxBytes: maxLogBytes }));
  return { path: files.locate(path), lines: lastOf(lines, tail), lineCount: lines.length };
}

/** The log named by the record, where it lies in the datastore; else the one beside the record. Throws `output_missing`. */
async function logOf(workspace: Workspace, stored: StoredOutput): Promise<string> {
  const { files } = workspace.datastore;
  const named = /(?:^|[/\\])((?:outputs|workflow-runs)[/\\].+\.log)$/
    .exec(stored.record.logFile ?? "")?.[1]
    ?.replaceAll("\\", "/");
  for (const path of [workspace.outputs.logPath(stored), named]) {
    if (path !== undefined && !path.split("/").includes("..") && (await files.stat(path)) !== undefined) return path;
  }
  throw new FenError("output_missing", `The run ${stored.record.id} has no log.`, {
    hint: `See what it left: fen model output get ${stored.record.id}`,
    facts: { id: stored.record.id },
  });
}

function toLines(bytes: Uint8Array | undefined): string[] {
  const text = new TextDecoder().decode(bytes ?? new Uint8Array());
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}

/** The last `tail` lines, or all. */
function lastOf(lines: readonly string[], tail: number | undefined): readonly string[] {
  return tail === undefined ? lines : lines.slice(Math.max(0, lines.length - tail));
}

export interface OutputDataResult {
  readonly outputId: string;
  readonly methodName: string;
  readonly dataId: string;
  readonly dataName: string;
  readonly version: number;
  readonly contentType: string;
  readonly field?: string;
  readonly data: unknown;
}

interface OutputDataOptions {
  readonly id: string;
  readonly name?: string | undefined;
  readonly field?: string | undefined;
  readonly version?: number | undefined;
}

export async function outputData(context: AppContext, options: OutputDataOptions): Promise<OutputDataResult> {
  const workspace = await openWorkspace(context);
  const stored = await findOutput(workspace, options.id);
  const { type } = stored;
  const record = await new RecordTruth(workspace).of(stored);
  const artifacts = record.artifacts.dataArtifacts;
  const artifact = options.name === undefined ? artifacts[0] : artifacts.find((one) => one.name === options.name);
  if (artifact === undefined) {
    const known = artifacts.map((one) => one.name).join(", ");
    throw new FenError(
      "data_missing",
      `The run left no data${options.name === undefined ? "" : ` called ${options.name}`}.`,
      {
        hint: known === "" ? `See its log: fen model method history logs ${record.id}` : `It left: ${known}`,
      },
    );
  }
  const version =
    options.version === undefined
      ? await versionLeft(workspace, { type, record, artifact })
      : await workspace.data.version({ type, id: record.definitionId }, artifact.name, options.version);
  const data = decode(await workspace.data.content(version, maxDataBytes), version.metadata.contentType);
  return {
    outputId: record.id,
    methodName: record.methodName,
    dataId: version.metadata.id,
    dataName: artifact.name,
    version: version.metadata.version,
    contentType: version.metadata.contentType,
    ...(options.field === undefined ? {} : { field: options.field }),
    data: options.field === undefined ? data : fieldOf(data, options.field),
  };
}

interface Left {
  readonly type: string;
  readonly record: OutputRecord;
  readonly artifact: OutputRecord["artifacts"]["dataArtifacts"][number];
}

/** The version that the run made. Where the newest were deleted their numbers may have been given again: never another run's data for this one's. */
async function versionLeft(workspace: Workspace, { type, record, artifact }: Left): Promise<DataVersion> {
  const { name, version, dataId } = artifact;
  const found = await workspace.data.version({ type, id: record.definitionId }, name, version);
  if (dataId === "" || found.metadata.id.toLowerCase() === dataId.toLowerCase()) return found;
  throw new FenError(
    "data_missing",
    `The data ${name} of this run was deleted: version ${version} is another run's by now.`,
    {
      hint: `See the run's log: fen model method history logs ${record.id}`,
      facts: { name, version },
    },
  );
}

function fieldOf(data: unknown, path: string): unknown {
  let current: unknown = data;
  for (const key of path.split(".")) {
    const next: unknown =
      typeof current === "object" && current !== null && Object.hasOwn(current, key)
        ? Reflect.get(current, key)
        : undefined;
    if (next === undefined) {
      const known = typeof current === "object" && current !== null ? Object.keys(current).join(", ") : "";
      throw new FenError("data_missing", `The data has no field ${path}.`, {
        hint: known === "" ? undefined : `Fields: ${known}`,
      });
    }
    current = next;
  }
  return current;
}

export interface OutputLogsResult {
  readonly outputId: string;
  readonly methodName: string;
  readonly logArtifacts: readonly { readonly name: string; readonly version: number }[];
  readonly lines: readonly string[];
  readonly totalLines: number;
  readonly showingLines: number;
}

/** The files that a run left which are logs: text, written as a stream. */
export async function outputLogs(
  context: AppContext,
  options: { readonly id: string; readonly tail?: number | undefined },
): Promise<OutputLogsResult> {
  const workspace = await openWorkspace(context);
  const stored = await findOutput(workspace, options.id);
  const { type } = stored;
  const record = await new RecordTruth(workspace).of(stored);
  const logs = record.artifacts.dataArtifacts.filter(
    ({ tags, name }) => tags["type"] === "log" || tags["specName"] === "log" || name === "log",
  );
  const lines: string[] = [];
  for (const artifact of logs) {
    const found = await versionLeft(workspace, { type, record, artifact });
    lines.push(...toLines(await workspace.data.content(found, maxLogBytes)));
  }
  const shown = lastOf(lines, options.tail);
  return {
    outputId: record.id,
    methodName: record.methodName,
    logArtifacts: logs.map(({ name, version }) => ({ name, version })),
    lines: shown,
    totalLines: lines.length,
    showingLines: shown.length,
  };
}
