/** A YAML value with expressions in its texts: parsed, what it depends on, and what it becomes. */
import { isRecord, type YamlLocator, type YamlPath } from "../repo/yaml.ts";
import type { Cel, Expression, Where } from "./cel.ts";
import type { Scope } from "./scope.ts";
import { hasExpression, parseTemplate } from "./template.ts";

/** What must be there before a value can be evaluated. "*" in a set: all of it. */
export interface Dependencies {
  readonly inputs: ReadonlySet<string>;
  readonly self: ReadonlySet<string>;
  readonly env: ReadonlySet<string>;
  /** Reads data, so that its value may change during a run. */
  readonly usesData: boolean;
  /** Mustn't be stored: it depends on the environment or on a secret. */
  readonly isTainted: boolean;
}

export interface CompiledValue {
  readonly dependencies: Dependencies;
  readonly hasExpressions: boolean;
  resolve(scope: Scope): Promise<unknown>;
  /** The value of one key, where it is a map. */
  entry(key: string): CompiledValue | undefined;
}

export function compileValue(
  cel: Cel,
  value: unknown,
  place: { readonly file: string; readonly path: YamlPath; readonly locate: YamlLocator },
): CompiledValue {
  if (typeof value === "string" && hasExpression(value)) return compileText(cel, value, place);
  if (Array.isArray(value)) {
    const items = value.map((item: unknown, index) =>
      compileValue(cel, item, { ...place, path: [...place.path, index] }),
    );
    return {
      ...merged(items),
      resolve: (scope) => Promise.all(items.map((item) => item.resolve(scope))),
      entry: () => undefined,
    };
  }
  if (isRecord(value)) {
    const entries = new Map(
      Object.entries(value).map(([key, child]) => [
        key,
        compileValue(cel, child, { ...place, path: [...place.path, key] }),
      ]),
    );
    return {
      ...merged([...entries.values()]),
      resolve: async (scope) => {
        const resolved: [string, unknown][] = [];
        for (const [key, child] of entries) resolved.push([key, await child.resolve(scope)]);
        return Object.fromEntries(resolved);
      },
      entry: (key) => entries.get(key),
    };
  }
  return { ...merged([]), resolve: async () => value, entry: () => undefined };
}

function compileText(
  cel: Cel,
  text: string,
  { file, path, locate }: { readonly file: string; readonly path: YamlPath; readonly locate: YamlLocator },
): CompiledValue {
  const where: Where = { file, key: path.join("."), line: locate(path)?.line };
  const pieces = parseTemplate(text).map((part) => (part.kind === "text" ? part.text : cel.parse(part.source, where)));
  const expressions = pieces.filter((piece) => typeof piece !== "string");
  const [only] = pieces;
  return {
    dependencies: mergeAll(expressions.map(dependenciesOf)),
    hasExpressions: true,
    resolve: async (scope) => {
      if (pieces.length === 1 && only !== undefined && typeof only !== "string") return only.evaluate({ ...scope });
      return pieces.map((piece) => (typeof piece === "string" ? piece : asText(piece.evaluate({ ...scope })))).join("");
    },
    entry: () => undefined,
  };
}

function dependenciesOf({ uses }: Expression): Dependencies {
  const of = (name: string) => uses.get(name) ?? new Set<string>();
  return { inputs: of("inputs"), self: of("self"), env: of("env"), usesData: false, isTainted: uses.has("env") };
}

function merged(parts: readonly CompiledValue[]): Pick<CompiledValue, "dependencies" | "hasExpressions"> {
  return {
    dependencies: mergeAll(parts.map((part) => part.dependencies)),
    hasExpressions: parts.some((part) => part.hasExpressions),
  };
}

function mergeAll(all: readonly Dependencies[]): Dependencies {
  return {
    inputs: new Set(all.flatMap((one) => [...one.inputs])),
    self: new Set(all.flatMap((one) => [...one.self])),
    env: new Set(all.flatMap((one) => [...one.env])),
    usesData: all.some((one) => one.usesData),
    isTainted: all.some((one) => one.isTainted),
  };
}

/** A value inside of other text: null is nothing, lists and maps are JSON. */
function asText(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value, undefined, 2) : String(value);
}
