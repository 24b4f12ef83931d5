/** The CEL library as fen uses it: numbers that mix, literals of any mixture, our functions. */
import type { Environment } from "@marcbachmann/cel-js";
import { namespaceTypes, ownFunctions } from "./functions.ts";
import { macros } from "./macros.ts";
import { ModelNamespace, type Session, Unknown } from "./session.ts";
import { isNode, type Node } from "./syntax.ts";
import { isOptional } from "./values.ts";

/** The library, with what is added to it: each addition when a text first names it, because all of them take longer than most expressions. */
export interface Library {
  readonly environment: Environment;
  /** Adds what a text may use. Without one: everything. */
  prepare(source?: string): void;
}

/** `session` gives the one for which the library computes at this moment. */
export async function makeLibrary(session: () => Session): Promise<Library> {
  const { Environment } = await import("@marcbachmann/cel-js");
  const environment = new Environment({
    unlistedVariablesAreDyn: true,
    enableOptionalTypes: true,
    homogeneousAggregateLiterals: false,
  });
  mixNumbers(environment);
  let waiting = additions(session);
  const prepare = (source?: string): void => {
    waiting = waiting.filter(({ words, add }) => {
      if (source !== undefined && !words.some((word) => source.includes(word))) return true;
      add(environment);
      return false;
    });
  };
  return { environment, prepare };
}

/** The library with everything. */
export async function makeEnvironment(session: () => Session): Promise<Environment> {
  const { environment, prepare } = await makeLibrary(session);
  prepare();
  return environment;
}

interface Addition {
  /** A text without any of these doesn't need it. */
  readonly words: readonly string[];
  readonly add: (environment: Environment) => void;
}

function additions(session: () => Session): Addition[] {
  const ofNamespaces = Object.entries(namespaceTypes).map(([name, type]): Addition => {
    const add = (environment: Environment) => void environment.registerType(name, type);
    return { words: [name.replace("Namespace", "").toLowerCase()], add };
  });
  return [
    ...ofNamespaces,
    { words: ["model"], add: (environment) => void environment.registerType("ModelNamespace", ModelNamespace) },
    { words: ["model", "data", "file"], add: (environment) => void environment.registerType("Unknown", Unknown) },
    ...macros().map(({ name, add }) => ({ words: [name], add })),
    ...ownFunctions().map(({ name, signature, call }): Addition => {
      // Not async: what must wait stops the computation.
      const handler = (...args: unknown[]) => call(session(), args);
      const add = (environment: Environment) => void environment.registerFunction(signature, { handler, async: false });
      // A function of a namespace comes with its type, a method by its name.
      const [first = name] = name.startsWith("string.") ? [name.slice("string.".length)] : name.split(".");
      return { words: [first], add };
    }),
  ];
}

/** Numbers of YAML are doubles, those that are written in an expression are ints: they are to mix. */
function mixNumbers(environment: Environment): void {
  const operators: Readonly<Record<string, (a: number, b: number) => number>> = {
    "+": (a, b) => a + b,
    "-": (a, b) => a - b,
    "*": (a, b) => a * b,
    "/": (a, b) => a / b,
    "%": (a, b) => a % b,
  };
  for (const [sign, operator] of Object.entries(operators)) {
    const mixed = (a: unknown, b: unknown) => operator(Number(a), Number(b));
    environment.registerOperator(`double ${sign} int`, mixed);
    environment.registerOperator(`int ${sign} double: double`, mixed);
  }
  environment.registerOperator("double % double", (a: unknown, b: unknown) => Number(a) % Number(b));
  environment.registerOperator("int == double", (a: unknown, b: unknown) => Number(a) === Number(b));
  environment.registerOperator("uint == int", (a: unknown, b: unknown) => String(a) === String(b));
  for (const [sign, compare] of Object.entries(comparisons))
    environment.registerOperator(`bytes ${sign} bytes: bool`, (a: Uint8Array, b: Uint8Array) =>
      compare(Buffer.compare(a, b)),
    );
}

const comparisons: Readonly<Record<string, (order: number) => boolean>> = {
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
};

/**
 * Lists and maps that are written take any mixture of values, as in YAML, and branches any two types: the types of their parts are looked at when
 * they are computed. The library decides at the nodes of the syntax tree, which can be told what to say.
 */
