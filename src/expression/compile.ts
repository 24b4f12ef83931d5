/** A YAML value with expressions in its texts: parsed, what it depends on, and what it becomes. */
import { isRecord, type YamlLocator, type YamlPath } from "../repo/yaml.ts";
import type { Cel, Expression, Warning, Where } from "./cel.ts";
import { type Dependencies, mergeDependencies } from "./dependencies.ts";
import { ExpressionError } from "./failure.ts";
import type { Scope } from "./scope.ts";
import { hasExpression, parseTemplate, type Part, UnclosedExpression } from "./template.ts";
import { asText } from "./values.ts";

export type { Dependencies } from "./dependencies.ts";

export interface CompiledValue {
  readonly dependencies: Dependencies;
  readonly hasExpressions: boolean;
  readonly warnings: readonly Warning[];
  /** All expressions in it, with their places. */
  readonly expressions: readonly PlacedExpression[];
  /** With `storable`, texts that depend on the environment or a vault stay as they are written. */
  resolve(scope: Scope, options?: { readonly storable?: boolean }): Promise<unknown>;
  /** The value, and what of it may be stored, at once. */
  run(scope: Scope): Promise<ResolvedValue>;
  /** The value of one key, where it is a map. */
  entry(key: string): CompiledValue | undefined;
}

export interface PlacedExpression extends Expression {
  readonly where: Where;
}

export interface ResolvedValue {
  readonly value: unknown;
  /** With `storableOnly` in the scope, what gives `value` again when it is evaluated. */
  readonly storable: unknown;
  /** Some text in it depends on the environment or a vault. */
  readonly isTainted: boolean;
  /** Some text in it depends on data or the time. */
  readonly isVolatile: boolean;
  /** Keys of the texts that stayed as they are written, because of what is open in the scope. */
  readonly open: readonly string[];
}

/** Where a value stands. */
export interface Place {
  readonly file: string;
  readonly path: YamlPath;
  readonly locate: YamlLocator;
}

/** Throws `expression_invalid` and `expression_not_yet` with the place. */
export function compileValue(cel: Cel, value: unknown, place: Place): CompiledValue {
  if (!containsExpression(value)) return new Constant(value);
  if (typeof value === "string") return compileText(cel, value, place);
  if (Array.isArray(value)) return compileList(cel, value, place);
  return isRecord(value) ? compileMap(cel, value, place) : new Constant(value);
}

/** True where any text in a value holds `${{`. */
export function containsExpression(value: unknown): boolean {
  if (typeof value === "string") return hasExpression(value);
  if (Array.isArray(value)) return value.some(containsExpression);
  return isRecord(value) && Object.values(value).some(containsExpression);
}

interface Core {
  readonly parts: readonly Pick<CompiledValue, "dependencies" | "expressions">[];
  run(scope: Scope): Promise<ResolvedValue>;
  entry?(key: string): CompiledValue | undefined;
}

function compiled({ parts, run, entry }: Core): CompiledValue {
  const expressions = parts.flatMap((part) => part.expressions);
  // Texts of one value see the same data.
  const within = (scope: Scope) => run(scope.memory === undefined ? { ...scope, memory: new Map() } : scope);
  return {
    dependencies: mergeDependencies(
      parts.filter((part) => part.expressions.length > 0).map((part) => part.dependencies),
    ),
    hasExpressions: expressions.length > 0,
    expressions,
    warnings: expressions.flatMap((one) => one.warnings),
    run: within,
    resolve: async (scope, { storable = false } = {}) => {
      const result = await within(scope);
      return storable ? result.storable : result.value;
    },
    entry: (key) => entry?.(key),
  };
}

const dependsOnNothing = mergeDependencies([]);

/** A value without expressions: a workflow has tens of thousands of them, so each is as small as can be. */
class Constant implements CompiledValue {
  readonly #value: unknown;

  constructor(value: unknown) {
    this.#value = value;
  }

  get hasExpressions(): boolean {
    return false;
  }

  get dependencies(): Dependencies {
    return dependsOnNothing;
  }

  get warnings(): readonly Warning[] {
    return [];
  }

  get expressions(): readonly PlacedExpression[] {
    return [];
  }

