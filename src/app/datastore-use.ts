/** The datastore: where it is, whether it works, who holds its locks, and the last resort. */
import { FenError } from "../kernel/errors.ts";
import { type HeldLock, type LockRecord, type Resource, resourceKey, type WaitingLock } from "../store/contract.ts";
import { isSafeName } from "../kernel/paths.ts";
import type { DatastoreConfig } from "../repo/repository.ts";
import type { AppContext } from "./context.ts";
import { openWorkspace, type Workspace } from "./workspace.ts";

/** Where in S3 a datastore is, in parts, as far as it was said. */
export interface BucketParts {
  readonly bucket?: string;
  readonly prefix?: string;
  readonly region?: string;
}

export interface DatastoreStatusResult extends BucketParts {
  readonly type: string;
  readonly path: string;
  readonly healthy: boolean;
  readonly message: string;
  readonly latencyMs: number;
  readonly directories: readonly string[];
}

/** Nothing for a folder. */
export function bucketOf(config: DatastoreConfig): BucketParts {
  if (config.kind !== "s3") return {};
  const { bucket, prefix, region } = config;
  return { bucket, ...(prefix === undefined ? {} : { prefix }), ...(region === undefined ? {} : { region }) };
}

/** Writes, reads back and removes a small file: what works is what is said to work. */
export async function datastoreStatus(context: AppContext): Promise<DatastoreStatusResult> {
  const { datastore, repository } = await openWorkspace(context);
  const { clock, random } = context.machine;
  const start = clock.monotonic();
  const about = { type: datastore.kind, path: datastore.location, ...bucketOf(repository.datastore) };
  try {
    await datastore.suits?.();
    const probe = `.fen/probe-${random.uuid()}`;
    await datastore.files.write(probe, "probe");
    const read = await datastore.files.read(probe, { maxBytes: 100 });
    await datastore.files.remove(probe);
    if (read === undefined)
      throw new FenError("store_unavailable", "What was written can't be read back.", {
        hint: "Look at the disk, or at the network behind it.",
      });
    await datastore.locks.inspect("live");
    const latencyMs = Math.round((clock.monotonic() - start) * 100) / 100;
    const directories = (await datastore.files.list(""))
      .filter((entry) => entry.kind === "folder" && !entry.name.startsWith("."))
      .map((entry) => entry.name);
    return { ...about, healthy: true, message: "It can be written, read and locked.", latencyMs, directories };
  } catch (error) {
    if (!(error instanceof FenError)) throw error;
    return {
      ...about,
      healthy: false,
      message: error.message,
      latencyMs: Math.round(clock.monotonic() - start),
      directories: [],
    };
  }
}

export interface LockInfo extends Partial<LockRecord> {
  readonly resource: string;
  readonly state: HeldLock["state"];
  /** It keeps others out: its holder lives, or what its holder started, or an older client may. */
  readonly held: boolean;
  /** Whether a process holds it; null for an older client's record, whose process can't be told. */
  readonly alive: boolean | null;
  /** Left behind by a dead holder: in nobody's way. */
  readonly stale: boolean;
  /** Milliseconds since it was taken, by this machine's clock. */
  readonly ageMs?: number;
  /** The nonce of the caller's lock that it is held under. */
  readonly under?: string;
  readonly modelName?: string;
  readonly modelType?: string;
  readonly modelId?: string;
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
  readonly path: string;
}

export interface WaitInfo extends LockRecord {
  readonly resource: string;
  readonly modelName?: string;
  readonly place: number;
  readonly under?: string;
}

export interface LockStatusResult {
  readonly datastore: LockInfo | null;
  readonly models: readonly LockInfo[];
  readonly waiting: readonly WaitInfo[];
}

/** Takes no lock itself. */
export async function lockStatus(context: AppContext): Promise<LockStatusResult> {
  const workspace = await openWorkspace(context);
  const { held, waiting } = await workspace.datastore.locks.inspect("all");
  const names = held.length + waiting.length === 0 ? new Map<string, string>() : await modelNames(workspace);
  const now = context.machine.clock.now();
  const locks = held.map((lock) => toInfo(lock, names, now));
  return {
    datastore: locks.find((_, index) => held[index]?.resource.kind === "datastore") ?? null,
    models: locks.filter((_, index) => held[index]?.resource.kind === "model"),
    waiting: waiting.map((one) => toWait(one, names)),
  };
}

const watchEveryMs = 250;

/** The status now, and again whenever it changes, until the command is told to stop. */
export async function* watchLocks(context: AppContext): AsyncGenerator<LockStatusResult, void> {
  let before = "";
  while (!context.signal.aborted) {
    const status = await lockStatus(context);
    // The age grows all the time: that is no change.
    const shown = JSON.stringify(status, (key, value: unknown) =>
      key === "ageMs" || key === "acquiredAt" ? undefined : value,
    );
    if (shown !== before) yield status;
    before = shown;
    await context.machine.clock.sleep(watchEveryMs, context.signal).catch(() => undefined); // told to stop
  }
}

