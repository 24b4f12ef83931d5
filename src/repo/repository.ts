/** A repository on disk: its marker `.swamp.yaml`, its folders, and where its datastore is. */
import { existsSync, lstatSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { FenError, storeError } from "../kernel/errors.ts";
import { makeFolder, readTextFile, writeFileAtomic } from "../kernel/files.ts";
import { isoNow } from "../kernel/iso-time.ts";
import type { Machine } from "../kernel/machine.ts";
import { editYaml, isRecord, parseYaml, stringifyYaml } from "./yaml.ts";

export const markerName = ".swamp.yaml";
const maxMarkerBytes = 1024 * 1024;

export interface Layout {
  readonly root: string;
  readonly marker: string;
  readonly modelsDir: string;
  readonly workflowsDir: string;
  readonly vaultsDir: string;
  /** `.swamp`: runtime data that stays local, and the default datastore. */
  readonly runtimeDir: string;
}

export interface Marker {
  readonly swampVersion?: string;
  readonly repoId?: string;
  readonly initializedAt?: string;
  readonly logLevel?: string;
  /** All fields as they are in the file. */
  readonly raw: Readonly<Record<string, unknown>>;
}

export type DatastoreConfig =
  | { readonly kind: "filesystem"; readonly root: string; readonly exclude: readonly string[] }
  | {
      readonly kind: "s3";
      readonly bucket: string;
      readonly prefix?: string;
      readonly region?: string;
      readonly endpoint?: string;
      readonly forcePathStyle?: boolean;
      readonly allowHttp?: boolean;
    };

export interface Repository {
  readonly layout: Layout;
  readonly marker: Marker;
  readonly datastore: DatastoreConfig;
  /** Where read-only workflows lie: SWAMP_WORKFLOWS_DIR, `workflowsDir` of the marker, or extensions/workflows. */
  readonly workflowExtensionsDir: string;
}

export function layoutOf(root: string): Layout {
  return {
    root,
    marker: join(root, markerName),
    modelsDir: join(root, "models"),
    workflowsDir: join(root, "workflows"),
    vaultsDir: join(root, "vaults"),
    runtimeDir: join(root, ".swamp"),
  };
}

/** Opens `repoDir`, or `SWAMP_REPO_DIR`, or the nearest repository from the current folder up. Throws `repository_missing`, `repository_invalid`. */
export async function openRepository(
  machine: Machine,
  options: { readonly repoDir?: string | undefined },
): Promise<Repository> {
  const layout = layoutOf(findRoot(machine, options.repoDir));
  const marker = await readMarker(layout.marker);
  return {
    layout,
    marker,
    datastore: datastoreConfig(machine, layout, marker.raw),
    workflowExtensionsDir: extensionsDir(machine, layout, marker),
  };
}

function extensionsDir(machine: Machine, { root }: Layout, { raw }: Marker): string {
  const fromEnv = machine.host.env["SWAMP_WORKFLOWS_DIR"];
  const named = fromEnv === undefined || fromEnv === "" ? raw["workflowsDir"] : fromEnv;
  return typeof named === "string" && named !== "" ? resolve(root, named) : join(root, "extensions", "workflows");
}

function findRoot(machine: Machine, given: string | undefined): string {
  const { cwd, env } = machine.host;
  const named = given ?? (env["SWAMP_REPO_DIR"] === "" ? undefined : env["SWAMP_REPO_DIR"]);
  if (named !== undefined) {
    const root = resolve(cwd, named);
    if (isMarker(join(root, markerName))) return root;
    throw missing(`No repository in ${root} (no file ${markerName}).`, `fen init ${named}`);
  }
  for (let folder = cwd; ; folder = dirname(folder)) {
    if (isMarker(join(folder, markerName))) return folder;
    if (dirname(folder) === folder)
      throw missing(
        `No repository here or in a folder above (looked for ${markerName} from ${cwd} upwards).`,
        "fen init",
      );
  }
}

function isMarker(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function missing(message: string, command: string): FenError {
  return new FenError("repository_missing", message, {
    hint: `Make one with: ${command}   (or name one with --repo-dir)`,
  });
}

async function readMarker(path: string): Promise<Marker> {
  const text = (await readTextFile(path, maxMarkerBytes)) ?? "";
  let raw: unknown;
  try {
    raw = parseYaml(text, path) ?? {};
  } catch (error) {
    throw error instanceof FenError && error.code === "yaml_invalid" ? invalidMarker(error.message, error) : error;
  }
  if (!isRecord(raw)) throw invalidMarker(`${path} must hold a map of settings.`);
  const field = (name: string): Record<string, string> => (typeof raw[name] === "string" ? { [name]: raw[name] } : {});
  return { ...field("swampVersion"), ...field("repoId"), ...field("initializedAt"), ...field("logLevel"), raw };
}

function invalidMarker(message: string, cause?: unknown): FenError {
  return new FenError("repository_invalid", message, {
    hint: `Mend ${markerName}; "fen init --force" writes a new one and keeps the old one beside it.`,
    cause,
  });
}

function datastoreConfig(machine: Machine, layout: Layout, raw: Readonly<Record<string, unknown>>): DatastoreConfig {
  const fromEnv = machine.host.env["SWAMP_DATASTORE"];
  if (fromEnv !== undefined && fromEnv !== "") return parseDatastore(fromEnv, layout.root);
  const config = raw["datastore"];
  if (config === undefined || config === null) return { kind: "filesystem", root: layout.runtimeDir, exclude: [] };
  if (!isRecord(config)) throw invalidMarker(`datastore in ${layout.marker} must be a map with a type.`);
  const { type, path, bucket, prefix, region, endpoint, forcePathStyle, allowHttp, exclude } = config;
  if (type === "filesystem" && typeof path === "string")
    return { kind: "filesystem", root: resolve(layout.root, path), exclude: strings(exclude) };
  if (type === "s3" && typeof bucket === "string") {
    return {
      kind: "s3",
      bucket,
      ...(typeof prefix === "string" ? { prefix } : {}),
      ...(typeof region === "string" ? { region } : {}),
      ...(typeof endpoint === "string" ? { endpoint } : {}),
      ...(typeof forcePathStyle === "boolean" ? { forcePathStyle } : {}),
      ...(typeof allowHttp === "boolean" ? { allowHttp } : {}),
    };
  }
  throw invalidMarker(`datastore in ${layout.marker} needs type "filesystem" with a path, or type "s3" with a bucket.`);
}

function parseDatastore(text: string, root: string): DatastoreConfig {
  const match = /^(filesystem|s3):(.+)$/.exec(text);
  const [, kind, rest = ""] = match ?? [];
  if (kind === "filesystem") return { kind, root: resolve(root, rest), exclude: [] };
  if (kind === "s3") {
    const [bucket = "", ...prefix] = rest.split("/");
    return { kind, bucket, ...(prefix.length > 0 ? { prefix: prefix.join("/") } : {}) };
  }
  throw new FenError("repository_invalid", `SWAMP_DATASTORE can't be understood: ${text}`, {
    hint: "Write filesystem:<path> or s3:<bucket>/<prefix>",
  });
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

// ------------------------------------------------------------------ init

export interface InitResult {
  readonly path: string;
  readonly version: string;
  readonly initializedAt: string;
  readonly gitignoreAction: "created" | "updated" | "unchanged";
  readonly created: boolean;
}

const runtimeFolders = ["data", "definitions-evaluated", "outputs", "secrets", "workflow-runs", "workflows-evaluated"];
const blockStart = "# BEGIN swamp managed section - DO NOT EDIT";
const blockEnd = "# END swamp managed section";
const block = `${blockStart}\n\n# Runtime data (not needed in version control)\n.swamp/\n${blockEnd}\n`;

/** Makes a repository, or completes one that is there. Existing settings are kept; `force` repairs a marker that can't be read. */
export async function initRepository(
  machine: Machine,
  path: string,
  options: { readonly force: boolean; readonly version: string },
): Promise<InitResult> {
  const layout = layoutOf(resolve(machine.host.cwd, path));
  const now = isoNow(machine);
  try {
    for (const folder of [
      layout.modelsDir,
      layout.workflowsDir,
      layout.vaultsDir,
      ...runtimeFolders.map((name) => join(layout.runtimeDir, name)),
    ])
      makeFolder(folder);
  } catch (error) {
    throw storeError(error, "the repository's folders", layout.root);
  }
  const created = !existsSync(layout.marker);
  const fresh = {
    swampVersion: options.version,
    initializedAt: now,
    repoId: machine.random.uuid(),
    gitignoreManaged: true,
  };
  const initializedAt = created ? now : await completeMarker(layout.marker, fresh, options.force);
  if (created) await writeFileAtomic(layout.marker, stringifyYaml(fresh));
  return {
    path: layout.root,
    version: options.version,
    initializedAt,
    gitignoreAction: await writeGitignore(join(layout.root, ".gitignore")),
    created,
  };
}

async function completeMarker(path: string, fresh: Record<string, unknown>, force: boolean): Promise<string> {
  let marker: Marker;
  try {
    marker = await readMarker(path);
  } catch (error) {
    if (!force || !(error instanceof FenError) || error.code !== "repository_invalid") throw error;
    const broken = (await readTextFile(path, maxMarkerBytes)) ?? "";
    await writeFileAtomic(`${path}.broken`, broken);
    await writeFileAtomic(path, stringifyYaml(fresh));
    return String(fresh["initializedAt"]);
  }
  const absent = Object.entries(fresh).filter(([key]) => marker.raw[key] === undefined);
  if (absent.length > 0) {
    const text = (await readTextFile(path, maxMarkerBytes)) ?? "";
    await writeFileAtomic(
      path,
      await editYaml(
        text,
        absent.map(([key, value]) => ({ op: "set", path: [key], value })),
      ),
    );
  }
  return marker.initializedAt ?? String(fresh["initializedAt"]);
}

async function writeGitignore(path: string): Promise<InitResult["gitignoreAction"]> {
  const text = await readTextFile(path, maxMarkerBytes);
  if (text === undefined) {
    await writeFileAtomic(path, block);
    return "created";
  }
  const start = text.indexOf(blockStart);
  // A block that is there already covers .swamp/ whoever wrote it; the user's own lines are never touched.
  if (start >= 0 && text.indexOf(blockEnd, start) > start && text.slice(start).includes("\n.swamp/"))
    return "unchanged";
  await writeFileAtomic(
    path,
    `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${text === "" ? "" : "\n"}${block}`,
  );
  return "updated";
}
