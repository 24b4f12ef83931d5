/**
 * One evaluation of an expression. The library computes without waiting, within the time limit. What it asks for and isn't there yet is unknown to it; it goes on
 * as far as it gets, so that all that it asks for can be read at once. Then the computation begins again with the answers: only one that knew all counts.
 */
import type { Memory, Scope } from "./scope.ts";
import type { OutputsBySpec } from "./sources.ts";
import type { Use } from "./syntax.ts";

/** What is asked for and isn't read yet. Everything in it is as unknown. */
export class Unknown extends Map<string, unknown> {
  override get(): unknown {
    return this;
  }
}

/** A global argument of another model can't be known without inputs. */
export class NeedsInput extends Error {}

/** What was read mustn't be stored, and nothing else is wanted. */
export class Withheld extends Error {}

interface WantedOutput {
  readonly kind: "resource" | "file";
  readonly spec: string | undefined;
}

/** An expression that reads more is a mistake. */
const mostReads = 20_000;
const readsAtOnce = 32;

type Answer = { readonly value: unknown } | { readonly error: unknown };

export class Session {
  readonly scope: Scope;
  readonly model: ModelNamespace;
  /** Something was read that comes from the environment or a vault. */
  isTainted = false;
  /** Data or the time was read. */
  isVolatile = false;
  readonly #uses: readonly Use[];
  readonly #unknown = new Unknown();
  readonly #answers = new Map<string, Answer>();
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
      if (this.#waiting.size === 0) return outcome();
      await this.#answer();
    }
  }

  /** The answer where it has been read. Throws what the reading threw. */
  ask(key: string, read: () => Promise<unknown>): unknown {
    const answer = this.#answers.get(key);
    if (answer === undefined) this.#waiting.set(key, read);
    else if ("value" in answer) return answer.value;
    // Beside something unknown it may have been asked for in vain.
    else if (this.#waiting.size === 0) throw answer.error;
    return this.#unknown;
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
    const read = this.ask(key, async () => this.#loadModel(name, keys, outputs));
    if (!(read instanceof ReadModel)) return read;
    // Whoever read it: the memory is shared with the other expressions of a value.
    this.isTainted ||= read.isTainted;
    this.isVolatile ||= read.isVolatile;
    if (read.isTainted && this.scope.storableOnly === true) throw new Withheld(name);
    return read.value;
  }

  async #loadModel(
    name: string,
    globalArguments: ReadonlySet<string>,
    outputs: readonly WantedOutput[],
  ): Promise<ReadModel | undefined> {
    const { models, data, chain = [] } = this.scope;
    const found = await models?.read(name, { globalArguments, chain, memory: this.#memory });
    if (found === undefined) return undefined;
    const { isTainted, isVolatile, inputs, open, ...input } = found;
    if (open !== undefined) throw new NeedsInput(`globalArguments.${open} of ${found.name}`);
    const bySpec: Record<"resource" | "file", OutputsBySpec> = { resource: {}, file: {} };
    for (const { kind, spec } of outputs)
      bySpec[kind] = { ...bySpec[kind], ...(await data?.outputs(name, kind, spec)) };
    const value = { input, definition: { ...input, inputs: inputs ?? {} }, ...bySpec, execution: {} };
    return new ReadModel(value, { isTainted, isVolatile: isVolatile || outputs.length > 0 });
  }

  async #answer(): Promise<void> {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    if (this.#answers.size + waiting.length > mostReads) throw new Error(`it reads more than ${mostReads} times`);
    for (let at = 0; at < waiting.length; at += readsAtOnce)
      await Promise.all(waiting.slice(at, at + readsAtOnce).map(([key, read]) => this.#read(key, read)));
  }

  async #read(key: string, read: () => Promise<unknown>): Promise<void> {
    const reading = this.#memory.get(key) ?? read();
    this.#memory.set(key, reading);
    try {
      this.#answers.set(key, { value: await reading });
    } catch (error) {
      this.#memory.delete(key); // reading again may succeed
      this.#answers.set(key, { error });
    }
  }
}

class ReadModel {
  readonly value: unknown;
  readonly isTainted: boolean;
  readonly isVolatile: boolean;

  constructor(value: unknown, flags: { readonly isTainted: boolean; readonly isVolatile: boolean }) {
    this.value = value;
    this.isTainted = flags.isTainted;
    this.isVolatile = flags.isVolatile;
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
