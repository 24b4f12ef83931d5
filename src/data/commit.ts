/**
 * From staged to data (decision 0003). A run's outputs are committed by one rename: `<run id>` -> `<run id>.commit`. From there on the folder
 * itself is the plan: each folder in it holds a `metadata.yaml` that says which version of what it becomes. Whoever moves them,
 * moves them by paths in that folder; so who renames the folder has it alone, and whoever worked in it before finds nothing there any more.
 */
import { FenError } from "../kernel/errors.ts";
import type { LocalFiles } from "../store/contract.ts";
import type { Held, Settled, StagedRun } from "./contract.ts";
import type { FolderVersions } from "./folders.ts";
import { type ModelRef, stagingFolder, versionFolder } from "./layout.ts";
import { type Metadata, parseMetadata, stringifyMetadata } from "./metadata.ts";

const maxMetadataBytes = 1024 * 1024;

/** In a run's staging folder: tells whether the run still lives. */
export const ownerFile = ".owner";
export const metadataFile = "metadata.yaml";

/** Where what could not be committed is kept. */
export function asideFolder(runId: string): string {
  return `.fen/aside/${runId}`;
}

/** One folder of a commit, as it becomes a version. */
interface Planned {
  /** Relative to the datastore. */
  readonly folder: string;
  readonly metadata: Metadata;
}

/**
 * Completes the staged folder and commits it, both durably; that its outputs are versions is for `FolderVersions.keep` to make durable. Throws `lock_lost`; then
 * nothing of it is data, unless the error says `committed`.
 */
export async function commitFolder(data: FolderVersions, run: StagedRun, held: Held): Promise<readonly Metadata[]> {
  const files = data.local;
  const committing = `${run.folder}.commit`;
  const planned = await plan(data, run, { committing, held });
  await held.assertHeld();
  if (planned.length > 0 && (await begin(files, run.folder, committing)) !== "adopted") throw lostBefore();
  const metadatas = await moveAll(data, run.model, planned);
  data.noteCommitted(run.model, metadatas, held);
  if (planned.length > 0) await unlessStoreFails(files.remove(committing));
  return metadatas;
}

/** For what is left when the data is there: the next holder removes it. */
export async function unlessStoreFails(removing: Promise<unknown>): Promise<void> {
  await removing.catch((error: unknown) => {
    if (!(error instanceof FenError)) throw error;
  });
}

/** Where the disk fails after the folder has got its new name, it is committed all the same: the next holder finds it by that name. */
async function begin(files: LocalFiles, from: string, to: string): ReturnType<LocalFiles["adopt"]> {
  return files.adopt(from, to).catch(async (error: unknown) => {
    throw (await files.stat(to)) === undefined ? error : completedLater(error);
  });
}

async function plan(
  data: FolderVersions,
  run: StagedRun,
  { committing, held }: { readonly committing: string; readonly held: Held },
): Promise<Planned[]> {
  const files = data.local;
  const planned: Planned[] = [];
  for (const { id, name, ...draft } of run.outputs) {
    const metadata: Metadata = { id, name, version: await data.nextNumberFor(run.model, name, held), ...draft };
    const file = await files.create(`${run.folder}/${name}/${metadataFile}`);
    file.append(stringifyMetadata(metadata));
    await file.close({ durable: false });
    planned.push({ folder: `${committing}/${name}`, metadata });
  }
  const written = planned.flatMap(({ metadata: { name } }) => [`${name}/raw`, `${name}/${metadataFile}`]);
  if (planned.length > 0) await files.settle(run.folder, written);
  return planned;
}

/** Beyond the commit: what fails here is completed by the next holder. */
async function moveAll(data: FolderVersions, model: ModelRef, planned: readonly Planned[]): Promise<Metadata[]> {
  try {
    const moved = await Promise.all(planned.map((one) => moveToData(data, model, one, { durable: false })));
    const metadatas = moved.filter((one) => one !== undefined);
    if (metadatas.length < moved.length) throw lostAfter();
    return metadatas;
  } catch (error) {
    throw completedLater(error);
  }
}

function completedLater(error: unknown): unknown {
  if (!(error instanceof FenError)) return error;
  const hint = "The outputs are complete; the next run of the model makes them data.";
  return error.retold({ hint, facts: { committed: true } });
}

function lostBefore(): FenError {
  return new FenError("lock_lost", "The lock was taken away before the outputs were committed.", {
    hint: "Look who holds it now: fen datastore lock status",
  });
}

function lostAfter(): FenError {
  return new FenError("lock_lost", "The lock was taken away while the outputs were being committed.");
}

/**
 * Makes a planned folder a version: the planned one, or the next that is free (others who share the lock commit at the same time).
 * Undefined where the folder is gone: somebody else finishes this commit.
 */
