/** Output records: one YAML file per run of a method, `outputs/<type>/<method>/<model id>-<time>-<first of the id>.yaml`, its log beside it. */
import { posix } from "node:path";
import { FenError } from "../kernel/errors.ts";
import { isUnwritten } from "../kernel/files.ts";
import { compareCodePoints } from "../kernel/order.ts";
import { isIdPrefix } from "../repo/named-files.ts";
import { isRecord, parseYaml, stringifyYaml } from "../repo/yaml.ts";
import type { Files } from "../store/contract.ts";
import type { ModelRef } from "./layout.ts";

const maxRecordBytes = 4 * 1024 * 1024;

export type RunStatus = "pending" | "running" | "succeeded" | "failed" | "cancelled" | "interrupted";

export interface DataArtifact {
  readonly dataId: string;
  readonly name: string;
  readonly version: number;
  readonly tags: Readonly<Record<string, string>>;
}

export interface OutputRecord {
  readonly id: string;
  readonly definitionId: string;
  readonly methodName: string;
  readonly status: RunStatus;
  readonly startedAt: string;
  readonly retryCount: number;
  readonly provenance: Readonly<Record<string, unknown>>;
  readonly artifacts: { readonly dataArtifacts: readonly DataArtifact[] };
  readonly completedAt?: string;
  readonly durationMs?: number;
  readonly error?: { readonly message: string };
  /** Relative to the repository, or absolute. */
  readonly logFile?: string;
  /** Who runs it: the nonce of its lock tells whether it still does. In a record that ends: it was written ahead of the commit under that lock. */
  readonly pid?: number;
  readonly hostname?: string;
  readonly lockNonce?: string;
}

export interface StoredOutput {
  readonly record: OutputRecord;
  readonly type: string;
  /** Relative to the datastore. */
  readonly path: string;
}

export interface OutputFile {
  readonly path: string;
  readonly type: string;
  readonly method: string;
  readonly modelId: string;
  /** Time and id part of the name: orders the files of all models by time. */
  readonly stamp: string;
}

export class Outputs {
  readonly #files: Files;

  constructor(files: Files) {
    this.#files = files;
  }

  /** A path for a new record, without its ending: unique, whatever runs at the same millisecond. */
  newStem(model: ModelRef, method: string, run: { readonly id: string; readonly startedAt: string }): string {
    return `outputs/${model.type}/${method}/${model.id}-${run.startedAt.replaceAll(/[:.]/g, "-")}-${run.id.slice(0, 8)}`;
  }

