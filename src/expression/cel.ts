/** One CEL expression: parsed, what it refers to, evaluated. Numbers behave as people expect of YAML: `inputs.n + 1` works whatever `n` is. */
import type { Environment } from "@marcbachmann/cel-js";
import { asError, FenError } from "../kernel/errors.ts";
import { nearest } from "../kernel/suggest.ts";
import { isRecord } from "../repo/yaml.ts";
import { TimeLimit } from "./time-limit.ts";

/** Where an expression stands, for errors. */
export interface Where {
  readonly file: string;
  /** `methods.execute.arguments.run` */
  readonly key: string;
  readonly line?: number | undefined;
}

export interface Expression {
  readonly source: string;
  /** Names used of each variable: `inputs` -> {pkg}. A use of the whole variable is "*". */
  readonly uses: ReadonlyMap<string, ReadonlySet<string>>;
  evaluate(scope: Readonly<Record<string, unknown>>): unknown;
}

const known = ["self", "inputs", "env"];
const later = ["model", "data", "vault", "file", "workflow"];

export class Cel {
  readonly #environment: Environment;
  readonly #limit = new TimeLimit();

  private constructor(environment: Environment) {
    this.#environment = environment;
  }

  static async load(): Promise<Cel> {
    const { Environment } = await import("@marcbachmann/cel-js");
    const environment = new Environment({ unlistedVariablesAreDyn: true });
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
      environment.registerOperator(`int ${sign} double`, mixed);
    }
    environment.registerOperator("double % double", (a: unknown, b: unknown) => Number(a) % Number(b));
    return new Cel(environment);
  }

  /** Throws `expression_invalid` (syntax, unknown variable) or `expression_not_yet`. */
  parse(source: string, where: Where): Expression {
    const flat = source.replaceAll(/\r?\n/g, " ");
    let parsed: ReturnType<Environment["parse"]>;
    try {
      parsed = this.#environment.parse(flat);
    } catch (error) {
      throw failure("expression_invalid", flat, where, error);
    }
    const uses = new Map<string, Set<string>>();
    collect(parsed.ast, new Set(), uses);
    for (const name of uses.keys()) if (!known.includes(name)) throw refuse(name, flat, where);
    return {
      source,
      uses,
      evaluate: (scope) => {
        try {
          const value: unknown = canBeLong.test(flat) ? this.#limit.run(() => parsed(scope)) : parsed(scope);
          return toPlain(value);
        } catch (error) {
          throw failure("expression_failed", flat, where, error, scope);
        }
      },
    };
  }
}

