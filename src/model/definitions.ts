/**
 * The definitions of a repository: YAML files anywhere under `models/`.
 * A name is unique over all types. A file that can't be read is a problem that is told; it doesn't hide the others.
 */
import { createHash } from "node:crypto";
import { type Dirent, readdirSync, readFileSync, realpathSync, rmdirSync, statSync } from "node:fs";
import { basename, dirname, join, relative, sep } from "node:path";
import { FenError, storeError } from "../kernel/errors.ts";
import { isAbsence, readBytes, removeFile, tooLarge, writeFileAtomic } from "../kernel/files.ts";
import { compareCodePoints } from "../kernel/order.ts";
import { nearest } from "../kernel/suggest.ts";
import type { Layout } from "../repo/repository.ts";
import { decodeYaml, parseYaml, showLine, stringifyYaml, yamlLocator } from "../repo/yaml.ts";
import { checkDefinition, type CheckedDefinition, type Finding, isUuid, type ModelDefinition } from "./definition.ts";

export const maxDefinitionBytes = 1024 * 1024;

export interface LoadedDefinition {
  readonly definition: ModelDefinition;
  /** Absolute path. */
  readonly file: string;
  readonly text: string;
  readonly warnings: readonly Problem[];
}

/** Something wrong with a file, for people. */
export interface Problem {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  readonly key?: string;
  readonly message: string;
  readonly hint?: string;
  readonly severity: "error" | "warning";
}

export interface DefinitionSummary {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly file: string;
}

/** Waits for a file to be ours alone, until released or until our process ends. */
export type ClaimFile = (path: string) => Promise<{ release(): void }>;

export class Definitions {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** By name, then by id. Throws `model_missing` with the nearest name, `model_ambiguous`, or what is wrong with the file. */
  async find(nameOrId: string): Promise<LoadedDefinition> {
    const files = this.#files();
    const candidates = files.filter((file) => mentions(file, nameOrId));
    const found: LoadedDefinition[] = [];
    const broken: FenError[] = [];
    for (const file of candidates) {
      try {
        const loaded = await this.load(file);
        if (loaded.definition.name === nameOrId || loaded.definition.id === nameOrId.toLowerCase()) found.push(loaded);
      } catch (error) {
        if (!(error instanceof FenError)) throw error;
        if (claimsName(file, nameOrId)) broken.push(error);
      }
    }
    const byName = found.filter((one) => one.definition.name === nameOrId);
    const [first, second] = byName.length > 0 ? byName : found;
    if (first !== undefined && second !== undefined) throw ambiguous(nameOrId, first.file, second.file);
    if (first !== undefined) return first;
    if (broken[0] !== undefined) throw broken[0];
    throw await this.#missing(nameOrId);
  }

  /** The same definition again, as it is now (for use under its lock). Throws `model_missing` where it is gone or another. */
  async reread(before: LoadedDefinition): Promise<LoadedDefinition> {
    const { id, name, type } = before.definition;
    const text = await readText(before.file);
    if (text !== undefined) {
      const now = text === before.text ? before : await this.load(before.file);
      if (now.definition.id === id && now.definition.type === type) return now;
    }
    throw new FenError(
      "model_missing",
      `The model ${name} was deleted or moved while the command waited for its lock.`,
      {
        hint: "List the models: fen model search",
        facts: { model: name },
      },
    );
  }

  /** All definitions by name, and what is wrong with the others. Reads each file once; parses as little as it can. */
  async list(): Promise<{ readonly definitions: readonly DefinitionSummary[]; readonly problems: readonly Problem[] }> {
    const definitions: DefinitionSummary[] = [];
    const problems: Problem[] = [];
    for (const file of this.#files()) {
      try {
        const text = readSmall(file);
        const quick = skim(text);
        const summary = quick ?? (await this.load(file)).definition;
        definitions.push({ id: summary.id, name: summary.name, type: summary.type, file });
      } catch (error) {
        problems.push(problemOf(error, file));
      }
    }
    definitions.sort((a, b) => compareCodePoints(a.name, b.name) || compareCodePoints(a.type, b.type));
    return { definitions, problems };
  }

  /** Throws `yaml_invalid`, `definition_invalid`, `file_too_large`. */
  async load(file: string): Promise<LoadedDefinition> {
    const text = await readText(file);
    if (text === undefined)
      throw new FenError("model_missing", `The definition is gone: ${file}`, {
        hint: "List the models: fen model search",
        facts: { file },
      });
    return this.parse(text, file);
  }

  /** Checks a text as if it were in `file`. */
  async parse(text: string, file: string): Promise<LoadedDefinition> {
    const checked = this.check(text, file);
    const problems = await toProblems(text, file, checked.findings);
    if (checked.definition === undefined) throw invalid(text, file, problems);
    return { definition: checked.definition, file, text, warnings: problems };
  }

