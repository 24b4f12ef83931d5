/** One CEL expression: parsed, what it depends on, evaluated. Numbers behave as people expect of YAML: `inputs.n + 1` works whatever `n` is. */
import type { Environment } from "@marcbachmann/cel-js";
import type { FenError } from "../kernel/errors.ts";
import { nearest } from "../kernel/suggest.ts";
import { type Dependencies, dependenciesOf } from "./dependencies.ts";
import { type Library, loosenTypes, makeLibrary } from "./environment.ts";
import { diagnose } from "./diagnosis.ts";
import { expressionError, type Fault, faultOf, type Where } from "./failure.ts";
import { namespaceValues } from "./functions.ts";
import type { Scope } from "./scope.ts";
import { NeedsInput, Session, Withheld } from "./session.ts";
import { readSource, type Source } from "./source.ts";
import { namespaces, type Use, usesOf } from "./syntax.ts";
import { TimeLimit } from "./time-limit.ts";
import { toPlain } from "./values.ts";

export type { Where } from "./failure.ts";

export interface Expression {
  readonly source: string;
  readonly dependencies: Dependencies;
  /** What is out of date in it. */
  readonly warnings: readonly Warning[];
  /** The value. Throws `expression_failed` with the place, and what a read throws. */
  evaluate(scope: Scope): Promise<unknown>;
  /** The value, and what else came out. */
  run(scope: Scope): Promise<Outcome>;
}

export interface Warning {
  readonly message: string;
  readonly hint: string;
}

export interface Outcome {
  readonly value: unknown;
  /** It comes from the environment or a vault, itself or through another model. */
  readonly isTainted: boolean;
  /** It depends on data or the time. */
  readonly isVolatile: boolean;
  /** It can't be known: it uses what is open in the scope, itself or through another model. The value is undefined then. */
  readonly isOpen: boolean;
}

/** What scopes may have, by the names in expressions. */
export const variables = ["inputs", "self", "env", "model", ...namespaces];
const deprecated = ["resource", "file", "execution"];

const mostPrograms = 10_000;

type Parsed = ReturnType<Environment["parse"]>;

export interface CelOptions {
  /** `unread`: they may stand in expressions that aren't computed (`storableOnly`). */
  readonly vaults?: "refused" | "unread";
}

export class Cel {
  readonly #library: Library;
  readonly #refusesVaults: boolean;
  readonly #current: { session: Session | undefined };
  /** Many definitions of a fleet say the same. */
  readonly #programs = new Map<string, Program>();
  #limit: TimeLimit | undefined;

  private constructor(library: Library, current: { session: Session | undefined }, { vaults = "refused" }: CelOptions) {
    this.#library = library;
    this.#current = current;
    this.#refusesVaults = vaults === "refused";
  }

  static async load(options: CelOptions = {}): Promise<Cel> {
    const current: { session: Session | undefined } = { session: undefined };
    const library = await makeLibrary(() => {
      if (current.session === undefined) throw new Error("no expression is being evaluated");
      return current.session;
    });
    return new Cel(library, current, options);
  }

  /** Throws `expression_invalid` (syntax, unknown variable or function, types that never fit) or `expression_not_yet`. */
  parse(written: string, where: Where): Expression {
    const program = this.#programs.get(written) ?? this.#parse(written, where);
    if (this.#programs.size >= mostPrograms) this.#programs.clear();
    this.#programs.set(written, program);
    return {
      source: written,
      dependencies: program.dependencies,
      warnings: warningsOf(program.uses, where),
      evaluate: async (scope) => (await this.#run({ ...program, where, scope })).value,
      run: (scope) => this.#run({ ...program, where, scope }),
    };
  }

  #parse(written: string, where: Where): Program {
    const source = readSource(written);
    let parsed: Parsed;
    try {
      this.#library.prepare(source.parsed);
      parsed = this.#library.environment.parse(source.parsed);
    } catch (error) {
      throw invalid(faultOf(error), { source, where, cause: error });
    }
    const uses = usesOf(parsed.ast);
    for (const use of uses) {
      if (use.root === "vault" && this.#refusesVaults) throw refusedVault(use, source, where);
      refuse(use, source, where);
    }
    loosenTypes(parsed.ast);
    const checked = parsed.check();
    if (!checked.valid) throw invalid(faultOf(checked.error), { source, where, cause: checked.error });
    return { source, parsed, uses, dependencies: dependenciesOf(uses) };
  }

  async #run(call: Call): Promise<Outcome> {
    const { source, parsed, where, scope, uses, dependencies } = call;
    const closed = { value: undefined, isTainted: false, isVolatile: false, isOpen: true };
    if (usesAny(uses, scope.open)) return closed;
    const withheld = { value: undefined, isTainted: true, isVolatile: false, isOpen: false };
    if (scope.storableOnly === true && (dependencies.isTainted || usesAny(uses, scope.tainted))) return withheld;
    refuseAbsent(call);
    const session = new Session(scope, uses);
    const context = contextOf(session, dependencies);
    const limited = canBeLong.test(source.parsed);
    let attempt = 0;
    const compute = this.#computing(session, () =>
      limited ? (this.#limit ??= new TimeLimit()).run(() => parsed(context), attempt++) : parsed(context),
    );
    try {
      const value = toPlain(await session.run(compute));
      return { value, ...flagsOf(session, call) };
    } catch (error) {
      if (error instanceof NeedsInput && scope.open !== undefined) return closed;
      if (error instanceof Withheld) return withheld;
      throw await diagnose(error, {
        ...{ source, where, scope, isTainted: flagsOf(session, call).isTainted },
        part: (text) => this.#part(text, scope),
      });
    }
  }

  /** Functions of the library ask the session of the computation that goes on. */
  #computing(session: Session, compute: () => unknown): () => unknown {
    return () => {
      this.#current.session = session;
      try {
        return compute();
      } finally {
        this.#current.session = undefined;
      }
    };
  }

