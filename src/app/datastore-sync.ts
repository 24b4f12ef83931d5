/**
 * `datastore sync`. Commands need no sync: they read what is committed, and what they commit is there for all. It is for what went wrong (outputs and records
 * that could not reach the store), for working from the cache, and for older programs.
 */
import { ownerFile } from "../data/commit.ts";
import { type ModelRef, modelRefOf, stagingFolder, stagingRoot } from "../data/layout.ts";
import { FenError } from "../kernel/errors.ts";
import { compareCodePoints } from "../kernel/order.ts";
import type { LocalFiles } from "../store/contract.ts";
import { claimFile } from "../store/drivers/filesystem/claim-file.ts";
import { runFiles } from "../workflow/run-files.ts";
import type { AppContext } from "./context.ts";
import { listRuns } from "./find-run.ts";
import { settlePast } from "./settle.ts";
import { workUnder } from "./work-under.ts";
import { openWorkspace, type Workspace } from "./workspace.ts";

export interface DatastoreSyncResult {
  readonly mode: "pull" | "push" | "sync";
  /** Contents that came into the cache. */
  readonly filesPulled?: number;
  /** Files that were written into the store, those of `runs` not counted. */
  readonly filesPushed?: number;
  /** What runs had left on this machine. */
  readonly runs?: readonly SyncedRun[];
  /** A sentence for each file that is missing or damaged. */
  readonly errors: readonly string[];
}

export interface SyncedRun {
  readonly model: string;
  readonly runId: string;
  readonly committed: boolean;
  /** Where its outputs are, because they could not become data any more. */
  readonly keptAside?: string;
}

type SyncedWorkspace = Pick<Workspace, "data" | "datastore" | "lock" | "outputs" | "sync">;

/** Throws `datastore_invalid` for a datastore in a folder. */
export async function syncDatastore(
  context: AppContext,
  { mode }: { readonly mode: DatastoreSyncResult["mode"] },
): Promise<DatastoreSyncResult> {
  return syncWorkspace(context, await openWorkspace(context), mode);
}

export async function syncWorkspace(
  context: AppContext,
  workspace: SyncedWorkspace,
  mode: DatastoreSyncResult["mode"],
): Promise<DatastoreSyncResult> {
  const { sync } = workspace;
  if (sync === undefined)
    throw new FenError("datastore_invalid", "The datastore is a folder: there is nothing to sync.", {
      hint: "Everything is in it as soon as a command has ended. See: fen datastore status",
    });
  const errors: string[] = [];
  let pushed = {};
  if (mode !== "pull") {
    const runs = await pushRuns(context, workspace);
    const records = (await pushRecords(context, workspace)) + (await pushWorkflowRuns(context, workspace));
    const published = await sync.publish({ signal: context.signal });
    errors.push(...published.errors);
    pushed = { filesPushed: records + published.files, runs };
  }
  if (mode === "push") return { mode, ...pushed, errors };
  const pulled = await sync.pull();
  return { mode, filesPulled: pulled.files, ...pushed, errors: [...new Set([...errors, ...pulled.errors])] };
}

/** Outputs of runs that could not be committed, or that died; where one lives here, that one sees to them, or the next. */
async function pushRuns(context: AppContext, workspace: SyncedWorkspace): Promise<SyncedRun[]> {
  const { local } = workspace.datastore;
  const settled: SyncedRun[] = [];
  const alive = new Set((await living(local)).map(stagingFolder));
  for (const { name } of await local.list(stagingRoot)) {
    const model = modelRefOf(name);
    if (model === undefined || alive.has(stagingFolder(model))) continue;
    if ((await local.list(stagingFolder(model))).length === 0) continue;
    const lease = await lockModel(workspace, model);
    const past = await workUnder(lease, () => settlePast(context, workspace, { definition: model, lease }));
    for (const { runId, committed, keptAside } of past) {
      const aside = keptAside === undefined ? {} : { keptAside };
      settled.push({ model: `${model.type}/${model.id}`, runId, committed, ...aside });
    }
  }
  return settled;
}

