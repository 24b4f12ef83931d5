/** A workspace is an opened repository with everything that a use case works on. Made once per command. */
import type { VersionStore } from "../data/contract.ts";
import { FolderVersions } from "../data/folders.ts";
import { Outputs } from "../data/outputs.ts";
import type { DataSync } from "../data/sync.ts";
import { DataVersions } from "../data/versions.ts";
import { readHandedDown } from "../lock/hand-down.ts";
import type { Lease, LockRequest } from "../lock/lease.ts";
import { type AcquireOptions, LockManager } from "../lock/manager.ts";
import { FenError } from "../kernel/errors.ts";
import { behindFolder } from "../kernel/paths.ts";
import { Definitions, type LoadedDefinition } from "../model/definitions.ts";
import type { ModelTypes } from "../model/type.ts";
import { builtinTypes } from "../model/types/index.ts";
import { openRepository, type Repository } from "../repo/repository.ts";
import { type Datastore, type LockMode, resourceKey } from "../store/contract.ts";
import { openFilesystemDatastore } from "../store/drivers/filesystem/datastore.ts";
import { Workflows } from "../workflow/workflows.ts";
import type { AppContext } from "./context.ts";

export interface Workspace {
  readonly repository: Repository;
  readonly datastore: Datastore;
  readonly locks: LockManager;
  readonly types: ModelTypes;
  readonly definitions: Definitions;
  readonly workflows: Workflows;
  readonly data: DataVersions;
  readonly outputs: Outputs;
  /** Undefined where the datastore is on this machine. */
  readonly sync: DataSync | undefined;
  /** Takes locks with the command's timeout, signal and notices. Dispose of the lease, or release it. */
  lock(requests: readonly LockRequest[], options?: LockOptions): Promise<Lease>;
}

/** `signal` and `onWait` stand in for those of the command. */
export type LockOptions = Pick<AcquireOptions, "signal" | "onWait" | "beside" | "meanwhile">;

export interface OpenedDatastore {
  readonly datastore: Datastore;
  readonly versions: VersionStore;
  readonly sync?: DataSync;
}

/** Throws `repository_missing`, `repository_invalid`, and for one in S3 what keeps it from being used. */
export async function openWorkspace(context: AppContext): Promise<Workspace> {
  const repository = await openRepository(context.machine, { repoDir: context.repoDir });
  context.opened?.(repository.marker);
  const { datastore, versions, sync } = await openDatastore(repository, context);
  let locks: LockManager | undefined;
  let workflows: Workflows | undefined;
  const manager = () => (locks ??= new LockManager(datastore.locks, context.machine));
  return {
    repository,
    datastore,
    get locks() {
      return manager();
    },
    types: builtinTypes(context.types),
    definitions: new Definitions(repository.layout),
    get workflows() {
      return (workflows ??= new Workflows(repository));
    },
    data: new DataVersions(versions),
    outputs: new Outputs(datastore.files),
    sync,
    lock: (requests, options) => lockWith(context, manager(), { requests, ...options }),
  };
}

/** A log as records name it: relative to the repository where it is inside. `path`: in the datastore. */
export function logName({ datastore, repository }: Pick<Workspace, "datastore" | "repository">, path: string): string {
  const place = datastore.files.locate(path);
  return behindFolder(repository.layout.root, place) ?? place;
}

/** Where the repository's datastore is now. */
export async function openDatastore(
  { datastore: config, layout }: Repository,
  { machine, emit }: AppContext,
): Promise<OpenedDatastore> {
  if (config.kind === "s3") {
    const { openS3Datastore } = await import("./s3-datastore.ts");
    return openS3Datastore(config, machine, {
      runtimeDir: layout.runtimeDir,
      onLeftover: ({ message }) =>
        emit({
          event: "warning",
          message: `A lock is given back, but its claim is still in the store: ${message}`,
          hint: "It is in nobody's way. fen data gc removes it.",
        }),
    });
  }
  const datastore = openFilesystemDatastore(config.root, machine);
  return { datastore, versions: new FolderVersions(datastore.local) };
}

/** A method that calls fen, which runs a method that calls fen: so many commands within each other, and no more. */
const mostNested = 16;

function refuseEndless({ machine }: AppContext): void {
  const callers = new Set(readHandedDown(machine.host.env).map(({ pid }) => pid));
  if (callers.size < mostNested) return;
  throw new FenError(
    "definition_invalid",
    `Methods call fen ${callers.size} deep, one within the other; ${mostNested} is the most.`,
    {
      hint: "Does a method run itself? Look at what it calls: fen model get <model>",
    },
  );
}

/** With the command's timeout, signal and notices. Throws `definition_invalid` where methods call fen within each other without an end. */
export async function lockWith(
  context: AppContext,
  locks: LockManager,
  { requests, ...options }: LockOptions & { readonly requests: readonly LockRequest[] },
): Promise<Lease> {
  refuseEndless(context);
  const start = context.machine.clock.monotonic();
  const lease = await locks.acquire(requests, {
    timeoutMs: context.lockTimeoutMs,
    signal: context.signal,
    onWait: (notice) => context.emit({ event: "lock.waiting", notice }),
    ...options,
  });
  context.emit({
    event: "lock.granted",
    resources: [...new Set(requests.map(({ resource }) => resourceKey(resource)))],
    waitedMs: Math.round(context.machine.clock.monotonic() - start),
  });
  return lease;
}

/** A request for a model's lock, exclusive if not said otherwise. */
export function modelLock({ definition }: LoadedDefinition, mode: LockMode = "exclusive"): LockRequest {
  const { type, id, name } = definition;
  return { resource: { kind: "model", type, id }, mode, label: name };
}