  /** The value of a part of an expression; undefined where it can't be told without its surroundings. */
  async #part(text: string, scope: Scope): Promise<Outcome | undefined> {
    try {
      const parsed = this.#library.environment.parse(text);
      const uses = usesOf(parsed.ast);
      if (uses.length === 0) return undefined;
      loosenTypes(parsed.ast);
      const session = new Session(scope, uses);
      const dependencies = dependenciesOf(uses);
      const context = contextOf(session, dependencies);
      const value = toPlain(await session.run(this.#computing(session, () => parsed(context))));
      return { value, ...flagsOf(session, { uses, dependencies, scope }) };
    } catch {
      return undefined; // the error that it is for is told without it
    }
  }
}

function flagsOf(
  session: Session,
  { uses, dependencies, scope }: Pick<Call, "uses" | "dependencies" | "scope">,
): Omit<Outcome, "value"> {
  const isTainted = dependencies.isTainted || session.isTainted || usesAny(uses, scope.tainted);
  return { isTainted, isVolatile: session.isVolatile, isOpen: false };
}

/** A text that was parsed; the same wherever it stands. */
interface Program {
  readonly source: Source;
  readonly parsed: Parsed;
  readonly uses: readonly Use[];
  readonly dependencies: Dependencies;
}

interface Call extends Program {
  readonly where: Where;
  readonly scope: Scope;
}

/** The variables. */
function contextOf(session: Session, dependencies: Dependencies): Readonly<Record<string, unknown>> {
  const { inputs, self, env = {} } = session.scope;
  const own = { inputs, self, model: session.model, env: environmentOf(env, dependencies.env) };
  const context: Record<string, unknown> = Object.create(namespaceValues);
  return Object.assign(context, own);
}

/** A map of the variables that are used and set: the environment of a process is no plain map. */
function environmentOf(
  env: Readonly<Record<string, string | undefined>>,
  used: ReadonlySet<string>,
): Record<string, string> {
  if (used.size === 0) return {};
  const names = used.has("*") ? Object.keys(env) : used;
  return Object.fromEntries(
    [...names].flatMap((name) => {
      const value = env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** Everything else takes time in proportion to its own length. */
const canBeLong = /\b(all|exists|exists_one|existsOne|map|filter|bind|matches|transform\w+)\s*\(/;

function invalid(
  fault: Fault,
  at: { readonly source: Source; readonly where: Where; readonly cause: unknown },
): FenError {
  return expressionError("expression_invalid", fault.reason, { ...at, position: fault.position, hint: fault.hint });
}

function refusedVault({ at }: Use, source: Source, where: Where): FenError {
  return expressionError("expression_not_yet", "secrets of a vault can't be read yet", {
    ...{ source, where, position: at },
    hint: "Take it from the environment meanwhile: env.NAME",
  });
}

function refuse({ root, path, at, call }: Use, source: Source, where: Where): void {
  const place = { source, where, position: at };
  if (root === "now" || (variables.includes(root) && (call !== undefined || !namespaces.includes(root)))) {
    if (root === "model" && path.length === 0)
      throw expressionError("expression_invalid", "model needs the name of one: model.<name>.input", place);
    return;
  }
  const near = nearest(root, variables);
  const isPart = source.parsed[at - 1] === "-";
  const hint = isPart
    ? `A name with a hyphen is written in brackets: inputs["some-${root}"]`
    : near === undefined
      ? `Known: ${variables.join(", ")}.`
      : `Did you mean ${near}?`;
  throw expressionError("expression_invalid", `there is no variable ${root}`, { ...place, hint });
}

function warningsOf(uses: readonly Use[], { file, key, line }: Where): Warning[] {
  return uses.flatMap(({ root, path: [name = "…", kind = "", spec = "…"] }) =>
    root === "model" && deprecated.includes(kind)
      ? [
          {
            message: `${file}${line === undefined ? "" : `:${line}`} (${key}): model.${name}.${kind} is deprecated.`,
            hint: `Use data.latest("${name}", "${spec}") instead.`,
          },
        ]
      : [],
  );
}

/** A variable that isn't there at all is told before anything is computed. */
function refuseAbsent({ source, where, scope, uses }: Call): void {
  const there: Readonly<Record<string, boolean>> = {
    inputs: scope.inputs !== undefined,
    self: scope.self !== undefined,
    env: scope.env !== undefined,
    model: scope.models !== undefined,
    data: scope.data !== undefined,
    file: scope.data !== undefined,
    now: scope.now !== undefined,
  };
  const absent = uses.find(({ root }) => there[root] === false);
  if (absent === undefined) return;
  const names = Object.keys(there).filter((name) => there[name]);
  throw expressionError("expression_failed", `${absent.root} isn't there where this is evaluated`, {
    ...{ source, where, position: absent.at },
    hint: `There are: ${names.join(", ")}.`,
  });
}

/** True where an expression uses one of these values, or a part of it, or something that holds it. */
function usesAny(uses: readonly Use[], values: ReadonlySet<string> | undefined): boolean {
  if (values === undefined || values.size === 0) return false;
  return uses.some(({ root, path }) => {
    const end = path.indexOf(undefined);
    const used = [root, ...(end < 0 ? path : path.slice(0, end))].join(".");
    return [...values].some((one) => one === used || one.startsWith(`${used}.`) || used.startsWith(`${one}.`));
  });
}
