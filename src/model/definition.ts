/** A model definition: what is in `models/<type>/<uuid>.yaml`, and what is wrong with one. */
import { checkInputsSchema } from "../expression/inputs-schema.ts";
import { sha256Hex } from "../kernel/hash.ts";
import { isSafeName } from "../kernel/paths.ts";
import { type Finding, Findings } from "../repo/findings.ts";
import { isUuid } from "../repo/named-files.ts";
import { isRecord } from "../repo/yaml.ts";
import { type MethodKind, methodKinds, normalizeType } from "./type.ts";

export interface ModelDefinition {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  /** Normalised. */
  readonly type: string;
  readonly typeVersion?: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly globalArguments: Readonly<Record<string, unknown>>;
  readonly methods: Readonly<Record<string, DefinedMethod>>;
  readonly inputs?: Readonly<Record<string, unknown>>;
  /** Where methods run; other than `raw` (in place) it can't be used yet. */
  readonly driver?: string;
}

export interface DefinedMethod {
  readonly arguments: Readonly<Record<string, unknown>>;
  /** What it does in this model, where that is known better here than in the type: a shell command that only reads, for example. */
  readonly kind?: MethodKind;
}

export interface CheckedDefinition {
  /** Undefined where there are errors. */
  readonly definition: ModelDefinition | undefined;
  readonly findings: readonly Finding[];
}

const knownKeys = [
  "type",
  "typeVersion",
  "id",
  "name",
  "version",
  "tags",
  "globalArguments",
  "inputs",
  "methods",
  "checks",
  "driver",
  "driverConfig",
  "resources",
  "reports",
];

/** Checks the shape of a definition. `folderType` is the type by the file's folder, for definitions without one. */
export function checkDefinition(value: unknown, folderType: string): CheckedDefinition {
  const findings = new Findings();
  if (!isRecord(value)) {
    findings.error([], "a definition must be a map of keys");
    return { definition: undefined, findings: findings.all };
  }
  findings.unknownKeys(value, knownKeys);
  const { id, name, version } = value;
  if (typeof id !== "string" || !isUuid(id))
    findings.error(
      ["id"],
      id === undefined ? "id is missing" : "id must be a UUID",
      "Write a new one, for example from: uuidgen",
    );
  if (typeof name !== "string" || !isSafeName(name))
    findings.error(
      ["name"],
      name === undefined ? "name is missing" : 'name must be text without "..", "/", "\\" or NUL',
    );
  if (typeof version !== "number" || !Number.isInteger(version) || version < 1)
    findings.error(
      ["version"],
      version === undefined ? "version is missing" : "version must be a whole number from 1",
      "version: 1",
    );
  const type = value["type"] ?? folderType;
  if (typeof type !== "string" || !isSafeType(normalizeType(type)))
    findings.error(["type"], "type must be a name such as command/shell");
  const tags = findings.tagsAt(value);
  const globalArguments = findings.mapAt(value, "globalArguments");
  const methods = checkMethods(value, findings);
  const inputs =
    value["inputs"] === undefined || value["inputs"] === null ? undefined : findings.mapAt(value, "inputs");
  for (const { path, message, hint } of checkInputsSchema(inputs ?? {}))
    findings.warn(["inputs", ...path], message, hint);
  if (findings.hasErrors) return { definition: undefined, findings: findings.all };
  const typeVersion = value["typeVersion"];
  return {
    findings: findings.all,
    definition: {
      id: String(id).toLowerCase(),
      name: String(name),
      version: Number(version),
      type: normalizeType(String(type)),
      ...(typeof typeVersion === "string" ? { typeVersion } : {}),
      tags,
      globalArguments,
      methods,
      ...(inputs === undefined ? {} : { inputs }),
      ...(typeof value["driver"] === "string" ? { driver: value["driver"] } : {}),
    },
  };
}

const methodKeys = ["arguments", "kind"];

function checkMethods(value: Record<string, unknown>, findings: Findings): ModelDefinition["methods"] {
  const methods: [string, DefinedMethod][] = [];
  for (const [method, spec] of Object.entries(findings.mapAt(value, "methods"))) {
    if (spec !== null && !isRecord(spec)) {
      findings.error(["methods", method], `method ${method} must be a map with arguments`);
      continue;
    }
    findings.unknownKeys(spec ?? {}, methodKeys, { at: ["methods", method] });
    const args = spec?.["arguments"] ?? {};
    const kind = methodKinds.find((known) => known === spec?.["kind"]);
    if (kind === undefined && spec?.["kind"] !== undefined)
      findings.error(
        ["methods", method, "kind"],
        `kind of ${method} must be one of ${methodKinds.join(", ")}`,
        "read, list and get: runs of it go on side by side, because it changes nothing",
      );
    if (!isRecord(args)) findings.error(["methods", method, "arguments"], `arguments of ${method} must be a map`);
    else methods.push([method, { arguments: args, ...(kind === undefined ? {} : { kind }) }]);
  }
  return Object.fromEntries(methods);
}

/** Each segment may become a folder name. */
export function isSafeType(type: string): boolean {
  return type !== "" && type.split("/").every((segment) => isSafeName(segment));
}

/** SHA-256 of the definition without its type, keys sorted at every level: names the text that a run was made from. */
export function definitionHash(definition: ModelDefinition): string {
  const { type: _type, typeVersion: _typeVersion, ...rest } = definition;
  return sha256Hex(JSON.stringify(sortKeys(rest)));
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sortKeys(value[key])]),
  );
}