  /** `by`: who sees to that it gets there. */
  async write(
    stem: string,
    record: OutputRecord,
    { durable, by = this.#files }: { readonly durable: boolean; readonly by?: Pick<Files, "write"> | undefined },
  ): Promise<void> {
    await by.write(`${stem}.yaml`, stringifyYaml(record), { durable });
  }

  /** All record files, newest first. `modelId` narrows. */
  async files(modelId?: string): Promise<OutputFile[]> {
    const found: OutputFile[] = [];
    const walk = async (segments: readonly string[]): Promise<void> => {
      for (const entry of await this.#files.list(["outputs", ...segments].join("/"))) {
        if (entry.kind === "folder" && segments.length < 10) await walk([...segments, entry.name]);
        const file = outputFileOf(["outputs", ...segments, entry.name].join("/"));
        if (entry.kind !== "file" || file === undefined) continue;
        if (modelId === undefined || file.modelId === modelId) found.push(file);
      }
    };
    await walk([]);
    return found.sort((a, b) => compareCodePoints(b.stamp, a.stamp));
  }

  /**
   * Throws `output_missing` where there is none, `data_corrupt` where the record can't be read as one. One in which nothing is written is none: a power cut leaves that of a
   * record that didn't yet wait for the disk, of a run that hadn't said that it is done.
   */
  async read(file: Pick<OutputFile, "path" | "type">): Promise<StoredOutput> {
    const bytes = await this.#files.read(file.path, { maxBytes: maxRecordBytes });
    if (bytes === undefined || isUnwritten(bytes))
      throw new FenError("output_missing", `The record is gone: ${this.#files.locate(file.path)}`, {
        hint: "List them: fen model output search",
      });
    return {
      record: parseRecord(new TextDecoder().decode(bytes), this.#files.locate(file.path)),
      type: file.type,
      path: file.path,
    };
  }

  /** False where `read` has none; one that is damaged is one. */
  async has(file: Pick<OutputFile, "path" | "type">): Promise<boolean> {
    const reading = this.read(file).catch((error: unknown) => {
      if (!isNoRecord(error)) throw error;
      return error instanceof FenError && error.code === "output_missing" ? undefined : error;
    });
    return (await reading) !== undefined;
  }

  /** By id or a prefix of at least 3 hex digits. Throws `output_missing`, `id_ambiguous`. */
  async find(idOrPrefix: string): Promise<StoredOutput> {
    const wanted = idOrPrefix.toLowerCase();
    const missing = new FenError("output_missing", `No output has the id ${idOrPrefix}.`, {
      hint: "List them: fen model output search",
      facts: { id: idOrPrefix },
    });
    if (!isIdPrefix(wanted)) throw missing;
    const files = await this.files();
    const named = files.filter((file) => couldBe(file, wanted));
    const found: StoredOutput[] = [];
    for (const file of named) {
      const stored = await this.read(file).catch((error: unknown) => {
        if (isNoRecord(error)) return undefined;
        throw error; // a store that fails says nothing about the record
      });
      if (stored?.record.id.toLowerCase().startsWith(wanted) === true) found.push(stored);
    }
    const [first, ...others] = found;
    if (first === undefined) throw missing;
    if (others.length > 0)
      throw new FenError("id_ambiguous", `${found.length} outputs have an id that begins with ${idOrPrefix}.`, {
        hint: `Write more of it: ${found
          .slice(0, 5)
          .map((one) => one.record.id)
          .join(", ")}`,
      });
    return first;
  }

  /** The record of a run, by its whole id; undefined where it has none, or several say that they are it. Throws where the store fails. */
  async ofRun(runId: string): Promise<StoredOutput | undefined> {
    return this.find(runId).catch((error: unknown) => {
      if (error instanceof FenError && ["output_missing", "id_ambiguous"].includes(error.code)) return undefined;
      throw error;
    });
  }

  /** The newest record of a model; undefined where it has none. Throws what `read` throws of damaged ones. */
  async newest(modelId: string): Promise<StoredOutput | undefined> {
    for (const file of await this.files(modelId)) {
      const stored = await unlessMissing(this.read(file));
      if (stored !== undefined) return stored;
    }
    return undefined;
  }

  /** Removes a model's records and logs. Gives how many records. */
  async removeAll(modelId: string): Promise<number> {
    const files = await this.files(modelId);
    for (const file of files) await this.#files.remove(file.path);
    // A log may carry another time than its record.
    for (const folder of new Set(files.map((file) => posix.dirname(file.path)))) {
      for (const { name } of await this.#files.list(folder))
        if (name.startsWith(`${modelId}-`) && name.endsWith(".log")) await this.#files.remove(`${folder}/${name}`);
    }
    return files.length;
  }

  logPath(output: StoredOutput): string {
    return output.path.replace(/\.yaml$/, ".log");
  }
}

/** The order in which records name what a run made. */
export function resourcesFirst<T extends Pick<DataArtifact, "tags">>(made: readonly T[]): T[] {
  const isResource = ({ tags }: T) => tags["type"] === "resource";
  return [...made.filter(isResource), ...made.filter((one) => !isResource(one))];
}

/** Undefined for a record that is gone, or was never written. */
export async function unlessMissing(reading: Promise<StoredOutput>): Promise<StoredOutput | undefined> {
  return reading.catch((error: unknown) => {
    if (error instanceof FenError && error.code === "output_missing") return undefined;
    throw error;
  });
}

/** Why a record couldn't be read: it is gone or damaged, and the store didn't fail. */
export function isNoRecord(error: unknown): boolean {
  return error instanceof FenError && (error.code === "output_missing" || error.kind === "bad_data");
}

/** What the path of a record says; undefined for the path of something else. */
export function outputFileOf(path: string): OutputFile | undefined {
  const [root, ...segments] = path.split("/");
  const [, modelId, stamp] = /^([0-9a-f-]{36})-(\d{4}-.*)\.yaml$/i.exec(segments.pop() ?? "") ?? [];
  if (root !== "outputs" || segments.length < 2 || modelId === undefined || stamp === undefined) return undefined;
  return { path, type: segments.slice(0, -1).join("/"), method: segments.at(-1) ?? "", modelId, stamp };
}

/** Our file names carry the first 8 digits of the id; older ones don't and must be read. */
function couldBe(file: OutputFile, wanted: string): boolean {
  const own = /Z-([0-9a-f]{8})$/.exec(file.stamp)?.[1];
  return own === undefined || own.startsWith(wanted.slice(0, 8));
}

const statuses: readonly string[] = ["pending", "running", "succeeded", "failed", "cancelled", "interrupted"];

function isStatus(value: unknown): value is RunStatus {
  return typeof value === "string" && statuses.includes(value);
}

/** Throws `data_corrupt` for anything but a record. */
export function parseRecord(text: string, path: string): OutputRecord {
  const value = parseYaml(text, path);
  if (
    !isRecord(value) ||
    typeof value["id"] !== "string" ||
    typeof value["definitionId"] !== "string" ||
    !/^[0-9a-f-]{36}$/i.test(value["definitionId"]) || // it names a folder
    !isStatus(value["status"]) ||
    typeof value["startedAt"] !== "string"
  ) {
    throw new FenError("data_corrupt", `The output record can't be read: ${path}`, {
      hint: "Remove the file, or bring it back from a copy.",
      facts: { path },
    });
  }
  const {
    id,
    definitionId,
    status,
    startedAt,
    methodName,
    retryCount,
    provenance,
    artifacts,
    completedAt,
    durationMs,
    error,
    logFile,
    pid,
    hostname,
    lockNonce,
  } = value;
  const list: unknown = isRecord(artifacts) ? artifacts["dataArtifacts"] : [];
  return {
    id,
    definitionId,
    methodName: String(methodName ?? ""),
    status,
    startedAt,
    retryCount: typeof retryCount === "number" ? retryCount : 0,
    provenance: isRecord(provenance) ? provenance : {},
    artifacts: { dataArtifacts: Array.isArray(list) ? list.flatMap(artifactOf) : [] },
    ...(typeof completedAt === "string" ? { completedAt } : {}),
    ...(typeof durationMs === "number" ? { durationMs } : {}),
    ...(isRecord(error) ? { error: { message: String(error["message"] ?? "") } } : {}),
    ...(typeof logFile === "string" ? { logFile } : {}),
    ...(typeof pid === "number" ? { pid } : {}),
    ...(typeof hostname === "string" ? { hostname } : {}),
    ...(typeof lockNonce === "string" ? { lockNonce } : {}),
  };
}

function artifactOf(value: unknown): DataArtifact[] {
  if (!isRecord(value) || typeof value["name"] !== "string" || typeof value["version"] !== "number") return [];
  const tags = isRecord(value["tags"])
    ? Object.fromEntries(Object.entries(value["tags"]).map(([key, tag]) => [key, String(tag)]))
    : {};
  return [{ dataId: String(value["dataId"] ?? ""), name: value["name"], version: value["version"], tags }];
}
