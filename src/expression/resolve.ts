/** What a method is called with: arguments of the definition, expressions resolved, inputs applied. Nothing unresolved is ever passed on. */
import { FenError } from "../kernel/errors.ts";
import { nearest } from "../kernel/suggest.ts";
import { isRecord } from "../repo/yaml.ts";
import { Cel, type Warning } from "./cel.ts";
import { compileValue, containsExpression } from "./compile.ts";
import { mergeDependencies } from "./dependencies.ts";
import { withLine } from "./failure.ts";
import { GlobalArguments, type SelfDefinition } from "./global-arguments.ts";
import { InputsSchema } from "./inputs-schema.ts";
import type { Scope } from "./scope.ts";

/** The parts of a definition that expressions are about. */
export interface ResolvableDefinition extends SelfDefinition {
  readonly methods: Readonly<Record<string, { readonly arguments: Readonly<Record<string, unknown>> }>>;
  readonly inputs?: Readonly<Record<string, unknown>>;
}

export interface ResolveOptions {
  readonly definition: ResolvableDefinition;
  readonly file: string;
  readonly text: string;
  readonly method: string;
  /** From the command line; text isn't coerced yet. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Of the workflow whose step this is: the ground under `inputs`. */
  readonly workflowInputs?: Readonly<Record<string, unknown>> | undefined;
  /** What the method takes. An input that isn't declared by the definition is an argument, or (in a step) just for expressions. */
  readonly argumentNames?: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Other models, data and the time. */
  readonly sources?: Pick<Scope, "models" | "data" | "now"> | undefined;
  /** Inputs that come from the environment or a vault. */
  readonly taintedInputs?: ReadonlySet<string> | undefined;
  /** To save loading it again. */
  readonly cel?: Cel | undefined;
  /** Is told what is out of date. */
  readonly warn?: ((warning: Warning) => void) | undefined;
}

export interface Resolved {
  readonly arguments: Record<string, unknown>;
  readonly globalArguments: Record<string, unknown>;
  /** The arguments as they may be stored: where the environment was used, the text of the definition. */
  readonly storable: Record<string, unknown>;
  /** The same of the global arguments. */
  readonly storableGlobals: Record<string, unknown>;
}

/** Throws `expression_*` and `input_invalid`, naming file, line, key and what is missing; then nothing has run. */
export async function resolveArguments(options: ResolveOptions): Promise<Resolved> {
  try {
    return await resolve(options);
  } catch (error) {
    throw await withLine(error, options.file, options.text);
  }
}

async function resolve(options: ResolveOptions): Promise<Resolved> {
  const { definition, file, method, workflowInputs } = options;
  const schema = new InputsSchema(definition.inputs ?? {});
  const ground = workflowInputs ?? {};
  const declared = (name: string) => schema.names.includes(name);
  const undeclared = pick(options.inputs, (name) => !declared(name));
  const given = { ...pick(ground, declared), ...options.inputs };
  const own = pick(
    definition.methods[method]?.arguments ?? {},
    (name) => !Object.hasOwn(undeclared, name) || options.argumentNames?.includes(name) === false,
  );
  const { argumentNames = Object.keys(undeclared) } = options;
  const isStep = workflowInputs !== undefined;
  const stray = isStep ? [] : Object.keys(undeclared).filter((name) => !argumentNames.includes(name));
  const isStray = stray.length > 0 && schema.names.length > 0;
  // Global arguments matter only where the method's own expressions can see them, or the type reads them.
  if (!containsExpression(own) && !containsExpression(definition.globalArguments)) {
    if (isStray) throw noSuchInput(stray, schema.names, argumentNames);
    schema.apply(given, new Set());
    const all = { ...own, ...undeclared };
    const globals = { ...definition.globalArguments };
    return { arguments: all, globalArguments: globals, storable: all, storableGlobals: globals };
  }
  const cel = options.cel ?? (await Cel.load());
  const locate = () => undefined;
  const globals = new GlobalArguments(cel, definition, { file, locate, keepsAll: true });
  const args = compileValue(cel, own, { file, locate, path: ["methods", method, "arguments"] });
  for (const warning of [...globals.warnings, ...args.warnings]) options.warn?.(warning);
  const used = mergeDependencies([globals.dependencies(), args.dependencies]).inputs;
  const read = stray.find((name) => used.has(name));
  if (read !== undefined) throw notDeclared(read);
  if (isStray) throw noSuchInput(stray, schema.names, argumentNames);
  const overrides = pick(
    undeclared,
    (name) => workflowInputs === undefined || options.argumentNames?.includes(name) === true || !used.has(name),
  );
  const inputs = {
    ...ground,
    ...(workflowInputs === undefined ? {} : undeclared),
    ...schema.apply(given, used),
  };
  const tainted = new Set([...(options.taintedInputs ?? [])].map((name) => `inputs.${name}`));
  const memory = new Map<string, Promise<unknown>>();
  const scope = { ...options.sources, inputs, env: options.env, tainted, memory };
  const resolved = new Map(await each(globals.keys, async (key) => [key, await globals.value(key, scope)] as const));
  const { value, storable } = await args.run(await globals.scope(scope, new Set(["*"])));
  const hidden = Object.entries(overrides).map(([name, one]) => [
    name,
    options.taintedInputs?.has(name) === true ? "***" : one,
  ]);
  return {
    arguments: { ...asMap(value), ...overrides },
    globalArguments: Object.fromEntries([...resolved].map(([key, one]) => [key, one?.value])),
    storable: { ...asMap(storable), ...Object.fromEntries(hidden) },
    storableGlobals: Object.fromEntries([...resolved].map(([key, one]) => [key, one?.storable])),
  };
}

function pick(map: Readonly<Record<string, unknown>>, isWanted: (name: string) => boolean): Record<string, unknown> {
  return Object.fromEntries(Object.entries(map).filter(([name]) => isWanted(name)));
}

/** One after the other. */
async function each<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) results.push(await work(item));
  return results;
}

function asMap(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function noSuchInput(names: readonly string[], declared: readonly string[], args: readonly string[]): FenError {
  const problems = names.map((name) => {
    const near = nearest(name, [...declared, ...args]);
    return near === undefined ? name : `${name} (did you mean ${near}?)`;
  });
  return new FenError("input_invalid", `It has no input ${problems.join(", ")}.`, {
    hint: `Its inputs are ${declared.join(", ")}; arguments can be given as well: ${args.join(", ")}`,
    facts: { problems },
  });
}

function notDeclared(name: string): FenError {
  return new FenError("input_invalid", `An expression reads inputs.${name}, which the definition doesn't declare.`, {
    hint: `Declare it in the definition: inputs: { properties: { ${name}: { type: string } } }`,
  });
}
