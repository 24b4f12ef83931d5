/** `model evaluate`: definitions with their expressions resolved, stored beside the data. What comes from the environment stays as it is written. */
import { posix } from "node:path";
import { Cel, type Warning } from "../expression/cel.ts";
import { compileValue, containsExpression } from "../expression/compile.ts";
import { withLine } from "../expression/failure.ts";
import { GlobalArguments } from "../expression/global-arguments.ts";
import { InputsSchema } from "../expression/inputs-schema.ts";
import type { Scope } from "../expression/scope.ts";
import { FenError } from "../kernel/errors.ts";
import type { LoadedDefinition } from "../model/definitions.ts";
import { isRecord, parseYaml, stringifyYaml } from "../repo/yaml.ts";
import type { Files } from "../store/contract.ts";
import type { AppContext } from "./context.ts";
import { type ExpressionSources, expressionSources, knownInputs } from "./expression-sources.ts";
import { type GivenInputs, parseInputs } from "./inputs.ts";
import { ModelIndex } from "./model-index.ts";
import { workUnder } from "./work-under.ts";
import { modelLock, openWorkspace, type Workspace } from "./workspace.ts";

export interface ModelEvaluation {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly hadExpressions: boolean;
  readonly outputPath: string;
  readonly globalArguments: Readonly<Record<string, unknown>>;
  /** Keys whose expressions need inputs that nobody gave: they stay as they are written. */
  readonly unresolved?: readonly string[];
}

export interface AllEvaluations {
  readonly items: readonly ModelEvaluation[];
  readonly total: number;
  /** Those that had expressions. */
  readonly evaluated: number;
}

/** Under the model's lock. Throws `expression_*` and `input_invalid`; then nothing is stored. */
export async function evaluateModel(
  context: AppContext,
  options: GivenInputs & { readonly model: string },
): Promise<ModelEvaluation> {
  const workspace = await openWorkspace(context);
  const given = await parseInputs(context.machine, options);
  const before = await workspace.definitions.find(options.model);
  const lease = await workspace.lock([modelLock(before)]);
  return workUnder(lease, async () => {
    const loaded = await workspace.definitions.reread(before);
    refuseUndeclared(loaded, given);
    const evaluator = new Evaluator(context, workspace, { given });
    const evaluated = await evaluator.evaluate(loaded);
    await lease.assertHeld();
    await evaluator.store(evaluated);
    evaluator.tellWarnings();
    const { unresolved = [] } = evaluated.document;
    for (const key of unresolved) warnUnresolved(context, `${loaded.file} (${key})`);
    return evaluated.document;
  });
}

/** Under the datastore's exclusive lock. Where one definition can't be evaluated, none is stored. */
export async function evaluateAllModels(context: AppContext): Promise<AllEvaluations> {
  const workspace = await openWorkspace(context);
  const lease = await workspace.lock([{ resource: { kind: "datastore" }, mode: "exclusive" }]);
  return workUnder(lease, async () => {
    const models = new ModelIndex(workspace.definitions, { keepsTexts: true });
    const evaluator = new Evaluator(context, workspace, { models });
    const done: Evaluated[] = [];
    const failures: FenError[] = [];
    for (const { file } of await models.all()) {
      try {
        done.push(await evaluator.evaluate(await models.load(file)));
      } catch (error) {
        if (!(error instanceof FenError)) throw error;
        failures.push(error);
      }
    }
    if (failures.length > 0) throw together(failures);
    await lease.assertHeld();
    await storeAll(evaluator, done, context.signal);
    evaluator.tellWarnings();
    const items = done.map(({ document }) => document);
    const open = items.filter(({ unresolved }) => unresolved !== undefined).length;
    if (open > 0) warnUnresolved(context, `${open} model${open === 1 ? "" : "s"}`);
    return { items, total: items.length, evaluated: items.filter((one) => one.hadExpressions).length };
  });
}

const atOnce = 16;
const mostWarnings = 5;

