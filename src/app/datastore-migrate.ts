/**
 * From one datastore to another. Both are locked whole; the source is only read. First everything is compared: where the target has something else under the
 * same name, nothing is touched. Then versions are brought, model by model, each checked by its hash, then records and logs. What is there already is
 * passed over: whoever was ended in the middle begins again, and goes on where it ended.
 */
import { realpathSync } from "node:fs";
import { hashOf } from "../data/brought.ts";
import type { Brought, VersionRef } from "../data/contract.ts";
import type { ModelRef } from "../data/layout.ts";
import type { Metadata } from "../data/metadata.ts";
import { type OutputRecord, outputFileOf, parseRecord, type StoredOutput } from "../data/outputs.ts";
import { DataVersions } from "../data/versions.ts";
import { FenError } from "../kernel/errors.ts";
import type { Lease } from "../lock/lease.ts";
import { LockManager } from "../lock/manager.ts";
import type { Files, Journals } from "../store/contract.ts";
import { stringifyYaml } from "../repo/yaml.ts";
import type { AppContext } from "./context.ts";
import { RecordTruth } from "./record-truth.ts";
import { lockWith, type OpenedDatastore } from "./workspace.ts";

export interface Migrated {
  readonly filesCopied: number;
  readonly bytesCopied: number;
  /** What was in the target already, as it is in the source. */
  readonly filesThere: number;
}

interface Job {
  readonly source: OpenedDatastore;
  readonly target: OpenedDatastore;
}

interface Plan {
  readonly models: readonly { readonly model: ModelRef; readonly versions: readonly VersionRef[] }[];
  readonly files: readonly string[];
  /** What is in the target already. */
  readonly there: number;
  readonly bytes: number;
}

/** Records and logs; everything else of a repository is on this machine anyway. */
const folders = ["outputs", "workflow-runs"];
const maxFileBytes = 1024 * 1024 * 1024;
const shown = 5;
/** So much content is on its way at once. */
const batch = 32;

/** Throws `data_exists` with the paths where the target has something else; then nothing was changed. */
export async function migrate(
  context: AppContext,
  { dryRun, ...job }: Job & { readonly dryRun: boolean },
): Promise<Migrated> {
  const none = { filesCopied: 0, bytesCopied: 0, filesThere: 0 };
  if (placeOf(job.source) === placeOf(job.target)) return none;
  if (dryRun) {
    const { models, files, there, bytes } = await plan(job);
    const copied = models.reduce((sum, { versions }) => sum + versions.length, files.length);
    return { filesCopied: copied, bytesCopied: bytes, filesThere: there };
  }
  await using held = await whole(context, job.source);
  if (await isHeldBy(held, job.target)) return none;
  await using lease = await whole(context, job.target);
  return await bringAll(context, job, lease);
}

/** Two names of one place, of which nothing else tells: it has the lock that was taken in the other. */
async function isHeldBy({ grants }: Lease, { datastore }: OpenedDatastore): Promise<boolean> {
  const { held } = await datastore.locks.inspect({ kind: "datastore" });
  return held.some(({ record }) => grants.some(({ nonce }) => nonce === record?.nonce));
}

/** With both locked whole. */
async function bringAll(context: AppContext, job: Job, lease: Lease): Promise<Migrated> {
  const { models, files, there } = await plan(job);
  let [filesCopied, bytesCopied] = [0, 0];
  for (const { model, versions } of models) {
    for (let at = 0; at < versions.length; at += batch) {
      context.signal.throwIfAborted();
      const brought = await fetch(job, context, versions.slice(at, at + batch));
      await job.target.versions.bring(model, brought, lease);
      await job.target.versions.local.remove(scratch);
      filesCopied += brought.length;
      bytesCopied += brought.reduce((sum, { metadata }) => sum + metadata.size, 0);
    }
  }
  for (const path of files) {
    context.signal.throwIfAborted();
    await lease.assertHeld();
    bytesCopied += await copy(job, path);
    filesCopied++;
  }
  return { filesCopied, bytesCopied, filesThere: there };
}

/** Two names of one folder are one place. */
function placeOf({ datastore: { kind, location } }: OpenedDatastore): string {
  if (kind !== "filesystem") return location;
  try {
    return realpathSync(location);
  } catch {
    return location; // not there yet
  }
}

function whole(context: AppContext, { datastore }: OpenedDatastore) {
  const requests = [{ resource: { kind: "datastore" }, mode: "exclusive" }] as const;
  return lockWith(context, new LockManager(datastore.locks, context.machine), { requests });
}

// ------------------------------------------------------------------ what is to be done

async function plan({ source, target }: Job): Promise<Plan> {
  const collisions: string[] = [];
  const models: { model: ModelRef; versions: VersionRef[] }[] = [];
  const counts = { there: 0, bytes: 0 };
  for (const model of await source.versions.models()) {
    const versions: VersionRef[] = [];
    for (const name of await source.versions.names(model)) {
      const mine = await source.versions.numbers(model, name);
      const theirs = new Set(await target.versions.numbers(model, name));
      for (const number of mine) {
        const version = { model, name, number };
        if (theirs.delete(number)) {
          if (await isSame(source, target, version)) counts.there++;
          else collisions.push(target.versions.locate(version).version);
          continue;
        }
        versions.push(version);
        counts.bytes += await source.versions.size(version);
      }
      for (const number of theirs) collisions.push(target.versions.locate({ model, name, number }).version);
    }
    if (versions.length > 0) models.push({ model, versions });
  }
  const files: string[] = [];
  for (const path of await filesOf(source)) {
    const [mine, theirs] = await Promise.all([read(source, path), read(target, path)]);
    if (theirs === undefined) files.push(path);
    else if (mine === undefined || Buffer.compare(mine, theirs) === 0) counts.there++;
    else collisions.push(filesFor(target, path).locate(path));
    counts.bytes += theirs === undefined ? (mine?.length ?? 0) : 0;
  }
  if (collisions.length > 0) throw inTheWay(target, collisions);
  return { models, files, ...counts };
}

