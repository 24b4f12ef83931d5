/** A model definition: what is in `models/<type>/<uuid>.yaml`, and what is wrong with one. */
import { createHash } from "node:crypto";
import { checkInputsSchema } from "../expression/inputs-schema.ts";
import { isSafeName } from "../kernel/paths.ts";
import { isRecord, suggestKey, type YamlPath } from "../repo/yaml.ts";
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

/** Something wrong at a place in a definition. `severity: warning` doesn't keep the model from being used. */
export interface Finding {
  readonly path: YamlPath;
  readonly message: string;
  readonly hint?: string;
  readonly severity: "error" | "warning";
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
const uuidPattern =
  /^([0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|0{8}-0{4}-0{4}-0{4}-0{12}|f{8}-f{4}-f{4}-f{4}-f{12})$/i;

export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}

/** Checks the shape of a definition. `folderType` is the type by the file's folder, for definitions without one. */
export function checkDefinition(value: unknown, folderType: string): CheckedDefinition {
  const findings: Finding[] = [];
  const error = (path: YamlPath, message: string, hint?: string) =>
    findings.push({ path, message, severity: "error", ...(hint === undefined ? {} : { hint }) });
  if (!isRecord(value))
    return {
      definition: undefined,
      findings: [{ path: [], message: "a definition must be a map of keys", severity: "error" }],
    };
  for (const key of Object.keys(value)) {
    if (!knownKeys.includes(key))
      findings.push({
        path: [key],
        message: `unknown key ${key}`,
        hint: suggestKey(key, knownKeys),
        severity: "warning",
      });
  }
  const { id, name, version } = value;
  if (typeof id !== "string" || !isUuid(id))
    error(
      ["id"],
      id === undefined ? "id is missing" : "id must be a UUID",
      "Write a new one, for example from: uuidgen",
    );
  if (typeof name !== "string" || !isSafeName(name))
    error(["name"], name === undefined ? "name is missing" : 'name must be text without "..", "/", "\\" or NUL');
  if (typeof version !== "number" || !Number.isInteger(version) || version < 1)
    error(
      ["version"],
      version === undefined ? "version is missing" : "version must be a whole number from 1",
      "version: 1",
    );
  const type = value["type"] ?? folderType;
  if (typeof type !== "string" || !isSafeType(normalizeType(type)))
    error(["type"], "type must be a name such as command/shell");
  const tags = mapAt(value, "tags", error);
  for (const [key, tag] of Object.entries(tags))
    if (typeof tag !== "string") error(["tags", key], `tag ${key} must be text`, `Quote it: ${key}: "${String(tag)}"`);
  const globalArguments = mapAt(value, "globalArguments", error);
  const methods = checkMethods(value, findings, error);
  const inputs = value["inputs"] === undefined || value["inputs"] === null ? undefined : mapAt(value, "inputs", error);
  for (const { path, message, hint } of checkInputsSchema(inputs ?? {}))
    findings.push({ path: ["inputs", ...path], message, hint, severity: "warning" });
  if (findings.some((finding) => finding.severity === "error")) return { definition: undefined, findings };
  const typeVersion = value["typeVersion"];
  return {
    findings,
    definition: {
      id: String(id).toLowerCase(),
      name: String(name),
      version: Number(version),
      type: normalizeType(String(type)),
      ...(typeof typeVersion === "string" ? { typeVersion } : {}),
      tags: Object.fromEntries(Object.entries(tags).map(([key, tag]) => [key, String(tag)])),
      globalArguments,
      methods,
      ...(inputs === undefined ? {} : { inputs }),
      ...(typeof value["driver"] === "string" ? { driver: value["driver"] } : {}),
    },
  };
}

const methodKeys = ["arguments", "kind"];

type Report = (path: YamlPath, message: string, hint?: string) => void;

function checkMethods(value: Record<string, unknown>, findings: Finding[], error: Report): ModelDefinition["methods"] {
  const methods: [string, DefinedMethod][] = [];
  for (const [method, spec] of Object.entries(mapAt(value, "methods", error))) {
    if (spec !== null && !isRecord(spec)) {
      error(["methods", method], `method ${method} must be a map with arguments`);
      continue;
    }
    for (const key of Object.keys(spec ?? {})) {
      if (!methodKeys.includes(key))
        findings.push({
          path: ["methods", method, key],
          message: `unknown key ${key}`,
          hint: suggestKey(key, methodKeys),
          severity: "warning",
        });
    }
    const args = spec?.["arguments"] ?? {};
    const kind = methodKinds.find((known) => known === spec?.["kind"]);
    if (kind === undefined && spec?.["kind"] !== undefined)
      error(
        ["methods", method, "kind"],
        `kind of ${method} must be one of ${methodKinds.join(", ")}`,
        "read, list and get: runs of it go on side by side, because it changes nothing",
      );
    if (!isRecord(args)) error(["methods", method, "arguments"], `arguments of ${method} must be a map`);
    else methods.push([method, { arguments: args, ...(kind === undefined ? {} : { kind }) }]);
  }
  return Object.fromEntries(methods);
}

function mapAt(value: Record<string, unknown>, key: string, error: Report): Record<string, unknown> {
  const found = value[key] ?? {};
  if (isRecord(found)) return found;
  error([key], `${key} must be a map`);
  return {};
}

/** Each segment may become a folder name. */
export function isSafeType(type: string): boolean {
  return type !== "" && type.split("/").every((segment) => isSafeName(segment));
}

/** SHA-256 of the definition without its type, keys sorted at every level: names the text that a run was made from. */
export function definitionHash(definition: ModelDefinition): string {
  const { type: _type, typeVersion: _typeVersion, ...rest } = definition;
  return createHash("sha256")
    .update(JSON.stringify(sortKeys(rest)))
    .digest("hex");
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