export function loosenTypes(tree: unknown): void {
  if (Array.isArray(tree)) for (const one of tree) loosenTypes(one);
  if (!isNode(tree)) return;
  loosenTypes(tree.args);
  if (!isTellable(tree)) return;
  const { check } = tree.meta;
  if (tree.op === "call" && Array.isArray(tree.args) && tree.args[0] === "has") tellHas(tree);
  if (tree.op === "call" || tree.op === "rcall") {
    tree.setMeta("check", (checker: TypeChecker, ...rest: unknown[]) => {
      const type = check(checker, ...rest);
      const name = isObject(type) && type["hasPlaceholderType"] === true ? String(type["name"]) : undefined;
      return name === undefined ? type : checker.getType(name.replaceAll(/\b[A-Z]\b/g, "dyn"));
    });
  } else if (tree.op === "list" || tree.op === "map") {
    if (tree.op === "map") tellMap(tree);
    const type = tree.op === "list" ? "list<dyn>" : "map<dyn, dyn>";
    tree.setMeta("check", (checker: TypeChecker, ...rest: unknown[]) => {
      check(checker, ...rest);
      return checker.getType(type);
    });
  } else if (tree.op === "?:") {
    tree.setMeta("check", (checker: TypeChecker, ...rest: unknown[]) => {
      try {
        return check(checker, ...rest);
      } catch (error) {
        if (isObject(error) && error["code"] === "incompatible_ternary_branches") return checker.getType("dyn");
        throw error;
      }
    });
  }
}

/** A map that is written: its keys are texts, whole numbers and truth values, each once. The library takes anything, as text. */
function tellMap(map: Node & Tellable): void {
  const entries: unknown[] = Array.isArray(map.args) ? map.args : [];
  map.setMeta("evaluate", (evaluator: Evaluator, node: unknown, context: unknown) => {
    const made = new Map<string, unknown>();
    for (const entry of entries) {
      const [key, value] = Array.isArray(entry) ? entry.map((one) => evaluator.run(one, context)) : [];
      const name = keyOf(key);
      if (name === undefined) throw evaluator.createError("invalid_key", "a key is a text or a whole number", node);
      if (made.has(name)) throw evaluator.createError("repeated_key", "a key is there twice", node);
      made.set(name, value);
    }
    return Object.fromEntries(made);
  });
}

function keyOf(key: unknown): string | undefined {
  const inner = typeof key === "object" && key !== null ? key.valueOf() : key;
  const isKey =
    typeof inner === "string" || typeof inner === "bigint" || typeof inner === "boolean" || Number.isInteger(inner);
  return isKey ? String(inner) : undefined;
}

/** `has(e.f)` for any `e`, such as `has(data.latest("a", "b").attributes.x)`. The library takes only a chain of names. */
function tellHas(call: Node & Tellable): void {
  const argument: unknown = Array.isArray(call.args) && Array.isArray(call.args[1]) ? call.args[1][0] : undefined;
  if (!isNode(argument) || argument.op !== "." || !Array.isArray(argument.args)) return;
  const [holder, key]: unknown[] = argument.args;
  call.setMeta("macro", {
    typeCheck: (checker: TypeChecker, _: unknown, context: unknown) => {
      checker.check(holder, context);
      return checker.getType("bool");
    },
    evaluate: (evaluator: Evaluator, _: unknown, context: unknown) => {
      const value = evaluator.run(holder, context);
      const found = evaluator.debugType(value).fieldLazy(value, key, argument, evaluator);
      return isOptional(found) ? found.hasValue() : found !== undefined;
    },
  });
}

interface TypeChecker {
  getType(name: string): unknown;
  check(node: unknown, context: unknown): unknown;
}

interface Evaluator {
  createError(code: string, message: string, node: unknown): Error;
  run(node: unknown, context: unknown): unknown;
  debugType(value: unknown): { fieldLazy(value: unknown, key: unknown, node: unknown, evaluator: unknown): unknown };
}

interface Tellable {
  readonly meta: { readonly check: (...args: unknown[]) => unknown };
  setMeta(key: string, value: unknown): unknown;
}

function isTellable(node: Node): node is Node & Tellable {
  return "setMeta" in node && typeof node.setMeta === "function" && "meta" in node;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