/** Everything else takes time in proportion to its own length. */
const canBeLong = /\b(all|exists|exists_one|map|filter|bind|matches)\s*\(/;

function refuse(name: string, source: string, where: Where): FenError {
  const place = `${placeOf(where)}: ${shorten(source)}`;
  if (later.includes(name)) {
    return new FenError("expression_not_yet", `This version can't evaluate ${name} in expressions yet.\n  ${place}`, {
      hint: `Use ${known.join(", ")}; or put the value into an input.`,
      facts: { ...where, expression: shorten(source) },
    });
  }
  const near = nearest(name, known);
  return new FenError("expression_invalid", `There is no variable ${name}.\n  ${place}`, {
    hint: near === undefined ? `Known: ${known.join(", ")}.` : `Did you mean ${near}?`,
    facts: { ...where, expression: shorten(source) },
  });
}

function placeOf(where: Where): string {
  return `${where.file}${where.line === undefined ? "" : `:${where.line}`} (${where.key})`;
}

/** Values never appear in these errors: they may be secrets. */
function failure(
  code: "expression_invalid" | "expression_failed",
  source: string,
  where: Where,
  cause: unknown,
  scope: Readonly<Record<string, unknown>> = {},
): FenError {
  const [said = ""] = asError(cause).message.split("\n");
  const reason = code === "expression_failed" ? withoutValues(said, source) : said;
  const position = positionOf(cause);
  const missing = /^No such key: (.+)$/.exec(reason)?.[1];
  const hint =
    missing === undefined
      ? "Mend the expression, then check it with: fen model validate"
      : hintForMissing(missing, source, scope);
  return new FenError(
    code,
    `${placeOf(where)}: ${missing === undefined ? reason : `nothing is called ${missing} here`}\n  ${excerpt(source, position)}`,
    { hint, facts: { ...where, expression: shorten(source) } },
  );
}

/** What the library says of values is left out, unless it is what the definition itself says. */
function withoutValues(reason: string, source: string): string {
  const missing = /^No such key: (.+)$/.exec(reason)?.[1];
  if (missing?.startsWith("index out of bounds") === true) return "index out of bounds";
  if (missing !== undefined) return source.includes(missing) ? reason : "nothing is called so here";
  if (/^(no such overload|found no matching overload|\w+\(\) type error): [^:]*$/.test(reason)) return reason;
  return reason.replace(/:.*$/s, "");
}

function hintForMissing(name: string, source: string, scope: Readonly<Record<string, unknown>>): string {
  if (source.includes(`env.${name}`)) return `Set the environment variable ${name}.`;
  const inputs = scope["inputs"];
  const near = isRecord(inputs) ? nearest(name, Object.keys(inputs)) : undefined;
  return near === undefined
    ? `Give it with --input ${name}=..., or a default in the definition's inputs.`
    : `Did you mean ${near}?`;
}

const shownBefore = 60;
const shownLength = 160;

/** What stands around the place of the error, with a caret under it. */
function excerpt(source: string, position: number | undefined): string {
  if (position === undefined) return shorten(source);
  const start = source.length <= shownLength ? 0 : Math.max(0, position - shownBefore);
  const end = Math.min(source.length, start + shownLength);
  const before = start === 0 ? "" : "… ";
  const text = `${before}${source.slice(start, end)}${end < source.length ? " …" : ""}`;
  return `${text}\n  ${" ".repeat(before.length + position - start)}^`;
}

function shorten(source: string): string {
  return source.length <= shownLength ? source : `${source.slice(0, shownLength)} …`;
}

function positionOf(error: unknown): number | undefined {
  if (!isObject(error)) return undefined;
  const node = error["node"];
  const position = isObject(node) ? node["pos"] : error["pos"];
  return typeof position === "number" ? position : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

const macros = ["all", "exists", "exists_one", "map", "filter"];

/** Walks the syntax tree and notes which variables, and which of their fields, are used. */
function collect(node: unknown, bound: ReadonlySet<string>, uses: Map<string, Set<string>>): void {
  if (Array.isArray(node)) {
    for (const child of node) collect(child, bound, uses);
    return;
  }
  if (!isObject(node) || typeof node["op"] !== "string") return;
  const { op, args } = node;
  if (op === "id") return note(String(args), "*", bound, uses);
  if (!Array.isArray(args)) return collect(args, bound, uses);
  const [first, second, third]: unknown[] = args;
  if (op === "." || op === ".?" || op === "[]" || op === "[?]") {
    const field =
      typeof second === "string"
        ? second
        : isObject(second) && second["op"] === "value" && typeof second["args"] === "string"
          ? second["args"]
          : undefined;
    if (field !== undefined && isObject(first) && first["op"] === "id")
      return note(String(first["args"]), field, bound, uses);
  }
  if (op === "rcall" && Array.isArray(third)) {
    const isBind = first === "bind" && isObject(second) && second["op"] === "id" && second["args"] === "cel";
    const variable: unknown = isObject(third[0]) && third[0]["op"] === "id" ? third[0]["args"] : undefined;
    const binds = typeof variable === "string" && (isBind || macros.includes(String(first)));
    if (!isBind) collect(second, bound, uses);
    return collect(binds ? third.slice(1) : third, binds ? new Set([...bound, variable]) : bound, uses);
  }
  collect(args, bound, uses);
}

function note(variable: string, field: string, bound: ReadonlySet<string>, uses: Map<string, Set<string>>): void {
  if (bound.has(variable)) return;
  const fields = uses.get(variable) ?? new Set();
  uses.set(variable, fields.add(field));
}

/** CEL's own types as JSON would have them. */
function toPlain(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (Array.isArray(value)) return value.map(toPlain);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, one]) => [String(key), toPlain(one)]));
  if (isRecord(value)) {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) return String(value);
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, toPlain(one)]));
  }
  return value;
}
