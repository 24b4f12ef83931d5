/**
 * The definitions of a repository: YAML files anywhere under `models/`.
 * A name is unique over all types. A file that can't be read is a problem that is told; it doesn't hide the others.
 */
import { realpathSync, rmdirSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { FenError, storeError } from "../kernel/errors.ts";
import { removeFile, writeFileAtomic } from "../kernel/files.ts";
import { compareCodePoints } from "../kernel/order.ts";
import { nearest } from "../kernel/suggest.ts";
import { invalidFile, locateFindings, type Problem, problemOf } from "../repo/findings.ts";
import {
  type ClaimFile,
  claimPath,
  findNamed,
  isUuid,
  readDefinitionText,
  readSmall,
  yamlFilesUnder,
} from "../repo/named-files.ts";
import type { Layout } from "../repo/repository.ts";
import { parseYaml, stringifyYaml } from "../repo/yaml.ts";
import { checkDefinition, type CheckedDefinition, definitionHash, type ModelDefinition } from "./definition.ts";

export interface LoadedDefinition {
  readonly definition: ModelDefinition;
  /** Absolute path. */
  readonly file: string;
  readonly text: string;
  readonly warnings: readonly Problem[];
  /** `definitionHash`, made when it is first asked for. */
  hash(): string;
}

export interface DefinitionSummary {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly file: string;
}

const hint = "Mend the file, then check it with: fen model validate";

export class Definitions {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** By name, then by id. Throws `model_missing` with the nearest name, `model_ambiguous`, or what is wrong with the file. */
  async find(nameOrId: string): Promise<LoadedDefinition> {
    const { byName, byId, broken } = await findNamed(nameOrId, this.#files(), {
      load: (file) => this.load(file),
      identify: ({ definition }) => definition,
    });
    const [first, second] = byName.length > 0 ? byName : byId;
    if (first !== undefined && second !== undefined) throw ambiguous(nameOrId, first.file, second.file);
    if (first !== undefined) return first;
    if (broken[0] !== undefined) throw broken[0];
    throw await this.#missing(nameOrId);
  }

  /** The same definition again, as it is now (for use under its lock). Throws `model_missing` where it is gone or another. */
  async reread(before: LoadedDefinition): Promise<LoadedDefinition> {
    const { id, name, type } = before.definition;
    const text = await readDefinitionText(before.file);
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

  /** All definitions by name, and what is wrong with the others. Reads each file once; parses as little as it can. Texts go to `texts`, by file. */
  async list(
    texts?: Map<string, string>,
  ): Promise<{ readonly definitions: readonly DefinitionSummary[]; readonly problems: readonly Problem[] }> {
    const definitions: DefinitionSummary[] = [];
    const problems: Problem[] = [];
    for (const file of this.#files()) {
      try {
        const text = readSmall(file);
        const quick = skim(text);
        // Only what was certainly UTF-8.
        if (quick !== undefined && !text.includes("\uFFFD")) texts?.set(file, text);
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
    const text = await readDefinitionText(file);
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
    const problems = await locateFindings(text, file, checked.findings);
    if (checked.definition === undefined) throw invalidFile(text, file, { problems, code: "definition_invalid", hint });
    const { definition } = checked;
    let hash: string | undefined;
    return { definition, file, text, warnings: problems, hash: () => (hash ??= definitionHash(definition)) };
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
    return claimPath(this.#layout, name);
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

  #files(): string[] {
    return yamlFilesUnder(this.#layout.modelsDir, this.#layout.root);
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
