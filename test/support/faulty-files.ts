/** The real files of a datastore, where a test may step in before or after the effect of each change, and where a "process" can die. */
import type { FileStep, LocalFiles, Owned } from "../../src/store/contract.ts";
import { doInOrder } from "../../src/store/in-order.ts";

const changes = ["write", "replace", "prepare", "create", "settle", "adopt", "keep", "own", "remove"] as const;
type Change = (typeof changes)[number];

export interface Step {
  readonly number: number;
  readonly method: Change;
  readonly when: "before" | "after";
}

export class Killed extends Error {}

const missing = async (): Promise<void> => undefined;

export class FaultyFiles {
  readonly files: LocalFiles;
  /** All changes so far, each with its two moments. */
  readonly steps: Step[] = [];
  readonly #owned: Owned[] = [];
  #isDead = false;

  /** `at` is called at each moment; it may wait, or throw `Killed`: then the process is dead, nothing that it does has an effect any more. */
  constructor(real: LocalFiles, at: (step: Step) => Promise<void>) {
    const around =
      (method: Change) =>
      async (...args: unknown[]) => {
        await this.#moment(method, "before", at);
        // The methods of one interface under one name each: their arguments are passed on as they came.
        const result: unknown = await Reflect.apply(real[method] ?? missing, real, args);
        if (method === "own") this.#owned.push(result as Owned); // what `own` gives
        await this.#moment(method, "after", at);
        return result;
      };
    const faulty = new Map<string | symbol, unknown>(changes.map((method) => [method, around(method)]));
    faulty.set("inOrder", (steps: readonly FileStep[]) => doInOrder(this.files, steps));
    this.files = new Proxy(real, {
      get: (target, name) => {
        if (this.#isDead) throw new Killed("dead");
        const found = faulty.get(name) ?? Reflect.get(target, name);
        return typeof found === "function" ? found.bind(target) : found;
      },
    });
  }

  async #moment(method: Change, when: Step["when"], at: (step: Step) => Promise<void>): Promise<void> {
    if (this.#isDead) throw new Killed("dead");
    const step = { number: this.steps.length, method, when };
    this.steps.push(step);
    try {
      await at(step);
    } catch (error) {
      if (error instanceof Killed) this.die();
      throw error;
    }
  }

  /** The kernel lets go of what the process held. */
  die(): void {
    this.#isDead = true;
    for (const owned of this.#owned) owned.letGo();
  }
}