  resolve(): Promise<unknown> {
    return Promise.resolve(this.#value);
  }

  run(): Promise<ResolvedValue> {
    const value = this.#value;
    return Promise.resolve({ value, storable: value, isTainted: false, isVolatile: false, open: [] });
  }

  entry(key: string): CompiledValue | undefined {
    const value = this.#value;
    return isRecord(value) && Object.hasOwn(value, key) ? new Constant(value[key]) : undefined;
  }
}

function compileList(cel: Cel, list: readonly unknown[], place: Place): CompiledValue {
  const items = list.map((item, index) => compileValue(cel, item, { ...place, path: [...place.path, index] }));
  return compiled({
    parts: items,
    run: async (scope) => {
      const results: ResolvedValue[] = [];
      for (const item of items) results.push(await item.run(scope));
      return {
        value: results.map((one) => one.value),
        storable: results.map((one) => one.storable),
        ...flagsOf(results),
      };
    },
  });
}

function compileMap(cel: Cel, map: Readonly<Record<string, unknown>>, place: Place): CompiledValue {
  const entries = new Map(
    Object.entries(map).map(([key, child]) => [
      key,
      compileValue(cel, child, { ...place, path: [...place.path, key] }),
    ]),
  );
  return compiled({
    parts: [...entries.values()],
    run: async (scope) => {
      const results: [string, ResolvedValue][] = [];
      for (const [key, child] of entries) results.push([key, await child.run(scope)]);
      return {
        value: Object.fromEntries(results.map(([key, one]) => [key, one.value])),
        storable: Object.fromEntries(results.map(([key, one]) => [key, one.storable])),
        ...flagsOf(results.map(([, one]) => one)),
      };
    },
    entry: (key) => entries.get(key),
  });
}

function flagsOf(results: readonly ResolvedValue[]): Omit<ResolvedValue, "value" | "storable"> {
  return {
    open: results.flatMap((one) => one.open),
    isTainted: results.some((one) => one.isTainted),
    isVolatile: results.some((one) => one.isVolatile),
  };
}

function compileText(cel: Cel, text: string, { file, path, locate }: Place): CompiledValue {
  const where: Where = { file, key: path.join("."), path, line: locate(path)?.line };
  const pieces = partsOf(text, where).map((part) =>
    part.kind === "text" ? part.text : cel.parse(part.source, { ...where, inside: { text, offset: part.at } }),
  );
  const expressions = pieces.filter((piece) => typeof piece !== "string");
  return compiled({
    parts: expressions.map((one) => ({ dependencies: one.dependencies, expressions: [{ ...one, where }] })),
    run: async (scope) => {
      const values: unknown[] = [];
      const flags = { isTainted: false, isVolatile: false };
      for (const piece of pieces) {
        if (typeof piece === "string") values.push(piece);
        else {
          const { value, isTainted, isVolatile, isOpen } = await piece.run(scope);
          if (isOpen) return { value: text, storable: text, isTainted: false, isVolatile: false, open: [where.key] };
          values.push(value);
          flags.isTainted ||= isTainted;
          flags.isVolatile ||= isVolatile;
        }
      }
      if (flags.isTainted && scope.storableOnly === true) return { value: text, storable: text, ...flags, open: [] };
      const value = pieces.length === 1 ? values[0] : values.map(asText).join("");
      const untainted = scope.storableOnly === true ? asLiterals(value) : value;
      return { value, storable: flags.isTainted ? text : untainted, ...flags, open: [] };
    },
  });
}

/** What is stored is read as a definition again: a text that holds `${{` is written as an expression that gives that text, never as one to evaluate. */
function asLiterals(value: unknown): unknown {
  if (!containsExpression(value)) return value;
  if (typeof value === "string") return `\${{ ${JSON.stringify(value).replaceAll("$", "\\u0024")} }}`;
  if (Array.isArray(value)) return value.map(asLiterals);
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, asLiterals(child)]));
}

/** Throws `expression_invalid` where one isn't closed. */
function partsOf(text: string, where: Where): Part[] {
  try {
    return parseTemplate(text);
  } catch (error) {
    if (!(error instanceof UnclosedExpression)) throw error;
    const { message, hint, offset } = error;
    const at = { ...where, inside: { text, offset } };
    throw new ExpressionError("expression_invalid", at, { text: message, hint });
  }
}
