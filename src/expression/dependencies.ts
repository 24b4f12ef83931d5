/** What an expression or a value depends on, known without evaluating it. Locks, order and errors are made from this. */
import type { Use } from "./syntax.ts";

/** "*" in a set: all of it, or a name that is computed. */
export interface Dependencies {
  readonly inputs: ReadonlySet<string>;
  readonly self: ReadonlySet<string>;
  /** Of `self.globalArguments`. */
  readonly globalArguments: ReadonlySet<string>;
  readonly env: ReadonlySet<string>;
  /** Models whose definition is read, by the names or ids that are written. */
  readonly models: ReadonlySet<string>;
  readonly data: readonly DataCall[];
  readonly vaults: ReadonlySet<string>;
  /** The name of a model, or of data, is computed. */
  readonly isOpen: boolean;
  readonly usesTime: boolean;
  /** Its value may change while a run goes on. */
  readonly usesData: boolean;
  /** Mustn't be stored: it uses the environment or a vault. (It may do so through another model, too: that is known when it is evaluated.) */
  readonly isTainted: boolean;
}

export interface DataCall {
  /** `latest`, `version`, `listVersions`, `findByTag`, `findBySpec`, `contents`; `resource`, `file` for the deprecated forms. */
  readonly function: string;
  /** Undefined where it is computed, or where the call names none. */
  readonly model?: string;
  /** Of the data, or of the declared output. Undefined where it is computed. */
  readonly name?: string;
}

type Parts = Partial<Omit<Dependencies, "usesData" | "isTainted">>;

function completed(parts: Parts): Dependencies {
  const none: ReadonlySet<string> = new Set();
  const { env = none, vaults = none, data = [] } = parts;
  return {
    inputs: parts.inputs ?? none,
    self: parts.self ?? none,
    globalArguments: parts.globalArguments ?? none,
    env,
    models: parts.models ?? none,
    data,
    vaults,
    isOpen: parts.isOpen ?? false,
    usesTime: parts.usesTime ?? false,
    usesData: data.length > 0,
    isTainted: env.size > 0 || vaults.size > 0,
  };
}

export function mergeDependencies(all: readonly Dependencies[]): Dependencies {
  const [only, second] = all;
  if (only !== undefined && second === undefined) return only;
  if (only === undefined) return completed({});
  const union = (pick: (one: Dependencies) => Iterable<string>) => new Set(all.flatMap((one) => [...pick(one)]));
  return completed({
    inputs: union((one) => one.inputs),
    self: union((one) => one.self),
    globalArguments: union((one) => one.globalArguments),
    env: union((one) => one.env),
    models: union((one) => one.models),
    data: all.flatMap((one) => one.data),
    vaults: union((one) => one.vaults),
    isOpen: all.some((one) => one.isOpen),
    usesTime: all.some((one) => one.usesTime),
  });
}

/** From the variables and calls of a syntax tree. */
export function dependenciesOf(uses: readonly Use[]): Dependencies {
  const sets = { inputs: new Set<string>(), self: new Set<string>(), env: new Set<string>() };
  const globalArguments = new Set<string>();
  const models = new Set<string>();
  const vaults = new Set<string>();
  const data: DataCall[] = [];
  let isOpen = false;
  for (const { root, path, call } of uses) {
    const [first, second] = path;
    if (root === "inputs" || root === "self" || root === "env") {
      sets[root].add(first ?? "*");
      if (root === "self" && (first === undefined || first === "globalArguments")) globalArguments.add(second ?? "*");
    } else if (root === "model") {
      if (first === undefined) isOpen = true;
      const named = first === undefined ? {} : { model: first };
      if (second === "resource" || second === "file") data.push({ function: second, ...named, ...name(path[2]) });
      else if (first !== undefined) models.add(first);
    } else if ((root === "data" || root === "file") && call !== undefined) {
      const found = dataCall(call.name, call.args);
      if (found.isOpen) isOpen = true;
      data.push(found.call);
    } else if (root === "vault") vaults.add(text(call?.args[0]) ?? "*");
  }
  const usesTime = uses.some(({ root }) => root === "now");
  return completed({ ...sets, globalArguments, models, vaults, data, isOpen, usesTime });
}

/** `args`: what is written as it is; undefined for what is computed. */
function dataCall(called: string, args: readonly unknown[]): { readonly call: DataCall; readonly isOpen: boolean } {
  if (called === "findByTag") return { call: { function: called }, isOpen: true };
  const model = text(args[0]);
  const base = text(args[1]);
  const hasVary = args.length > 2 && !(called === "version" && args.length === 3);
  const full = base === undefined ? undefined : hasVary ? variedName(base, args[2]) : base;
  const call = { function: called, ...(model === undefined ? {} : { model }), ...name(full) };
  return { call, isOpen: model === undefined || full === undefined };
}

/** `result-a-b` for `result` varied by `["a", "b"]`; undefined where that isn't a list of values. */
export function variedName(base: string, vary: unknown): string | undefined {
  if (!Array.isArray(vary)) return undefined;
  const parts: unknown[] = vary;
  const isPlain = parts.every((part) => ["string", "number", "bigint", "boolean"].includes(typeof part));
  return isPlain ? [base, ...parts.map(String)].join("-") : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function name(value: string | undefined): { readonly name?: string } {
  return value === undefined ? {} : { name: value };
}
