/** What expressions read beside their own definition: other models, with their global arguments evaluated; data; the time. */
import { Cel } from "../expression/cel.ts";
import type { ResolvedValue } from "../expression/compile.ts";
import { withLine } from "../expression/failure.ts";
import { GlobalArguments } from "../expression/global-arguments.ts";
import { InputsSchema } from "../expression/inputs-schema.ts";
import type { Scope } from "../expression/scope.ts";
import type { DataSource, ModelSource, ModelValue, WantedModel } from "../expression/sources.ts";
import { FenError } from "../kernel/errors.ts";
import type { Machine } from "../kernel/machine.ts";
import type { LoadedDefinition } from "../model/definitions.ts";
import { DataReader } from "./expression-data.ts";
import { ModelIndex } from "./model-index.ts";
import type { Workspace } from "./workspace.ts";

export interface SourceOptions {
  /** To save looking through the files again. */
  readonly models?: ModelIndex | undefined;
  readonly cel?: Cel | undefined;
  /** Nothing changes while these sources are used (the datastore is locked): what depends on data is evaluated once, too. */
  readonly isFixed?: boolean | undefined;
  /** As in `Scope`. */
  readonly storableOnly?: boolean | undefined;
}

export interface ExpressionSources {
  readonly models: ModelSource;
  readonly data: DataSource;
  readonly now: () => number;
}

/** Nothing is read before an expression asks for it. */
export function expressionSources(
  machine: Machine,
  workspace: Pick<Workspace, "definitions" | "data">,
  options: SourceOptions = {},
): ExpressionSources {
  const index = options.models ?? new ModelIndex(workspace.definitions);
  const data = new DataReader(workspace.data, index);
  const now = () => machine.clock.now();
  const models = new ModelReader(
    index,
    { env: machine.host.env, data, now, storableOnly: options.storableOnly },
    options,
  );
  return { models, data, now };
}

/** Inputs of a definition that are given or have a default, and those that aren't known: all others, or only required ones. Throws `input_invalid`. */
export function knownInputs(
  { inputs = {} }: { readonly inputs?: Readonly<Record<string, unknown>> },
  { given, which }: { readonly given: Readonly<Record<string, unknown>>; readonly which: "all" | "required" },
): { readonly values: Readonly<Record<string, unknown>>; readonly open: ReadonlySet<string> } {
  const schema = new InputsSchema(inputs);
  const values = schema.apply(given, new Set());
  return { values, open: new Set(schema.unknown(values, which).map((name) => `inputs.${name}`)) };
}

class ModelReader implements ModelSource {
  readonly #index: ModelIndex;
  readonly #scope: Scope;
  readonly #options: SourceOptions;
  readonly #evaluators = new Map<string, GlobalArguments>();
  #cel: Promise<Cel> | undefined;

  constructor(index: ModelIndex, scope: Scope, options: SourceOptions) {
    this.#index = index;
    this.#scope = { ...scope, models: this };
    this.#options = options;
    if (options.cel !== undefined) this.#cel = Promise.resolve(options.cel);
  }

  names(): Promise<readonly string[]> {
    return this.#index.names();
  }

  async read(
    nameOrId: string,
    { globalArguments: wanted, chain, memory }: WantedModel,
  ): Promise<ModelValue | undefined> {
    const loaded = await this.#find(nameOrId);
    if (loaded === undefined) return undefined;
    const { id, name, version, tags, inputs, globalArguments } = loaded.definition;
    const keys = wanted.has("*") ? Object.keys(globalArguments) : [...wanted];
    const values = new Map<string, ResolvedValue>();
    for (const key of keys) {
      const value = await this.#value(loaded, key, { ...this.#scope, chain, memory });
      if (value !== undefined) values.set(key, value);
    }
    const results = [...values.values()];
    return {
      ...{ id, name, version, tags },
      ...(inputs === undefined ? {} : { inputs }),
      globalArguments: Object.fromEntries([...values].map(([key, one]) => [key, one.value])),
      isTainted: results.some((one) => one.isTainted),
      isVolatile: results.some((one) => one.isVolatile),
      open: [...values].find(([, one]) => one.open.length > 0)?.[0],
    };
  }

  async #find(nameOrId: string): Promise<LoadedDefinition | undefined> {
    try {
      return await this.#index.find(nameOrId);
    } catch (error) {
      if (error instanceof FenError && error.code === "model_missing") return undefined;
      throw error;
    }
  }

  async #value(loaded: LoadedDefinition, key: string, scope: Scope): Promise<ResolvedValue | undefined> {
    const { definition, file, text } = loaded;
    const { values: inputs, open } = knownInputs(definition, { given: {}, which: "required" });
    try {
      return await (await this.#evaluator(loaded)).value(key, { ...scope, inputs, open });
    } catch (error) {
      throw await withLine(error, file, text);
    }
  }

  async #evaluator({ definition, file }: LoadedDefinition): Promise<GlobalArguments> {
    const known = this.#evaluators.get(file);
    if (known !== undefined) return known;
    const { isFixed: keepsAll = false } = this.#options;
    const made = new GlobalArguments(await this.#loadCel(), definition, { file, locate: () => undefined, keepsAll });
    this.#evaluators.set(file, made);
    return made;
  }

  #loadCel(): Promise<Cel> {
    return (this.#cel ??= Cel.load());
  }
}
