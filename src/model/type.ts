/** Model types: what a model can do (methods) and what its methods leave behind (resources and files). */
import { asSchema, coerceValue, misfits, type Schema, showPath, strayKeys } from "../expression/schema.ts";
import { hasExpression } from "../expression/template.ts";
import { FenError } from "../kernel/errors.ts";
import type { Machine } from "../kernel/machine.ts";
import { nearest } from "../kernel/suggest.ts";
import type { HandedDown } from "../lock/hand-down.ts";
import { type Finding, Findings } from "../repo/findings.ts";
import type { Appender } from "../store/contract.ts";

export interface ModelType {
  /** Normalised: `command/shell`. */
  readonly name: string;
  /** CalVer `YYYY.MM.DD.N`. */
  readonly version: string;
  readonly description: string;
  readonly methods: Readonly<Record<string, MethodSpec>>;
  /** Undefined where any global argument is accepted. */
  readonly globalArguments?: Schema | undefined;
  readonly resources: Readonly<Record<string, OutputSpec>>;
  readonly files: Readonly<Record<string, OutputSpec>>;
}

export interface OutputSpec {
  readonly description: string;
  readonly contentType: string;
  /** A duration, `infinite`, `ephemeral`, `job` or `workflow`. */
  readonly lifetime: string;
  /** Versions to keep, or a duration. */
  readonly garbageCollection: number | string;
  readonly streaming: boolean;
  readonly tags?: Readonly<Record<string, string>>;
}

/** What a method does to what the model stands for. The first three change nothing. */
export const methodKinds = ["read", "list", "get", "create", "update", "delete", "action"] as const;
export type MethodKind = (typeof methodKinds)[number];

/** True where runs may go on side by side. */
export function onlyReads(kind: MethodKind): boolean {
  return kind === "read" || kind === "list" || kind === "get";
}

export interface MethodSpec {
  readonly description: string;
  readonly kind: MethodKind;
  /** A JSON Schema of an object. */
  readonly arguments: Schema;
  /** Arguments with which it does nothing at all: then it can be rehearsed while a command waits for the lock. */
  readonly rehearsal?: Readonly<Record<string, unknown>>;
  execute(args: Readonly<Record<string, unknown>>, context: MethodContext): Promise<MethodResult>;
}

export interface WriteOutputOptions {
  /** Name of the data; defaults to the name of the spec. */
  readonly instance?: string;
  readonly tags?: Readonly<Record<string, string>>;
}

export interface MethodContext {
  readonly machine: Machine;
  /** Fires when the method must stop: the user's signal, or the loss of the lock. */
  readonly signal: AbortSignal;
  readonly cwd: string;
  readonly model: {
    readonly id: string;
    readonly name: string;
    readonly type: string;
    readonly version: number;
    readonly tags: Readonly<Record<string, string>>;
    readonly globalArguments: Readonly<Record<string, unknown>>;
  };
  /** Descriptors and variables that every child process must get, so that the locks live as long as the work, and a fen called by it works within them. */
  readonly handDown: HandedDown;
  /** Arguments as they are written in the definition where they hold values that mustn't be stored (environment). */
  readonly storable: Readonly<Record<string, unknown>>;
  /** One line for the console and the run log. */
  output(stream: "stdout" | "stderr", line: string): void;
  /** JSON data. Becomes visible when the run commits. */
  writeResource(spec: string, content: unknown, options?: WriteOutputOptions): Promise<void>;
  /** A file, written front to back. Becomes visible when the run commits. */
  openFile(spec: string, options?: WriteOutputOptions): Promise<Appender>;
  /** A scratch file that never becomes data; removed with the run. */
  spool(): Promise<Spool>;
}

export interface Spool {
  append(bytes: Uint8Array): void;
  readonly size: number;
  read(): AsyncIterable<Uint8Array>;
}

export type MethodResult = { readonly status: "succeeded" } | { readonly status: "failed"; readonly message: string };

export class ModelTypes {
  readonly #types: ReadonlyMap<string, ModelType>;

  constructor(types: readonly ModelType[]) {
    this.#types = new Map(types.map((type) => [type.name, type]));
  }

  has(name: string): boolean {
    return this.#types.has(normalizeType(name));
  }

  /** Throws `type_missing` with the nearest known name. */
  find(name: string): ModelType {
    const type = this.#types.get(name) ?? this.#types.get(normalizeType(name));
    if (type !== undefined) return type;
    const near = nearest(normalizeType(name), this.#types.keys());
    throw new FenError("type_missing", `No model type is called ${name}.`, {
      hint:
        near === undefined
          ? "List the types: fen model type search"
          : `Did you mean ${near}? List the types: fen model type search`,
      facts: { type: name },
    });
  }

  search(query = ""): ModelType[] {
    const wanted = query.toLowerCase();
    return [...this.#types.values()].filter((type) => type.name.includes(wanted));
  }
}

/** The method of a type. Throws `method_missing` with the nearest known name. */
export function findMethod(type: ModelType, name: string): MethodSpec {
  const spec = Object.hasOwn(type.methods, name) ? type.methods[name] : undefined;
  if (spec !== undefined) return spec;
  const known = Object.keys(type.methods);
  const near = nearest(name, known);
  throw new FenError("method_missing", `${type.name} has no method ${name}.`, {
    hint: `${near === undefined ? "" : `Did you mean ${near}? `}Its methods: ${known.join(", ")}. See: fen model type describe ${type.name}`,
    facts: { type: type.name, method: name },
  });
}

/**
 * What is wrong with arguments as a definition has them: keys, however deep, that the method doesn't take (see `strayKeys`), and values that don't fit. What an
 * expression gives isn't known, and what is missing a call may give.
 */
export function wrongArguments(spec: MethodSpec, given: Readonly<Record<string, unknown>>): readonly Finding[] {
  const findings = new Findings();
  for (const { path, key, hint } of strayKeys(given, spec.arguments))
    findings.error(path, path.length === 1 ? `unknown argument ${key}` : `unknown key ${key} in ${path[0]}`, hint);
  const properties = asSchema(spec.arguments["properties"]);
  for (const [name, value] of Object.entries(given)) {
    const schema = Object.hasOwn(properties, name) ? asSchema(properties[name]) : {};
    for (const { path, problem } of misfits(coerceValue(value, schema), schema, [name], isExpression))
      // Told above.
      if (!findings.all.some((one) => one.path.join("\0") === path.join("\0")))
        findings.error(path, `${showPath(path)}: ${problem}`);
  }
  return findings.all;
}

function isExpression(value: unknown): boolean {
  return typeof value === "string" && hasExpression(value);
}

/** `Acme::Net::Switch` → `acme/net/switch`. */
export function normalizeType(raw: string): string {
  return raw
    .trim()
    .toLowerCase()
    .replaceAll(/::|\s+|\./g, "/")
    .replaceAll(/\/+/g, "/")
    .replace(/^\//, "")
    .replace(/\/$/, "");
}
