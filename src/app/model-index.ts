/** The models of a repository by name and id, for commands that look up many: the files are looked through once, and a definition is read when it is asked for. */
import { isUuid } from "../repo/named-files.ts";
import type { Definitions, DefinitionSummary, LoadedDefinition } from "../model/definitions.ts";

export class ModelIndex {
  readonly #definitions: Definitions;
  readonly #texts: Map<string, string> | undefined;
  readonly #loaded = new Map<string, Promise<LoadedDefinition>>();
  #summaries: Promise<ReadonlyMap<string, DefinitionSummary | "ambiguous">> | undefined;

  /** `keepsTexts`: all will be asked for, so what was looked through isn't read again. */
  constructor(definitions: Definitions, options: { readonly keepsTexts?: boolean } = {}) {
    this.#definitions = definitions;
    this.#texts = options.keepsTexts === true ? new Map() : undefined;
  }

  /** As `Definitions.find`, with the same errors. */
  async find(nameOrId: string): Promise<LoadedDefinition> {
    this.#summaries ??= this.#read();
    const summaries = await this.#summaries;
    // Names are as they are written; ids may be written in capitals.
    const summary = summaries.get(nameOrId) ?? (isUuid(nameOrId) ? summaries.get(nameOrId.toLowerCase()) : undefined);
    // What isn't plainly there is left to the one that explains.
    if (summary === undefined || summary === "ambiguous") return this.#definitions.find(nameOrId);
    return this.load(summary.file);
  }

  /** One of the files. Throws what is wrong with it. */
  load(file: string): Promise<LoadedDefinition> {
    const known = this.#loaded.get(file);
    if (known !== undefined) return known;
    const text = this.#texts?.get(file);
    this.#texts?.delete(file);
    const loading = text === undefined ? this.#definitions.load(file) : this.#definitions.parse(text, file);
    this.#loaded.set(file, loading);
    return loading;
  }

  /** All models, each once; of several with one name, all. */
  async all(): Promise<readonly DefinitionSummary[]> {
    this.#summaries ??= this.#read();
    return [...new Set((await this.#summaries).values())].filter((one) => one !== "ambiguous");
  }

  /** Names of all models. */
  async names(): Promise<readonly string[]> {
    return (await this.all()).map((one) => one.name);
  }

  async #read(): Promise<ReadonlyMap<string, DefinitionSummary | "ambiguous">> {
    const { definitions } = await this.#definitions.list(this.#texts);
    const found = new Map<string, DefinitionSummary | "ambiguous">();
    for (const one of definitions) found.set(one.id, one);
    const named = new Set<string>();
    for (const one of definitions) {
      found.set(one.name, named.has(one.name) ? "ambiguous" : one);
      named.add(one.name);
    }
    return found;
  }
}