async function modelNames(workspace: Workspace): Promise<Map<string, string>> {
  return new Map((await workspace.definitions.list()).definitions.map((one) => [one.id, one.name]));
}

function toInfo(lock: HeldLock, names: ReadonlyMap<string, string>, now: number): LockInfo {
  const { resource, state, record, processes, path, under } = lock;
  const since = Date.parse(record?.since ?? record?.acquiredAt ?? "");
  const model =
    resource.kind === "model" ? { ...named(resource.id, names), modelType: resource.type, modelId: resource.id } : {};
  return {
    resource: resourceKey(resource),
    state,
    held: state !== "stale",
    alive: state === "foreign" || state === "unreadable" ? null : state !== "stale",
    stale: state === "stale",
    ...(Number.isNaN(since) ? {} : { ageMs: Math.max(0, now - since) }),
    ...model,
    ...record,
    processes,
    path,
    ...(under === undefined ? {} : { under }),
  };
}

function toWait({ resource, record, place, under }: WaitingLock, names: ReadonlyMap<string, string>): WaitInfo {
  return {
    ...record,
    resource: resourceKey(resource),
    ...(resource.kind === "model" ? named(resource.id, names) : {}),
    place,
    ...(under === undefined ? {} : { under }),
  };
}

function named(id: string, names: ReadonlyMap<string, string>): { modelName?: string } {
  const name = names.get(id);
  return name === undefined ? {} : { modelName: name };
}

export interface LockReleaseResult {
  readonly released: boolean;
  readonly resource: string;
  readonly reason?: string;
  readonly previousHolder?: Partial<LockRecord>;
}

/**
 * Break-glass. A live holder is only released by its nonce; an orphaned or stale lock and an unreadable record without one.
 * Throws `lock_not_held`, `lock_holder_alive`, `lock_changed`, `confirmation_needed`.
 */
export async function releaseLock(
  context: AppContext,
  options: { readonly model?: string | undefined; readonly nonce?: string | undefined; readonly force: boolean },
): Promise<LockReleaseResult> {
  if (!options.force)
    throw new FenError("confirmation_needed", "Breaking a lock takes it from somebody.", {
      hint: "See who holds it: fen datastore lock status. Then say --force.",
    });
  const workspace = await openWorkspace(context);
  const resource = await resourceOf(workspace, options.model);
  const key = resourceKey(resource);
  const { locks } = workspace.datastore;
  const mine = (await locks.inspect(resource)).held.filter((lock) => lock.under === undefined);
  const lock = options.nonce === undefined ? mine[0] : mine.find((one) => one.record?.nonce === options.nonce);
  if (lock === undefined) {
    if (mine[0] === undefined)
      throw new FenError("lock_not_held", `Nobody holds the lock on ${options.model ?? "the datastore"}.`, {
        hint: "See: fen datastore lock status",
        facts: { resource: key },
      });
    throw new FenError("lock_changed", `The lock on ${key} has another holder than ${options.nonce}.`, {
      hint: "See: fen datastore lock status",
      facts: { resource: key, holder: mine[0].record },
    });
  }
  if (lock.record === undefined) {
    await locks.revoke(resource, undefined);
    return { released: true, resource: key, reason: "the record could not be read" };
  }
  const { record } = lock;
  if ((lock.state === "held" || lock.state === "foreign") && options.nonce === undefined) {
    throw new FenError(
      "lock_holder_alive",
      `${record.holder} (pid ${record.pid}${record.command === undefined ? "" : `, ${record.command}`}) holds the lock on ${key} and is alive.`,
      {
        hint: `If it really must go: fen datastore lock release --force ${options.model === undefined ? "" : `--model ${options.model} `}--nonce ${record.nonce}`,
        facts: { resource: key, holder: record },
      },
    );
  }
  if (!(await locks.revoke(resource, record.nonce)))
    throw new FenError("lock_changed", `The lock on ${key} was given back just now.`, {
      hint: "Nothing is left to be done. See: fen datastore lock status",
      facts: { resource: key },
    });
  return { released: true, resource: key, reason: reasons[lock.state], previousHolder: record };
}

const reasons: Readonly<Record<HeldLock["state"], string>> = {
  held: "taken from a living holder, which can't commit any more",
  orphaned: "its holder is dead; what it started may still work",
  foreign: "the lock file of an older program was removed",
  stale: "its holder is dead",
  unreadable: "the record could not be read",
};

async function resourceOf(workspace: Workspace, model: string | undefined): Promise<Resource> {
  if (model === undefined) return { kind: "datastore" };
  const cut = model.lastIndexOf("/");
  if (cut > 0) {
    const [type, id] = [model.slice(0, cut), model.slice(cut + 1)];
    if (!model.split("/").every(isSafeName))
      throw new FenError("name_invalid", `${JSON.stringify(model)} isn't a type/id.`, {
        hint: "Copy it from: fen datastore lock status",
      });
    return { kind: "model", type, id };
  }
  const { definition } = await workspace.definitions.find(model);
  return { kind: "model", type: definition.type, id: definition.id };
}