  check(text: string, file: string): CheckedDefinition {
    const folderType = relative(this.#layout.modelsDir, dirname(file)).split(sep).join("/");
    return checkDefinition(parseYaml(text, file), folderType);
  }

  /** Where a new definition of this type and id goes. */
  pathOf(type: string, id: string): string {
    return join(this.#layout.modelsDir, ...type.split("/"), `${id}.yaml`);
  }

  /**
   * Writes a new definition. Of several processes that create one name at once, one succeeds: each claims the name first.
   * Throws `model_exists`.
   */
  async create(
    fields: Record<string, unknown> & { readonly type: string; readonly id: string; readonly name: string },
    claim: ClaimFile,
  ): Promise<string> {
    const held = await claim(this.claimPath(fields.name));
    try {
      const { definitions } = await this.list();
      const other = definitions.find((one) => one.name === fields.name);
      if (other !== undefined) throw exists(fields.name, other.file);
      const file = this.pathOf(fields.type, fields.id);
      await writeFileAtomic(file, stringifyYaml(fields));
      return file;
    } finally {
      held.release();
    }
  }

  /** The file whose lock is the claim on a name: whoever makes or renames a model to it holds it meanwhile. */
  claimPath(name: string): string {
    return join(this.#layout.runtimeDir, "name-claims", createHash("sha256").update(name).digest("hex"));
  }

  /** Replaces the text of a definition at once. A link stays a link: what it leads to is replaced. */
  async replace(file: string, text: string): Promise<void> {
    await writeFileAtomic(realpathSync(file), text);
  }

  /** Removes a definition and the folders above it that are empty then. */
  remove(file: string): boolean {
    try {
      if (!removeFile(file)) return false;
    } catch (error) {
      throw storeError(error, "the definition", file);
    }
    for (let folder = dirname(file); folder.startsWith(`${this.#layout.modelsDir}${sep}`); folder = dirname(folder)) {
      try {
        rmdirSync(folder);
      } catch {
        break; // not empty, or not ours to remove: it stays
      }
    }
    return true;
  }

  /** Names of workflow files whose text names the model. */
  workflowsNaming(definition: ModelDefinition): string[] {
    const names = filesUnder(this.#layout.workflowsDir, this.#layout.root);
    return names.filter((file) =>
      [definition.name, definition.id].some((word) =>
        new RegExp(`modelIdOrName:\\s*["']?${escape(word)}["']?\\s*([,}\\s]|$)`, "m").test(readSmall(file)),
      ),
    );
  }

  #files(): string[] {
    return filesUnder(this.#layout.modelsDir, this.#layout.root);
  }

  async #missing(nameOrId: string): Promise<FenError> {
    const { definitions, problems } = await this.list();
    const near = nearest(
      nameOrId,
      definitions.map((one) => one.name),
    );
    const unreadable =
      problems.length === 0 ? "" : ` ${problems.length} definition(s) can't be read; see: fen model validate`;
    return new FenError("model_missing", `No model is called ${nameOrId}.`, {
      hint: `${near === undefined ? "" : `Did you mean ${near}? `}List the models: fen model search.${unreadable}`,
      facts: { model: nameOrId },
    });
  }
}

/** YAML files under a folder, in code point order. Links are followed only where they stay inside the repository. */
function filesUnder(folder: string, repository: string): string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if (isAbsence(error)) return [];
    throw storeError(error, "the folder", folder);
  }
  entries.sort((a, b) => compareCodePoints(a.name, b.name));
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesUnder(path, repository);
    if (!entry.name.endsWith(".yaml") || entry.name.startsWith(".")) return [];
    return entry.isFile() || (entry.isSymbolicLink() && leadsToAnother(path, repository)) ? [path] : [];
  });
}

/** True for a link to a file of the repository that isn't a definition by itself: one of those would be there twice. */
function leadsToAnother(path: string, repository: string): boolean {
  try {
    const target = relative(realpathSync(repository), realpathSync(path));
    const isDefinition = target.startsWith(`models${sep}`) && target.endsWith(".yaml");
    return !target.startsWith("..") && !isDefinition && statSync(path).isFile();
  } catch {
    return false; // a link to nowhere
  }
}

/** Throws `yaml_invalid` where it isn't UTF-8. */
async function readText(file: string): Promise<string | undefined> {
  const bytes = await readBytes(file, maxDefinitionBytes);
  return bytes === undefined ? undefined : decodeYaml(bytes, file);
}

function readSmall(file: string): string {
  try {
    const { size } = statSync(file);
    if (size > maxDefinitionBytes) throw tooLarge(file, `${size} bytes`, maxDefinitionBytes);
    return readFileSync(file, "utf8");
  } catch (error) {
    throw storeError(error, "the definition", file);
  }
}

