/**
 * One evaluation of an expression. The library computes without waiting, within the time limit; what it asks for and isn't there yet stops it,
 * is read, and the computation begins again with the answer.
 */
import type { Memory, Scope } from "./scope.ts";
import type { OutputsBySpec } from "./sources.ts";
import type { Use } from "./syntax.ts";

/** Stops a computation that must wait. */
const pending = new Error("waiting for what an expression reads");

interface WantedOutput {
  readonly kind: "resource" | "file";
  readonly spec: string | undefined;
}

/** An expression that reads more is a mistake. */
const mostReads = 20_000;

export class Session {
  readonly scope: Scope;
  readonly model: ModelNamespace;
  /** Something was read that comes from the environment or a vault. */
  isTainted = false;
  /** Data or the time was read. */
  isVolatile = false;
  /** The global argument of another model that can't be known without inputs. */
  needs: string | undefined;
  readonly #uses: readonly Use[];
  readonly #answers = new Map<string, unknown>();
  readonly #waiting = new Map<string, () => Promise<unknown>>();
  readonly #memory: Memory;
  #time: Date | undefined;

  constructor(scope: Scope, uses: readonly Use[]) {
    this.scope = scope;
    this.#uses = uses;
    this.#memory = scope.memory ?? new Map();
    this.model = new ModelNamespace(this);
  }

  /** Computes until nothing is left to wait for. Rejects with what `compute` or a read throws. */
  async run(compute: () => unknown): Promise<unknown> {
    for (;;) {
      let outcome: () => unknown;
      try {
        const value = compute();
        outcome = () => value;
      } catch (error) {
        outcome = () => {
          throw error;
        };
      }
      // What was asked for in vain counts even where the computation got over it: `x || true`.
      if (this.#waiting.size === 0) return outcome();
      await this.#answer();
    }
  }

  /** The answer where it has been read; else stops the computation until it has. */
  ask(key: string, read: () => Promise<unknown>): unknown {
    if (this.#answers.has(key)) return this.#answers.get(key);
    this.#waiting.set(key, read);
    throw pending;
  }

  /** The same for the whole evaluation. */
  get time(): Date {
    this.isVolatile = true;
    return (this.#time ??= new Date(this.scope.now?.() ?? 0));
  }

  /** What the expression can see of a model; undefined where there is none of that name. */
  readModel(name: string): unknown {
    const paths = this.#uses
      .filter((use) => use.root === "model" && (use.path[0] ?? name) === name)
      .map(({ path }) => path.slice(1));
    const keys = new Set(
      paths.flatMap(([kind, field, key]) =>
        kind === "resource" || kind === "file" || (field ?? "globalArguments") !== "globalArguments"
          ? []
          : [key ?? "*"],
      ),
    );
    const outputs = paths.flatMap(([kind, spec]): WantedOutput[] =>
      kind === "resource" || kind === "file" ? [{ kind, spec }] : [],
    );
    const key = JSON.stringify(["model", name, ...keys, outputs]);
    return this.ask(key, async () => this.#loadModel(name, keys, outputs));
  }

  async #loadModel(
    name: string,
    globalArguments: ReadonlySet<string>,
    outputs: readonly WantedOutput[],
  ): Promise<unknown> {
    const { models, data, chain = [] } = this.scope;
    const found = await models?.read(name, { globalArguments, chain, memory: this.#memory });
    if (found === undefined) return undefined;
    const { isTainted, isVolatile, inputs, open, ...input } = found;
    if (open !== undefined) {
      this.needs = `globalArguments.${open} of ${found.name}`;
      throw new Error(`${this.needs} needs inputs`);
    }
    this.isTainted ||= isTainted;
    if (isTainted && this.scope.storableOnly === true) throw new Error("only what may be stored is wanted");
    this.isVolatile ||= isVolatile || outputs.length > 0;
    const bySpec: Record<"resource" | "file", OutputsBySpec> = { resource: {}, file: {} };
    for (const { kind, spec } of outputs)
      bySpec[kind] = { ...bySpec[kind], ...(await data?.outputs(name, kind, spec)) };
    return { input, definition: { ...input, inputs: inputs ?? {} }, ...bySpec, execution: {} };
  }

  async #answer(): Promise<void> {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    if (this.#answers.size + waiting.length > mostReads) throw new Error(`it reads more than ${mostReads} times`);
    for (const [key, read] of waiting) {
      const answer = this.#memory.get(key) ?? read();
      // A failure isn't kept: reading again may succeed.
      this.#memory.set(key, answer);
      try {
        this.#answers.set(key, await answer);
      } catch (error) {
        this.#memory.delete(key);
        throw error;
      }
    }
  }
}

/** `model` in an expression. The library asks it for names as it would ask a map. */
export class ModelNamespace extends Map<string, unknown> {
  readonly #session: Session;

  constructor(session: Session) {
    super();
    this.#session = session;
  }

  override get(name: string): unknown {
    return this.#session.readModel(name);
  }
}
