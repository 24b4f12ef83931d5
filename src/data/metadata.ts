/** `metadata.yaml` beside each version of data. Written in the order that existing repositories have; read leniently. */
import { FenError } from "../kernel/errors.ts";
import { isRecord, parseYaml, stringifyYaml } from "../repo/yaml.ts";

export interface Owner {
  readonly ownerType: "model-method" | "workflow-step" | "manual";
  readonly ownerRef: string;
  /** Id of the output record of the run that made it. */
  readonly outputId?: string;
  readonly workflowId?: string;
  readonly workflowRunId?: string;
}

export interface Metadata {
  /** A fresh one per version. */
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly contentType: string;
  readonly lifetime: string;
  readonly garbageCollection: number | string;
  readonly streaming: boolean;
  readonly tags: Readonly<Record<string, string>>;
  readonly ownerDefinition: Owner & Readonly<Record<string, unknown>>;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly size?: number;
  /** SHA-256 of the content, hexadecimal. */
  readonly checksum?: string;
  /** `deleted` on a tombstone. */
  readonly lifecycle?: string;
  readonly renamedTo?: string;
}

export function stringifyMetadata({ version, ...draft }: Metadata): string {
  const [before, after] = metadataAround(draft);
  return `${before}${version}${after}`;
}

/** The text of a version whose number isn't known yet: what is before that number, and what is behind it. */
export function metadataAround(draft: Omit<Metadata, "version">): readonly [string, string] {
  const { id, name, contentType, lifetime, garbageCollection, streaming, tags, ownerDefinition, createdAt } = draft;
  const { size, checksum, lifecycle, renamedTo } = draft;
  const fields = {
    contentType,
    lifetime,
    garbageCollection,
    streaming,
    tags,
    ownerDefinition,
    createdAt,
    size,
    checksum,
    lifecycle,
    renamedTo,
  };
  const rest = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  return [`${stringifyYaml({ id, name })}version: `, `\n${stringifyYaml(rest)}`];
}

/** Throws `data_corrupt` where what must be there isn't. */
export function parseMetadata(text: string, path: string): Metadata {
  return readMetadata(parseYaml(text, path), path);
}

/** As `parseMetadata`, of what was parsed already. */
export function readMetadata(value: unknown, path: string): Metadata {
  const bad = (what: string) =>
    new FenError("data_corrupt", `${path}: ${what}`, {
      hint: "The version can be removed with: fen data delete <model> <name> --version <n>",
      facts: { path },
    });
  if (!isRecord(value)) throw bad("is not a map");
  const {
    id,
    name,
    version,
    contentType,
    lifetime,
    garbageCollection,
    streaming,
    tags,
    ownerDefinition,
    createdAt,
    size,
    checksum,
    lifecycle,
    renamedTo,
  } = value;
  if (
    typeof id !== "string" ||
    typeof name !== "string" ||
    typeof version !== "number" ||
    typeof createdAt !== "string"
  )
    throw bad("id, name, version or createdAt is missing");
  const owner = isRecord(ownerDefinition) ? ownerDefinition : {};
  return {
    id,
    name,
    version,
    contentType: typeof contentType === "string" ? contentType : "application/octet-stream",
    lifetime: typeof lifetime === "string" ? lifetime : "infinite",
    garbageCollection:
      typeof garbageCollection === "number" || typeof garbageCollection === "string" ? garbageCollection : 10,
    streaming: streaming === true,
    tags: isRecord(tags) ? Object.fromEntries(Object.entries(tags).map(([key, tag]) => [key, String(tag)])) : {},
    ownerDefinition: {
      ...owner,
      ownerType:
        owner["ownerType"] === "workflow-step" || owner["ownerType"] === "manual" ? owner["ownerType"] : "model-method",
      ownerRef: String(owner["ownerRef"] ?? ""),
    },
    createdAt,
    ...(typeof size === "number" ? { size } : {}),
    ...(typeof checksum === "string" ? { checksum } : {}),
    ...(typeof lifecycle === "string" ? { lifecycle } : {}),
    ...(typeof renamedTo === "string" ? { renamedTo } : {}),
  };
}

const units: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  d: 86_400_000,
  w: 604_800_000,
  mo: 30 * 86_400_000,
  y: 365 * 86_400_000,
};

/** Milliseconds of `30d`, `2h`, ...; undefined for what isn't a duration (`infinite`, `job`, ...). */
export function durationMs(text: string): number | undefined {
  const match = /^(\d+)(mo|h|m|d|w|y)$/.exec(text);
  if (match === null) return undefined;
  const unit = units[match[2] ?? ""];
  return unit === undefined ? undefined : Number(match[1]) * unit;
}