/** A cheap look before parsing: could this file be the one? */
function mentions(file: string, nameOrId: string): boolean {
  if (isUuid(nameOrId) && file.toLowerCase().includes(nameOrId.toLowerCase())) return true;
  if (isCalledSo(file, nameOrId)) return true;
  try {
    const text = readSmall(file);
    // A name may be written with escapes in quotes: then the file must be parsed.
    return (
      text.includes(nameOrId) || text.toLowerCase().includes(nameOrId.toLowerCase()) || /^name:\s*["|>]/m.test(text)
    );
  } catch (error) {
    if (error instanceof FenError) return false; // too large, or not ours to read: it hides no other
    throw error;
  }
}

/** Files are often called by the name of their model. */
function isCalledSo(file: string, nameOrId: string): boolean {
  return basename(file, ".yaml") === nameOrId;
}

/** True where a file that can't be used seems to be the one that was asked for. */
function claimsName(file: string, nameOrId: string): boolean {
  if (isCalledSo(file, nameOrId) || (isUuid(nameOrId) && file.toLowerCase().includes(nameOrId.toLowerCase())))
    return true;
  const head = readSmall(file);
  return new RegExp(`^(name|id):\\s*["']?${escape(nameOrId)}["']?\\s*$`, "m").test(head);
}

/** id, name and type of a plainly written definition without parsing it; undefined where that isn't certain. */
function skim(text: string): DefinitionSummary | undefined {
  if (!text.endsWith("\n") || /^(---|%|<<:|\t|\{)/m.test(text) || text.includes("\r")) return undefined;
  const plain = (key: string): string | undefined => {
    const matches = [
      ...text.matchAll(
        new RegExp(
          `^${key}: +(?:"([A-Za-z0-9@/_-]+)"|'([A-Za-z0-9@/_-]+)'|([A-Za-z@][A-Za-z0-9@/_-]*|[0-9a-f-]{36})) *$`,
          "gm",
        ),
      ),
    ];
    const [only] = matches;
    return matches.length === 1 ? (only?.[1] ?? only?.[2] ?? only?.[3]) : undefined;
  };
  const id = plain("id");
  const name = plain("name");
  const type = plain("type");
  if (
    id === undefined ||
    name === undefined ||
    type === undefined ||
    !isUuid(id) ||
    /^(true|false|null|yes|no|on|off)$/i.test(name) ||
    name.includes("/")
  )
    return undefined;
  return /^version: +[1-9]\d*$/m.test(text) && /^[a-z0-9@/_-]+$/.test(type)
    ? { id: id.toLowerCase(), name, type, file: "" }
    : undefined;
}

async function toProblems(text: string, file: string, findings: readonly Finding[]): Promise<Problem[]> {
  if (findings.length === 0) return [];
  const problems: Problem[] = [];
  const locate = await yamlLocator(text);
  for (const { path, message, hint, severity } of findings) {
    const place = locate(path);
    problems.push({
      file,
      message,
      severity,
      key: path.join("."),
      ...place,
      ...(hint === undefined ? {} : { hint }),
    });
  }
  return problems;
}

export function showProblem(problem: Problem): string {
  const place = problem.line === undefined ? problem.file : `${problem.file}:${problem.line}:${problem.column ?? 1}`;
  return `${place}: ${problem.message}${problem.hint === undefined ? "" : ` (${problem.hint})`}`;
}

function invalid(text: string, file: string, problems: readonly Problem[]): FenError {
  const errors = problems.filter((problem) => problem.severity === "error");
  const [first] = errors;
  const shown = first?.line === undefined ? "" : `\n${showLine(text, first.line, first.column ?? 1)}`;
  return new FenError("definition_invalid", `${errors.map(showProblem).join("\n")}${shown}`, {
    hint: "Mend the file, then check it with: fen model validate",
    facts: { file, problems: errors, ...(first?.line === undefined ? {} : { line: first.line, column: first.column }) },
  });
}

/** What was thrown about a file, as a problem of a list. */
export function problemOf(error: unknown, file: string): Problem {
  if (!(error instanceof FenError)) throw error;
  const { line, column } = error.facts;
  return {
    file,
    message: error.message,
    severity: "error",
    ...(typeof line === "number" ? { line } : {}),
    ...(typeof column === "number" ? { column } : {}),
  };
}

function ambiguous(name: string, one: string, two: string): FenError {
  return new FenError("model_ambiguous", `Two models are called ${name}:\n  ${one}\n  ${two}`, {
    hint: "Rename one of them, or name the model by its id.",
    facts: { model: name, files: [one, two] },
  });
}

function exists(name: string, file: string): FenError {
  return new FenError("model_exists", `A model called ${name} exists already: ${file}`, {
    hint: `Look at it: fen model get ${name}`,
    facts: { model: name, file },
  });
}

function escape(word: string): string {
  return word.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
