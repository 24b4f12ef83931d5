/** The global arguments of one definition, each evaluated when it is asked for: they may use each other and other models. */
import { FenError } from "../kernel/errors.ts";
import type { YamlLocator } from "../repo/yaml.ts";
import type { Cel } from "./cel.ts";
import { type CompiledValue, compileValue, type ResolvedValue } from "./compile.ts";
import { type Dependencies, mergeDependencies } from "./dependencies.ts";
import type { Scope } from "./scope.ts";

/** The parts of a definition that expressions see as `self`. */
export interface SelfDefinition {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly globalArguments: Readonly<Record<string, unknown>>;
}

export class GlobalArguments {
  readonly #definition: SelfDefinition;
  readonly #file: string;
  readonly #compiled = new Map<string, CompiledValue>();
  /** What doesn't change while it is kept. */
  readonly #known = new Map<string, ResolvedValue>();
  readonly #keepsAll: boolean;

  /** `keepsAll`: nothing changes meanwhile, so that values that depend on data are kept as well. Throws `expression_invalid`. */
  constructor(
    cel: Cel,
    { id, name, version, tags, globalArguments }: SelfDefinition,
    place: { readonly file: string; readonly locate: YamlLocator; readonly keepsAll?: boolean },
  ) {
    this.#definition = { id, name, version, tags, globalArguments };
    this.#file = place.file;
    this.#keepsAll = place.keepsAll ?? false;
    for (const [key, value] of Object.entries(globalArguments))
      this.#compiled.set(key, compileValue(cel, value, { ...place, path: ["globalArguments", key] }));
  }

  get keys(): string[] {
    return [...this.#compiled.keys()];
  }

  /** Of some keys, and of those that they use. */
  dependencies(keys: Iterable<string> = this.keys): Dependencies {
    const seen = new Set<string>();
    const visit = (key: string): Dependencies[] => {
      if (key === "*") return this.keys.flatMap(visit);
      const one = this.#compiled.get(key);
      if (one === undefined || seen.has(key)) return [];
      seen.add(key);
      return [one.dependencies, ...[...one.dependencies.globalArguments].flatMap(visit)];
    };
    return mergeDependencies([...keys].flatMap(visit));
  }

  get warnings(): CompiledValue["warnings"] {
    return [...this.#compiled.values()].flatMap((one) => one.warnings);
  }

  /** Undefined where there is no such key. Throws `expression_circle`, and what an expression throws. */
  async value(key: string, scope: Scope): Promise<ResolvedValue | undefined> {
    const compiled = this.#compiled.get(key);
    if (compiled === undefined) return undefined;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const node = `${this.#definition.name}: globalArguments.${key}`;
    const chain = [...(scope.chain ?? []), node];
    if (scope.chain?.includes(node) === true) throw circle(chain.slice(chain.indexOf(node)), this.#file);
    const result = await compiled.run(
      compiled.hasExpressions ? await this.scope({ ...scope, chain }, compiled.dependencies.globalArguments) : scope,
    );
    if (this.#keepsAll || !result.isVolatile) this.#known.set(key, result);
    return result;
  }

  /** A scope with `self`, in which the global arguments of these keys ("*": all) are evaluated. */
  async scope(scope: Scope, wanted: ReadonlySet<string>): Promise<Scope> {
    const globalArguments: Record<string, unknown> = {};
    const tainted = new Set(scope.tainted);
    const open = new Set(scope.open);
    for (const key of wanted.has("*") ? this.keys : wanted) {
      const result = await this.value(key, scope);
      if (result === undefined) continue;
      globalArguments[key] = result.value;
      if (result.isTainted) tainted.add(`self.globalArguments.${key}`);
      if (result.open.length > 0) open.add(`self.globalArguments.${key}`);
    }
    return {
      ...scope,
      self: { ...this.#definition, globalArguments },
      tainted,
      ...(scope.open === undefined ? {} : { open }),
    };
  }
}

function circle(chain: readonly string[], file: string): FenError {
  return new FenError(
    "expression_circle",
    `Global arguments need each other in a circle:\n  ${chain.join("\n  -> ")}`,
    {
      hint: "Write one of the values out.",
      facts: { file, circle: chain },
    },
  );
}