/** The same version, and not only the same content. */
async function isSame(source: OpenedDatastore, target: OpenedDatastore, version: VersionRef): Promise<boolean> {
  const [mine, theirs] = await Promise.all([source, target].map(({ versions }) => versions.metadata(version)));
  if (mine?.id !== theirs?.id) return false;
  const hash = async ({ versions }: OpenedDatastore, known: Metadata | undefined) =>
    known?.checksum ?? hashOf(versions.stream(version));
  return (await hash(source, mine)) === (await hash(target, theirs));
}

function inTheWay({ datastore }: OpenedDatastore, paths: readonly string[]): FenError {
  const more = paths.length > shown ? `, and ${paths.length - shown} more` : "";
  return new FenError(
    "data_exists",
    `${datastore.location} has other data under the same names: ${paths.slice(0, shown).join(", ")}${more}`,
    {
      hint: "Nothing was changed. Choose another place, or leave the data where it is: --skip-migration",
      facts: { paths },
    },
  );
}

// ------------------------------------------------------------------ doing it

const scratch = ".fen/migrating";

/** Contents into files of this machine, checked against the hash that the source has of them; where it has none, that is found out. */
async function fetch(
  { source, target }: Job,
  { machine }: AppContext,
  versions: readonly VersionRef[],
): Promise<readonly Brought[]> {
  const { local } = target.versions;
  const brought: Brought[] = [];
  for (const version of versions) {
    const metadata = await source.versions.metadata(version);
    if (metadata === undefined) throw damaged(source, version);
    const file = `${scratch}/${machine.random.uuid()}`;
    const appender = await local.create(file);
    for await (const chunk of source.versions.stream(version)) appender.append(chunk);
    await appender.close({ durable: false });
    const checksum = await hashOf(local.stream(file));
    if (metadata.checksum !== undefined && metadata.checksum !== checksum) throw damaged(source, version);
    brought.push({ metadata: { ...metadata, size: appender.size, checksum }, file });
  }
  return brought;
}

function damaged({ versions }: OpenedDatastore, version: VersionRef): FenError {
  const path = versions.locate(version).version;
  return new FenError("data_corrupt", `A version isn't what it says it is: ${path}`, {
    remedy: "Remove it with fen data delete, or bring it back from a copy",
    facts: { path },
  });
}

function filesFor({ datastore }: OpenedDatastore, path: string): Pick<Journals, "read" | "write" | "locate"> {
  return path.endsWith(".journal") ? datastore.journals : datastore.files;
}

async function filesOf({ datastore }: OpenedDatastore): Promise<readonly string[]> {
  const found = new Set<string>();
  const walk = async (files: Files, folder: string): Promise<void> => {
    for (const { name, kind } of await files.list(folder)) {
      // In some stores a journal is a folder of pieces.
      if (name.endsWith(".journal")) found.add(`${folder}/${name}`);
      else if (kind === "folder") await walk(files, `${folder}/${name}`);
      else if (kind === "file" && !name.startsWith(".")) found.add(`${folder}/${name}`);
    }
  };
  for (const folder of folders) await walk(datastore.files, folder);
  return [...found].sort();
}

function readRaw(one: OpenedDatastore, path: string): Promise<Uint8Array | undefined> {
  return filesFor(one, path).read(path, { maxBytes: maxFileBytes });
}

async function read(one: OpenedDatastore, path: string): Promise<Uint8Array | undefined> {
  const bytes = await readRaw(one, path);
  const type = outputFileOf(path)?.type;
  return bytes === undefined || type === undefined ? bytes : settled(one, { type, path }, bytes);
}

/** A record that was written ahead of its commit says what became of that: in another place nobody could tell. */
async function settled(
  { datastore, versions }: OpenedDatastore,
  file: Pick<StoredOutput, "path" | "type">,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  let record: OutputRecord;
  try {
    record = parseRecord(new TextDecoder().decode(bytes), file.path);
  } catch {
    return bytes; // damaged: it goes as it is, and whoever reads it is told
  }
  if (record.lockNonce === undefined || record.status === "running") return bytes;
  const truth = new RecordTruth({ datastore, data: new DataVersions(versions) });
  const { lockNonce: _nonce, ...settledRecord } = await truth.of({ ...file, record });
  return new TextEncoder().encode(stringifyYaml(settledRecord));
}

async function copy({ source, target }: Job, path: string): Promise<number> {
  const bytes = await read(source, path);
  if (bytes === undefined) return 0;
  await filesFor(target, path).write(path, bytes);
  const written = await readRaw(target, path); // what was written is settled
  if (written === undefined || Buffer.compare(written, bytes) !== 0)
    throw new FenError("data_corrupt", `What was written isn't what was read: ${filesFor(target, path).locate(path)}`, {
      hint: "Run the command again.",
      facts: { path },
    });
  return bytes.length;
}
