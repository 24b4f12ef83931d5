/** Macros that the library lacks: those of two variables (`l.all(i, v, ...)`, `m.transformMap(k, v, ...)`), and those of values that may be absent. */
import type { Environment } from "@marcbachmann/cel-js";
import { CallError } from "./call-error.ts";
import { isNode } from "./syntax.ts";
import { isOptional } from "./values.ts";

interface Context {
  forkWithVariable(name: string, type: unknown): Context;
  reuse(parent: Context): Context;
  setIterValue(value: unknown, evaluator: Evaluator): Context;
}

interface Checker {
  check(node: unknown, context: Context): unknown;
  getType(name: string): unknown;
}

interface Evaluator {
  run(node: unknown, context: Context): unknown;
}

type Pair = readonly [key: unknown, value: unknown];
/** The body with the variables bound. */
type Body = (index: number, pair: Pair) => unknown;

/** `bodies`: how many come behind the variables. */
interface Macro {
  readonly signature: string;
  readonly variables: 1 | 2;
  readonly result: string;
  readonly run: (pairs: readonly Pair[], body: Body, bodies: number) => unknown;
}

const ofTwo: readonly Macro[] = [
  ...quantifier("all", (pairs, body) => decided(pairs, body, false)),
  ...quantifier("exists", (pairs, body) => decided(pairs, body, true)),
  ...["existsOne", "exists_one"].flatMap((name) =>
    quantifier(name, (pairs, body) => pairs.filter((pair) => isTrue(body(0, pair))).length === 1),
  ),
  ...transform("transformList", "list<dyn>", (results) => results.map(([, value]) => value)),
  ...transform("transformMap", "map<dyn, dyn>", (results) =>
    Object.fromEntries(results.map(([key, value]) => [String(key), value])),
  ),
];

export function macros(): { readonly name: string; readonly add: (environment: Environment) => void }[] {
  return [
    ...ofTwo.map((macro) => ({
      name: macro.signature.replace(/^list\.|\(.*$/g, ""),
      add: (environment: Environment) => register(environment, macro),
    })),
    {
      name: "optMap",
      add: (environment) => registerOptional(environment, "optMap", ({ constructor }, value) => constructor.of(value)),
    },
    { name: "optFlatMap", add: (environment) => registerOptional(environment, "optFlatMap", (_, value) => value) },
  ];
}

function quantifier(name: string, run: Macro["run"]): Macro[] {
  return [{ signature: `list.${name}(ast, ast, ast): bool`, variables: 2, result: "bool", run }];
}

function transform(name: string, result: string, collect: (results: readonly Pair[]) => unknown): Macro[] {
  const run: Macro["run"] = (pairs, body, bodies) =>
    collect(
      pairs
        .filter((pair) => bodies === 1 || isTrue(body(0, pair)))
        .map((pair) => [pair[0], body(bodies - 1, pair)] as const),
    );
  return ["ast, ast, ast", "ast, ast, ast, ast"].map((asts) => ({
    ...{ signature: `list.${name}(${asts}): ${result}`, variables: 2, result, run },
  }));
}

/** As soon as one decides, others that fail don't matter; else the first failure does. */
function decided(pairs: readonly Pair[], body: Body, by: boolean): boolean {
  const failures: unknown[] = [];
  for (const pair of pairs) {
    try {
      if (isTrue(body(0, pair)) === by) return by;
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return !by;
}

function isTrue(value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw new CallError("a condition must be true or false");
}

interface Given {
  readonly args: readonly unknown[];
  readonly receiver: unknown;
}

function register(environment: Environment, macro: Macro): void {
  const expand = ({ args, receiver }: Given) => {
    const names = args.slice(0, macro.variables).map(nameOf);
    const bodies = args.slice(macro.variables);
    const contexts: Context[] = [];
    return {
      async: false,
      typeCheck: (checker: Checker, _: unknown, context: Context) => {
        checker.check(receiver, context);
        let inner = context;
        contexts.length = 0;
        for (const name of names) contexts.push((inner = inner.forkWithVariable(name, checker.getType("dyn"))));
        for (const body of bodies) checker.check(body, inner);
        return checker.getType(macro.result);
      },
      evaluate: (evaluator: Evaluator, _: unknown, context: Context) => {
        const pairs = pairsOf(evaluator.run(receiver, context));
        const body: Body = (index, pair) => {
          let inner = context;
          for (const [at, one] of contexts.entries()) inner = one.reuse(inner).setIterValue(pair[at], evaluator);
          return evaluator.run(bodies[index], inner);
        };
        return macro.run(pairs, body, bodies.length);
      },
    };
  };
  environment.registerFunction(macro.signature, expand);
}

function registerOptional(
  environment: Environment,
  name: string,
  wrap: (optional: { constructor: { of(value: unknown): unknown } }, value: unknown) => unknown,
): void {
  const expand = ({ args: [variable, body], receiver }: Given) => {
    let inner: Context | undefined;
    return {
      async: false,
      typeCheck: (checker: Checker, _: unknown, context: Context) => {
        checker.check(receiver, context);
        inner = context.forkWithVariable(nameOf(variable), checker.getType("dyn"));
        checker.check(body, inner);
        return checker.getType("optional<dyn>");
      },
      evaluate: (evaluator: Evaluator, _: unknown, context: Context) => {
        const optional = evaluator.run(receiver, context);
        if (!isOptional(optional))
          throw new CallError(`${name} is for a value that may be absent, such as inputs.?pkg`);
        if (!optional.hasValue() || inner === undefined) return optional;
        const bound = inner.reuse(context).setIterValue(optional.value(), evaluator);
        return wrap(optional, evaluator.run(body, bound));
      },
    };
  };
  environment.registerFunction(`optional.${name}(ast, ast): optional<dyn>`, expand);
}

function nameOf(node: unknown): string {
  if (isNode(node) && node.op === "id") return String(node.args);
  throw new CallError("the first arguments are names of variables");
}

/** Indexes and elements, or keys and values. */
function pairsOf(value: unknown): readonly Pair[] {
  if (Array.isArray(value)) return value.map((one: unknown, index) => [BigInt(index), one] as const);
  if (value instanceof Map) return [...value.entries()];
  if (typeof value === "object" && value !== null && !isOptional(value)) return Object.entries(value);
  throw new CallError("this is for lists and maps");
}