async function moveToData(
  data: FolderVersions,
  model: ModelRef,
  planned: Planned,
  options: { readonly durable: boolean },
): Promise<Metadata | undefined> {
  const files = data.local;
  let { metadata } = planned;
  const { name } = metadata;
  for (;;) {
    const outcome = await files.adopt(planned.folder, versionFolder(model, name, metadata.version), options);
    if (outcome === "absent") return undefined;
    if (outcome === "adopted") break;
    metadata = { ...metadata, version: Math.max(metadata.version + 1, await data.nextNumber(model, name)) };
    if (!(await files.replace(`${planned.folder}/${metadataFile}`, stringifyMetadata(metadata)))) return undefined;
  }
  await data.setLatestFrom(model, name, metadata.version);
  return metadata;
}

/** What is left to move of a commit, read from its folder. */
async function readPlan(files: LocalFiles, folder: string): Promise<Planned[]> {
  const planned: Planned[] = [];
  for (const { name, kind } of await files.list(folder)) {
    if (kind !== "folder" || name.startsWith(".")) continue;
    const path = `${folder}/${name}/${metadataFile}`;
    const bytes = await files.read(path, { maxBytes: maxMetadataBytes });
    if (bytes === undefined) continue; // moved in this moment
    planned.push({
      folder: `${folder}/${name}`,
      metadata: parseMetadata(new TextDecoder().decode(bytes), files.locate(path)),
    });
  }
  return planned;
}

/**
 * Settles what former runs left: what was committed becomes data; what the dead had not committed is removed; what somebody had staged who
 * lost the lock and still lives is put aside, where its commit doesn't find it. Only for whoever has the model's lock exclusively and alone.
 */
export async function settleFolders(
  data: FolderVersions,
  model: ModelRef,
  told: (one: Settled) => Promise<void> = async () => undefined,
): Promise<Settled[]> {
  const files = data.local;
  const recovered: Settled[] = [];
  // Again until nothing is left: a former holder may commit between our look and our step.
  for (;;) {
    const names = (await files.list(stagingFolder(model))).map((entry) => entry.name);
    if (names.length === 0) return recovered;
    for (const name of names) {
      const [, runId = name, commit] = /^(.*?)(\.commit.*)?$/.exec(name) ?? [];
      const folder = `${stagingFolder(model)}/${name}`;
      const left = { folder, runId, told };
      const one = await (commit === undefined ? drop(files, left) : finish(data, model, left));
      if (one !== undefined) recovered.push(one);
    }
  }
}

interface Left {
  readonly folder: string;
  readonly runId: string;
  told(one: Settled): Promise<void>;
}

/** Undefined where it was gone already. */
async function drop(files: LocalFiles, { folder, runId, told }: Left): Promise<Settled | undefined> {
  const dropped = { runId, committed: false };
  const owner = await files.owner(`${folder}/${ownerFile}`);
  const isEmpty = (await files.list(folder)).length === 0;
  if (owner === "dead" || (owner === "absent" && isEmpty)) {
    await told(dropped);
    return (await files.remove(folder)) ? dropped : undefined;
  }
  // Who lives may commit it, up to the moment in which it is moved.
  if (!(await putAside(files, folder, runId))) return undefined;
  await told(dropped);
  return dropped;
}

/** Moves a run's folder to where no later run removes it. False where it is gone. */
export async function putAside(files: LocalFiles, folder: string, runId: string): Promise<boolean> {
  for (let number = 1; ; number++) {
    const outcome = await files.adopt(folder, `${asideFolder(runId)}${number === 1 ? "" : `.${number}`}`);
    if (outcome !== "taken") return outcome === "adopted";
  }
}

/** What can't become data is put aside: it must not stop the model for ever. */
async function finish(data: FolderVersions, model: ModelRef, { folder, runId, told }: Left): Promise<Settled> {
  const done = { runId, committed: true };
  const files = data.local;
  let own = folder;
  if ((await files.owner(`${folder}/${ownerFile}`)) !== "dead") {
    own = `${folder}+`;
    const outcome = await files.adopt(folder, own);
    if (outcome === "absent") {
      await told(done); // it has finished itself
      return done;
    }
    if (outcome === "taken") throw new Error(`${own} is there although ${folder} is`);
  }
  try {
    for (const planned of await readPlan(files, own)) await moveToData(data, model, planned, { durable: true });
  } catch (error) {
    const isDamaged =
      error instanceof FenError &&
      ["data_corrupt", "yaml_invalid", "name_invalid", "file_too_large"].includes(error.code);
    if (!isDamaged) throw error;
    const aside = { runId, committed: false, keptAside: files.locate(asideFolder(runId)) };
    await told(aside);
    await putAside(files, own, runId);
    return aside;
  }
  // Of what was moved before, `latest` may not have been told.
  for (const name of await data.names(model)) await data.setLatest(model, name);
  await told(done);
  await files.remove(own);
  return done;
}