async function storeAll(evaluator: Evaluator, done: readonly Evaluated[], signal: AbortSignal): Promise<void> {
  const queue = done.values();
  const work = async (): Promise<void> => {
    for (const one of queue) {
      signal.throwIfAborted();
      await evaluator.store(one);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

function warnUnresolved(context: AppContext, what: string): void {
  context.emit({
    event: "warning",
    message: `${what}: expressions that need inputs without a default stay as they are written`,
    hint: "Give them to the evaluation of one model with --input, or in the definition a default.",
  });
}

function refuseUndeclared({ definition, file }: LoadedDefinition, given: Readonly<Record<string, unknown>>): void {
  const { values, open } = knownInputs(definition, { given: {}, which: "all" });
  const declared = [...Object.keys(values), ...[...open].map((name) => name.slice("inputs.".length))];
  const stranger = Object.keys(given).find((name) => !declared.includes(name));
  if (stranger === undefined) return;
  throw new FenError("input_invalid", `${definition.name} declares no input ${stranger}: ${file}`, {
    hint: declared.length === 0 ? "It takes none." : `It takes ${declared.join(", ")}.`,
    facts: { problems: [`${stranger}: isn't declared`] },
  });
}

/** One error as it is; of several the first, and the others beside it. */
function together(failures: readonly FenError[]): FenError {
  const [first, ...others] = failures;
  if (first === undefined || others.length === 0) return first ?? new FenError("internal", "no failure");
  const shown = others.slice(0, 4).map(({ message }) => message.split("\n", 1)[0] ?? "");
  const more = others.length - shown.length;
  const lines = [first.message, ...shown, ...(more > 0 ? [`... and ${more} more`] : [])];
  return new FenError(first.code, lines.join("\n"), {
    hint: first.hint,
    facts: { ...first.facts, problems: failures.slice(0, 100).map(({ message }) => message) },
    cause: first,
  });
}

interface Evaluated {
  readonly document: ModelEvaluation;
  /** Relative to the datastore. */
  readonly path: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

class Evaluator {
  readonly #context: AppContext;
  readonly #workspace: Workspace;
  readonly #given: Readonly<Record<string, unknown>>;
  readonly #models: ModelIndex;
  readonly #isFixed: boolean;
  readonly #warnings: Warning[] = [];
  readonly #stored = new Map<string, Promise<ReadonlySet<string>>>();
  #cel: Promise<Cel> | undefined;
  #sources: ExpressionSources | undefined;

  /** With `models` it is for all of them, and nothing changes meanwhile. */
  constructor(
    context: AppContext,
    workspace: Workspace,
    options: { readonly given?: Readonly<Record<string, unknown>>; readonly models?: ModelIndex },
  ) {
    this.#context = context;
    this.#workspace = workspace;
    this.#given = options.given ?? {};
    this.#models = options.models ?? new ModelIndex(workspace.definitions);
    this.#isFixed = options.models !== undefined;
  }

  async evaluate(loaded: LoadedDefinition): Promise<Evaluated> {
    try {
      return await this.#evaluate(loaded);
    } catch (error) {
      throw await withLine(error, loaded.file, loaded.text);
    }
  }

  async store({ path, fields }: Evaluated): Promise<void> {
    const { files, kind } = this.#workspace.datastore;
    const text = stringifyYaml(fields);
    // Elsewhere than in a folder, what isn't durable is seen by this machine only.
    if (kind !== "filesystem") return files.write(path, text);
    if ((await this.#isThere(path)) && (await holds(files, path, text))) return;
    // Whoever lost it makes it again: not worth a wait for the disk.
    await files.write(path, text, { durable: false });
  }

  /** By the names in its folder, which are read once: to ask for each of ten thousand that aren't there takes longer. */
  async #isThere(path: string): Promise<boolean> {
    const folder = posix.dirname(path);
    const listing = this.#stored.get(folder) ?? this.#namesIn(folder);
    this.#stored.set(folder, listing);
    return (await listing).has(posix.basename(path));
  }

  async #namesIn(folder: string): Promise<ReadonlySet<string>> {
    return new Set((await this.#workspace.datastore.files.list(folder)).map(({ name }) => name));
  }

  async #evaluate(loaded: LoadedDefinition): Promise<Evaluated> {
    const { definition } = loaded;
    const { id, name, type, methods, globalArguments } = definition;
    const hadExpressions = containsExpression(globalArguments) || containsExpression(methods);
    const path = `definitions-evaluated/${type}/${id}.yaml`;
    const outputPath = this.#workspace.datastore.files.locate(path);
    const base = { id, name, type, hadExpressions, outputPath };
    const fields = fieldsOf(loaded);
    if (!hadExpressions) return { document: { ...base, globalArguments }, path, fields };
    const { globals, byMethod, unresolved } = await this.#resolve(loaded);
    const inputs = this.#inputsOf(definition);
    return {
      document: { ...base, globalArguments: globals, ...(unresolved.length === 0 ? {} : { unresolved }) },
      path,
      fields: { ...fields, ...inputs, globalArguments: globals, methods: { ...asMap(fields["methods"]), ...byMethod } },
    };
  }

  /** What was given becomes the default, for texts that stay as they are written. */
  #inputsOf({ inputs = {} }: LoadedDefinition["definition"]): { readonly inputs?: Readonly<Record<string, unknown>> } {
    if (Object.keys(this.#given).length === 0) return {};
    return {
      inputs: new InputsSchema(inputs).withDefaults(
        knownInputs({ inputs }, { given: this.#given, which: "all" }).values,
      ),
    };
  }

  async #resolve({ definition, file }: LoadedDefinition): Promise<{
    readonly globals: Readonly<Record<string, unknown>>;
    readonly byMethod: Readonly<Record<string, unknown>>;
    readonly unresolved: readonly string[];
  }> {
    const cel = await (this.#cel ??= Cel.load({ vaults: "unread" }));
    const place = { file, locate: () => undefined };
    const globals = new GlobalArguments(cel, definition, { ...place, keepsAll: true });
    const scope = await this.#scope(definition);
    const unresolved: string[] = [];
    const storable: Record<string, unknown> = {};
    for (const key of globals.keys) {
      const result = await globals.value(key, scope);
      storable[key] = result?.storable;
      unresolved.push(...(result?.open ?? []));
    }
    this.#warnings.push(...globals.warnings);
    const byMethod: Record<string, unknown> = {};
    for (const [method, { arguments: given, ...rest }] of Object.entries(definition.methods)) {
      const compiled = compileValue(cel, given, { ...place, path: ["methods", method, "arguments"] });
      this.#warnings.push(...compiled.warnings);
      const result = await compiled.run(await globals.scope(scope, compiled.dependencies.globalArguments));
      byMethod[method] = { ...rest, arguments: result.storable };
      unresolved.push(...result.open);
    }
    return { globals: storable, byMethod, unresolved };
  }

  async #scope(definition: LoadedDefinition["definition"]): Promise<Scope> {
    const { machine } = this.#context;
    const cel = await this.#cel;
    this.#sources ??= expressionSources(machine, this.#workspace, {
      ...{ models: this.#models, cel, isFixed: this.#isFixed, storableOnly: true },
    });
    const { values: inputs, open } = knownInputs(definition, { given: this.#given, which: "all" });
    return { ...this.#sources, storableOnly: true, inputs, open, env: machine.host.env, memory: new Map() };
  }

  /** Of many warnings the first few, and how many there were. */
  tellWarnings(): void {
    const shown = this.#warnings.slice(0, mostWarnings);
    for (const warning of shown) this.#context.emit({ event: "warning", ...warning });
    const more = this.#warnings.length - shown.length;
    if (more > 0) this.#context.emit({ event: "warning", message: `... and ${more} more of these` });
  }
}

/** What can't be read is replaced. */
async function holds(files: Files, path: string, text: string): Promise<boolean> {
  const before = await files.read(path, { maxBytes: 2 * text.length + 4096 }).catch(() => undefined);
  return before !== undefined && new TextDecoder().decode(before) === text;
}

/** Keys of a definition that the loaded one doesn't keep. */
const otherKeys = /^(checks|driverConfig|resources|reports):/m;

/** The definition as its file has it. */
function fieldsOf({ definition, text, file }: LoadedDefinition): Record<string, unknown> {
  const { type, typeVersion, id, name, version, tags, globalArguments, inputs, methods, driver } = definition;
  const known = { type, typeVersion, id, name, version, tags, globalArguments, inputs, methods, driver };
  const others = otherKeys.test(text) ? asMap(parseYaml(text, file)) : {};
  return Object.fromEntries(Object.entries({ ...known, ...others, ...known }).filter(([, one]) => one !== undefined));
}

function asMap(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}