function lockModel(workspace: SyncedWorkspace, { type, id }: ModelRef) {
  return workspace.lock([{ resource: { kind: "model", type, id }, mode: "exclusive" }]);
}

const recordOrLog = /^([0-9a-f-]{36})-\d{4}-.*\.(?:yaml|log)$/i;

/** Models of which a run on this machine is at work: what it writes is its own. */
async function living(local: LocalFiles): Promise<ModelRef[]> {
  const found: ModelRef[] = [];
  for (const { name } of await local.list(stagingRoot)) {
    const model = modelRefOf(name);
    for (const run of model === undefined ? [] : await local.list(`${stagingRoot}/${name}`))
      if (model !== undefined && (await local.owner(`${stagingRoot}/${name}/${run.name}/${ownerFile}`)) === "alive")
        found.push(model);
  }
  return found;
}

/** Records and logs of runs of methods. Whoever has the model alone knows that no run of it is still writing them. */
async function pushRecords(context: AppContext, workspace: SyncedWorkspace): Promise<number> {
  const { local, files } = workspace.datastore;
  const found = new Map<string, { readonly model: ModelRef; readonly paths: string[] }>();
  const walk = async (segments: readonly string[]): Promise<void> => {
    for (const { name, kind } of await local.list(["outputs", ...segments].join("/"))) {
      if (kind === "folder") await walk([...segments, name]);
      const id = recordOrLog.exec(name)?.[1];
      if (kind !== "file" || id === undefined || segments.length < 2) continue;
      const model = { type: segments.slice(0, -1).join("/"), id };
      const one = found.get(`${model.type}/${id}`) ?? { model, paths: [] };
      one.paths.push(["outputs", ...segments, name].join("/"));
      found.set(`${model.type}/${id}`, one);
    }
  };
  await walk([]);
  for (const { id, type } of await living(local)) found.delete(`${type}/${id}`);
  let pushed = 0;
  for (const [, { model, paths }] of [...found].sort(([a], [b]) => compareCodePoints(a, b))) {
    context.signal.throwIfAborted();
    await workUnder(await lockModel(workspace, model), async () => {
      await files.sync(paths.filter((one) => one.endsWith(".log")));
      for (const path of paths.filter((one) => one.endsWith(".yaml"))) await pushRecord(workspace, model, path);
    });
    pushed += paths.length;
  }
  return pushed;
}

/** One that says "running" of a run that isn't says what happened. */
async function pushRecord(
  { outputs, datastore }: SyncedWorkspace,
  { type, id }: ModelRef,
  path: string,
): Promise<void> {
  const file = { path, type, modelId: id, method: "", stamp: "" };
  const stored = await outputs.read(file).catch(() => undefined); // damaged: whoever reads it is told
  if (stored?.record.status !== "running") return datastore.files.sync([path]);
  const error = { message: "The command ended before its record could be written." };
  const record = { ...stored.record, status: "interrupted", error } as const;
  await outputs.write(path.replace(/\.yaml$/, ""), record, { durable: true });
}

/** Records and logs of workflow runs. While we have the claim nobody goes on with the run. */
async function pushWorkflowRuns(context: AppContext, { datastore }: SyncedWorkspace): Promise<number> {
  const { local, files, journals } = datastore;
  let pushed = 0;
  for (const run of await listRuns(local)) {
    const { record, log, owner } = runFiles(run);
    const present = await Promise.all(
      [record, log].map(async (path) => ((await local.stat(path)) === undefined ? [] : [path])),
    );
    const paths = present.flat();
    if (paths.length === 0 || (await journals.owner(owner)) === "alive") continue;
    const { machine, signal, lockTimeoutMs: timeoutMs } = context;
    const claim = await claimFile(machine, local.locate(`${owner}.claim`), {
      what: `The run ${run.id}`,
      timeoutMs,
      signal,
    });
    try {
      if ((await journals.owner(owner)) === "alive") continue;
      await files.sync(paths);
      pushed += paths.length;
    } finally {
      claim.release();
    }
  }
  return pushed;
}
