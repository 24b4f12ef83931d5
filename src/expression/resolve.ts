/** What a method is called with: arguments of the definition, expressions resolved, inputs applied. Nothing unresolved is ever passed on. */
import { FenError } from "../kernel/errors.ts";
import { isRecord, type YamlLocator, yamlLocator, type YamlPath } from "../repo/yaml.ts";
import { Cel, type Expression } from "./cel.ts";
import { InputsSchema } from "./inputs-schema.ts";
import { hasExpression, parseTemplate, type Part } from "./template.ts";

/** The parts of a definition that expressions are about. */
export interface ResolvableDefinition {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly globalArguments: Readonly<Record<string, unknown>>;
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
}

export interface Resolved {
  readonly arguments: Record<string, unknown>;
  readonly globalArguments: Record<string, unknown>;
  /** The arguments as they may be stored: where the environment was used, the text of the definition. */
  readonly storable: Record<string, unknown>;
}

/** Throws `expression_*` and `input_invalid`, naming file, line, key and what is missing; then nothing has run. */
export async function resolveArguments(options: ResolveOptions): Promise<Resolved> {
  try {
    return await resolveWith(options, () => undefined);
  } catch (error) {
    if (!(error instanceof FenError)) throw error;
    // Once more, with the lines to tell: the library that knows them takes longer to load than the rest of the work.
    return resolveWith(options, await yamlLocator(options.text));
  }
}

async function resolveWith(options: ResolveOptions, locate: YamlLocator): Promise<Resolved> {
  const { definition } = options;
  const schema = new InputsSchema(definition.inputs ?? {});
  const ground = options.workflowInputs ?? {};
  const given = {
    ...Object.fromEntries(Object.entries(ground).filter(([name]) => schema.names.includes(name))),
    ...options.inputs,
  };
  const undeclared = Object.fromEntries(
    Object.entries(options.inputs).filter(([name]) => !schema.names.includes(name)),
  );
  const own = Object.fromEntries(
    Object.entries(definition.methods[options.method]?.arguments ?? {}).filter(
      ([name]) => !Object.hasOwn(undeclared, name) || options.argumentNames?.includes(name) === false,
    ),
  );
  // Global arguments matter only where the method's own expressions can see them, or the type reads them.
  if (!containsExpression(own) && !containsExpression(definition.globalArguments)) {
    schema.apply(given, new Set());
    const all = { ...own, ...undeclared };
    return { arguments: all, globalArguments: { ...definition.globalArguments }, storable: all };
  }
  const resolver = new Resolver(await Cel.load(), options, locate);
  const globals = await resolver.compile(definition.globalArguments, ["globalArguments"]);
  const args = await resolver.compile(own, ["methods", options.method, "arguments"]);
  const self = {
    id: definition.id,
    name: definition.name,
    version: definition.version,
    tags: definition.tags,
    globalArguments: definition.globalArguments,
  };
  const used = resolver.usedOf("inputs");
  const overrides = Object.fromEntries(
    Object.entries(undeclared).filter(
      ([name]) =>
        options.workflowInputs === undefined || options.argumentNames?.includes(name) === true || !used.has(name),
    ),
  );
  const inputs = {
    ...ground,
    ...(options.workflowInputs === undefined ? {} : undeclared),
    ...schema.apply(given, used),
  };
  const scope = { self, inputs, env: definedOnly(options.env) };
  const globalArguments = asMap(globals.resolve(scope));
  const scopeOfMethod = { ...scope, self: { ...self, globalArguments } };
  const secretGlobals = globals.usesEnvironment;
  return {
    arguments: { ...asMap(args.resolve(scopeOfMethod)), ...overrides },
    globalArguments,
    storable: { ...asMap(args.resolve(scopeOfMethod, secretGlobals)), ...overrides },
  };
}

/** True where any text in a value holds `${{`. */
export function containsExpression(value: unknown): boolean {
  if (typeof value === "string") return hasExpression(value);
  if (Array.isArray(value)) return value.some(containsExpression);
  return isRecord(value) && Object.values(value).some(containsExpression);
}

interface Compiled {
  readonly usesEnvironment: boolean;
  /** With `storable` given, texts that use the environment (or, where it is true, global arguments) stay as they are written. */
  resolve(scope: Readonly<Record<string, unknown>>, storable?: boolean): unknown;
}

class Resolver {
  readonly #cel: Cel;
  readonly #options: ResolveOptions;
  readonly #locate: YamlLocator;
  readonly #uses = new Map<string, Set<string>>();

  constructor(cel: Cel, options: ResolveOptions, locate: YamlLocator) {
    this.#cel = cel;
    this.#options = options;
    this.#locate = locate;
  }

  usedOf(variable: string): ReadonlySet<string> {
    return this.#uses.get(variable) ?? new Set();
  }

  async compile(value: unknown, path: YamlPath): Promise<Compiled> {
    if (typeof value === "string" && hasExpression(value)) return this.#compileText(value, path);
    if (Array.isArray(value)) {
      const items: Compiled[] = [];
      for (const [index, item] of value.entries()) items.push(await this.compile(item, [...path, index]));
      return {
        usesEnvironment: items.some((item) => item.usesEnvironment),
        resolve: (scope, storable) => items.map((item) => item.resolve(scope, storable)),
      };
    }
    if (isRecord(value)) {
      const entries: [string, Compiled][] = [];
      for (const [key, child] of Object.entries(value)) entries.push([key, await this.compile(child, [...path, key])]);
      return {
        usesEnvironment: entries.some(([, child]) => child.usesEnvironment),
        resolve: (scope, storable) =>
          Object.fromEntries(entries.map(([key, child]) => [key, child.resolve(scope, storable)])),
      };
    }
    return { usesEnvironment: false, resolve: () => value };
  }

  async #compileText(text: string, path: YamlPath): Promise<Compiled> {
    const place = this.#locate(path);
    const where = { file: this.#options.file, key: path.join("."), line: place?.line };
    let parts: Part[];
    try {
      parts = parseTemplate(text);
    } catch (error) {
      if (error instanceof FenError)
        throw new FenError(
          "expression_invalid",
          `${where.file}${where.line === undefined ? "" : `:${where.line}`} (${where.key}): ${error.message}`,
          { hint: error.hint, facts: where },
        );
      throw error;
    }
    const pieces = parts.map((part) => (part.kind === "text" ? part.text : this.#cel.parse(part.source, where)));
    const expressions = pieces.filter((piece) => typeof piece !== "string");
    for (const expression of expressions) this.#note(expression);
    const usesEnvironment = expressions.some((one) => one.uses.has("env"));
    const usesGlobals = expressions.some(
      (one) => one.uses.get("self")?.has("globalArguments") === true || one.uses.get("self")?.has("*") === true,
    );
    const [only] = pieces;
    return {
      usesEnvironment,
      resolve: (scope, storable) => {
        if (storable !== undefined && (usesEnvironment || (storable && usesGlobals))) return text;
        if (pieces.length === 1 && only !== undefined && typeof only !== "string") return only.evaluate(scope);
        return pieces.map((piece) => (typeof piece === "string" ? piece : asText(piece.evaluate(scope)))).join("");
      },
    };
  }

  #note(expression: Expression): void {
    for (const [variable, fields] of expression.uses)
      this.#uses.set(variable, new Set([...(this.#uses.get(variable) ?? []), ...fields]));
  }
}

/** A value inside of other text: null is nothing, lists and maps are JSON. */
function asText(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value, undefined, 2) : String(value);
}

function asMap(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function definedOnly(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
