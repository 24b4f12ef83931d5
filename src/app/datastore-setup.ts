/** `datastore setup`: the place is tried before the marker names it. Data isn't moved. */
import { resolve } from "node:path";
import { readTextFile, writeFileAtomic } from "../kernel/files.ts";
import { openRepository, type Repository } from "../repo/repository.ts";
import { editYaml } from "../repo/yaml.ts";
import { openFilesystemDatastore } from "../store/drivers/filesystem/datastore.ts";
import type { AppContext } from "./context.ts";

export interface DatastoreSetupResult {
  readonly type: "filesystem" | "s3";
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

export interface S3SetupOptions {
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
  const { bucket, prefix, region, endpoint, forcePathStyle, allowHttp } = options;
  const settings = {
    bucket,
    ...(prefix === undefined ? {} : { prefix }),
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(forcePathStyle ? { forcePathStyle } : {}),
    ...(allowHttp ? { allowHttp } : {}),
  };
  const { tryS3 } = await import("./s3-datastore.ts");
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
  await writeMarker(repository, { type: "s3", ...settings });
  return { type: "s3", path: location, capabilities };
}

/** Relative to the repository, or absolute. */
export async function setUpFolder(
  context: AppContext,
  options: { readonly path: string },
): Promise<DatastoreSetupResult> {
  const { machine } = context;
  const repository = await openRepository(machine, { repoDir: context.repoDir });
  const path = resolve(repository.layout.root, options.path);
  const { files, locks } = openFilesystemDatastore(path, machine);
  const probe = `.fen/probe-${machine.random.uuid()}`;
  await files.write(probe, "probe");
  await files.remove(probe);
  await locks.inspect("live");
  await writeMarker(repository, { type: "filesystem", path: options.path });
  return { type: "filesystem", path };
}

const maxMarkerBytes = 1024 * 1024;

async function writeMarker({ layout }: Repository, value: Readonly<Record<string, unknown>>): Promise<void> {
  const text = (await readTextFile(layout.marker, maxMarkerBytes)) ?? "";
  await writeFileAtomic(layout.marker, await editYaml(text, [{ op: "set", path: ["datastore"], value }]));
}
