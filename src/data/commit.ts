/**
 * From staged to data (decision 0003). A run's outputs are committed by one rename: `<run id>` -> `<run id>.commit`. From there on the folder
 * itself is the plan: each folder in it holds a `metadata.yaml` that says which version of what it becomes. Whoever moves them,
 * moves them by paths in that folder; so who renames the folder has it alone, and whoever worked in it before finds nothing there any more.
 */
import { FenError } from "../kernel/errors.ts";
import type { FileStep, LocalFiles, StepDone } from "../store/contract.ts";
import type { Held, Settled, StagedRun } from "./contract.ts";
import type { FolderVersions } from "./folders.ts";
import { dataFolder, latestOf, type ModelRef, stagingFolder, versionFolder } from "./layout.ts";
import { type Metadata, metadataAround, parseMetadata, stringifyMetadata } from "./metadata.ts";

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
  const committing = `${run.folder}.commit`;
  const planned = await plan(data, run, { committing, held });
  await held.assertHeld();
  if (planned.length === 0) return [];
  const metadatas = await moveAll(data, { ...run, committing }, planned);
  data.noteHighest(run.model, metadatas, held);
  return metadatas;
}

/** What of `commitFolder` can be done while the run is at work: its files are made. */
export async function prepareFolder(
  files: LocalFiles,
  { folder, owner }: Pick<StagedRun, "folder" | "owner">,
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    await files.prepare?.(`${folder}/${name}/raw`, { from: name === names[0] ? owner : undefined });
    await files.prepare?.(`${folder}/${name}/${metadataFile}`);
  }
}

/** For what is left when the data is there: the next holder removes it. */
export async function unlessStoreFails(removing: Promise<unknown>): Promise<void> {
  await removing.catch((error: unknown) => {
    if (!(error instanceof FenError)) throw error;
  });
}

/** Everything that is to become data, durable in the folder of the run. */
async function plan(
  data: FolderVersions,
  { model, folder, outputs, owner, owned, contents = new Map<string, Uint8Array>() }: StagedRun,
  { committing, held }: { readonly committing: string; readonly held: Held },
): Promise<Planned[]> {
  if (outputs.length === 0) return [];
  const steps: FileStep[] = owned === undefined ? [] : [{ do: "own", path: `${folder}/${ownerFile}` }];
  const numbered: number[] = [];
  for (const draft of outputs) {
    const { name } = draft;
    const content = contents.get(name);
    const from = contents.keys().next().value === name ? owner : undefined;
    if (content !== undefined) steps.push({ do: "create", path: `${folder}/${name}/raw`, content, from });
    const path = `${folder}/${name}/${metadataFile}`;
    const known = data.highestFor(model, name, held);
    numbered.push(steps.length);
    steps.push({ do: "number", path, folder: dataFolder(model, name), around: metadataAround(draft), known });
  }
  const files = outputs.flatMap(({ name }) => [`${name}/raw`, `${name}/${metadataFile}`]);
  const { done, failure } = await data.local.inOrder([...steps, { do: "settle", path: folder, files }]);
  if (done[0]?.owned !== undefined) owned?.(done[0].owned);
  if (failure !== undefined) throw failure;
  return outputs.map((draft, index) => {
    const { id, name, ...rest } = draft;
    const version = done[numbered[index] ?? -1]?.number ?? 0;
    return { folder: `${committing}/${name}`, metadata: { id, name, version, ...rest } };
  });
}

/** The rename that commits, and what follows from it. Beyond the commit, what fails here is completed by the next holder. */
async function moveAll(
  data: FolderVersions,
  { model, folder, committing }: { readonly model: ModelRef; readonly folder: string; readonly committing: string },
  planned: readonly Planned[],
): Promise<Metadata[]> {
  const files = data.local;
  const moves = planned.flatMap((one) => movesOf(model, one));
  const { done, failure } = await files.inOrder([
    { do: "adopt", from: folder, to: committing, durable: true },
    ...moves,
    { do: "remove", path: committing },
  ]);
  const [committed, ...moved] = done;
  if (committed === undefined) {
    // Where the disk fails after the folder has got its new name, it is committed all the same: the next holder finds it by that name.
    throw (await files.stat(committing)) === undefined ? failure : completedLater(failure);
  }
  if (committed.outcome !== "adopted") throw lostBefore();
  if (failure !== undefined && moved.length < moves.length) throw completedLater(failure);
  try {
    const metadatas = await completed(data, model, { planned, moved });
    if (moved.length <= moves.length) await unlessStoreFails(files.remove(committing));
    return metadatas;
  } catch (error) {
    throw completedLater(error);
  }
}

/** What became of each output; where others were at work at the same time, what is left to do is done. */
async function completed(
  data: FolderVersions,
  model: ModelRef,
  { planned, moved }: { readonly planned: readonly Planned[]; readonly moved: readonly StepDone[] },
): Promise<Metadata[]> {
  const metadatas: (Metadata | undefined)[] = [];
  for (const [index, one] of planned.entries()) {
    const [adopted, , next] = moved.slice(index * stepsOfMove);
    const { name, version } = one.metadata;
    if (adopted?.outcome !== "adopted") metadatas.push(await moveToData(data, model, one, { durable: false }));
    else {
      metadatas.push(one.metadata);
      if (next?.isThere !== false) await data.setLatestFrom(model, name, version);
    }
  }
  const there = metadatas.filter((one) => one !== undefined);
  if (there.length < metadatas.length) throw lostAfter();
  return there;
}

const stepsOfMove = 3;

/** What makes a version of one output: its last step finds a later version, if there is one. */
function movesOf(model: ModelRef, { folder, metadata: { name, version } }: Planned): readonly FileStep[] {
  return [
    { do: "adopt", from: folder, to: versionFolder(model, name, version), durable: false },
    { do: "write", path: latestOf(model, name), text: String(version) },
    { do: "stat", path: versionFolder(model, name, version + 1) },
  ];
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
  if ((await putAside(files, folder, runId)) === undefined) return undefined;
  await told(dropped);
  return dropped;
}

/** Moves a run's folder to where no later run removes it: gives that place, or undefined where the folder is gone. */
export async function putAside(files: LocalFiles, folder: string, runId: string): Promise<string | undefined> {
  for (let number = 1; ; number++) {
    const place = `${asideFolder(runId)}${number === 1 ? "" : `.${number}`}`;
    const outcome = await files.adopt(folder, place);
    if (outcome !== "taken") return outcome === "adopted" ? place : undefined;
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
