/** `datastore setup`: the place is tried, what the old one has is brought there, and last of all the marker names it. */
import { resolve } from "node:path";
import { readTextFile, writeFileAtomic } from "../kernel/files.ts";
import { openRepository, type Repository } from "../repo/repository.ts";
import { editYaml } from "../repo/yaml.ts";
import { openFilesystemDatastore } from "../store/drivers/filesystem/datastore.ts";
import { FolderVersions } from "../data/folders.ts";
import type { AppContext } from "./context.ts";
import { migrate, type Migrated } from "./datastore-migrate.ts";
import { bucketOf, type BucketParts } from "./datastore-use.ts";
import { type OpenedDatastore, openDatastore } from "./workspace.ts";

export interface DatastoreSetupResult extends Partial<Migrated>, BucketParts {
  readonly type: "filesystem" | "s3";
  /** Nothing was written: this is what would be done. */
  readonly dryRun?: true;
  /** A folder, or where in S3. */
  readonly path: string;
  /** What was found out of a store in S3. */
  readonly capabilities?: {
    readonly etagForm: "quoted" | "bare";
    readonly conditionalDelete: "works" | "ignored" | "refused";
    readonly versioned: boolean;
    readonly expiredBy?: string;
  };
}

/** What becomes of what the datastore has now. */
export interface MigrationOptions {
  readonly dryRun: boolean;
  /** Leave it where it is. */
  readonly skipMigration: boolean;
}

export interface S3SetupOptions extends MigrationOptions {
  readonly bucket: string;
  readonly prefix?: string | undefined;
  readonly region?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly forcePathStyle: boolean;
  readonly allowHttp: boolean;
}

/** Throws `store_unsuited` where the store's conditional writes don't work, and what else keeps it from being used; then the marker is as it was. */
export async function setUpS3(context: AppContext, options: S3SetupOptions): Promise<DatastoreSetupResult> {
  const repository = await openRepository(context.machine, { repoDir: context.repoDir });
  context.opened?.(repository.marker);
  const { bucket, prefix, region, endpoint, forcePathStyle, allowHttp } = options;
  const settings = {
    bucket,
    ...(prefix === undefined ? {} : { prefix }),
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(forcePathStyle ? { forcePathStyle } : {}),
    ...(allowHttp ? { allowHttp } : {}),
  };
  const { openS3Datastore, tryS3 } = await import("./s3-datastore.ts");
  const { location, capabilities } = await tryS3(settings, context.machine);
  if (capabilities.expiredBy !== undefined)
    context.emit({
      event: "warning",
      message: `The bucket's lifecycle rule ${capabilities.expiredBy} removes objects of this datastore.`,
      hint: "Take the datastore's prefix out of that rule: what it removes can't be brought back.",
    });
  if (capabilities.versioned)
    context.emit({
      event: "warning",
      message: "The bucket keeps every version of every object: locks alone make thousands a day.",
      hint: "Add a lifecycle rule that removes noncurrent versions below .fen/ after a day.",
    });
  const target = await openS3Datastore(settings, context.machine, repository.layout);
  const migrated = await bringData(context, { repository, target, options });
  const done = {
    type: "s3",
    path: location,
    ...bucketOf({ kind: "s3", ...settings }),
    capabilities,
    ...migrated,
  } as const;
  if (options.dryRun) return { ...done, dryRun: true };
  await writeMarker(repository, { type: "s3", ...settings });
  return done;
}

async function bringData(
  context: AppContext,
  parts: {
    readonly repository: Repository;
    readonly target: OpenedDatastore;
    readonly options: MigrationOptions;
  },
): Promise<Partial<Migrated>> {
  const { repository, target, options } = parts;
  if (options.skipMigration) return {};
  const source = await openDatastore(repository, context);
  return migrate(context, { source, target, dryRun: options.dryRun });
}

/** Relative to the repository, or absolute. */
export async function setUpFolder(
  context: AppContext,
  options: MigrationOptions & { readonly path: string },
): Promise<DatastoreSetupResult> {
  const { machine } = context;
  const repository = await openRepository(machine, { repoDir: context.repoDir });
  const path = resolve(repository.layout.root, options.path);
  const datastore = openFilesystemDatastore(path, machine);
  const target = { datastore, versions: new FolderVersions(datastore.local) };
  if (options.dryRun) {
    const planned = await bringData(context, { repository, target, options });
    return { type: "filesystem", path, ...planned, dryRun: true };
  }
  const { files, locks } = datastore;
  const probe = `.fen/probe-${machine.random.uuid()}`;
  await files.write(probe, "probe");
  await files.remove(probe);
  await locks.inspect("live");
  const migrated = await bringData(context, { repository, target, options });
  await writeMarker(repository, { type: "filesystem", path: options.path });
  return { type: "filesystem", path, ...migrated };
}

const maxMarkerBytes = 1024 * 1024;

async function writeMarker({ layout }: Repository, value: Readonly<Record<string, unknown>>): Promise<void> {
  const text = (await readTextFile(layout.marker, maxMarkerBytes)) ?? "";
  await writeFileAtomic(layout.marker, await editYaml(text, [{ op: "set", path: ["datastore"], value }]));
}
