/** A conditional store whose answers get lost: for simulations and tests. What goes wrong is decided by numbers from outside, so a seed decides it. */
import { FenError } from "../../../kernel/errors.ts";
import type { ConditionalStore, Listed, PutCondition, PutOutcome, Versioned } from "../../conditional.ts";

/** Shares of all requests, 0 to 1. */
export interface FaultRates {
  /** Fails, and nothing was done. */
  readonly before: number;
  /** Done, but the answer is lost. */
  readonly after: number;
  /** Fails, and is done later. Writes only. */
  readonly late: number;
}

export interface FaultSource {
  readonly rates: () => FaultRates;
  /** The next number, from 0 to 1. */
  readonly chance: () => number;
  /** On the way there, on the way back; and what comes late waits here for longer. */
  readonly travel: (leg: "there" | "back" | "late") => Promise<void>;
}

export class FaultyConditionalStore implements ConditionalStore {
  readonly #store: ConditionalStore;
  readonly #faults: FaultSource;

  constructor(store: ConditionalStore, faults: FaultSource) {
    this.#store = store;
    this.#faults = faults;
  }

  get(key: string): Promise<Versioned | undefined> {
    return this.#through("read", () => this.#store.get(key));
  }

  put(key: string, body: string, condition: PutCondition): Promise<PutOutcome> {
    return this.#through("write", () => this.#store.put(key, body, condition));
  }

  list(prefix: string): Promise<readonly Listed[]> {
    return this.#through("read", () => this.#store.list(prefix));
  }

  remove(key: string): Promise<void> {
    return this.#through("write", () => this.#store.remove(key));
  }

  async #through<T>(kind: "read" | "write", act: () => Promise<T>): Promise<T> {
    const { rates, chance, travel } = this.#faults;
    const { before, after, late } = rates();
    const fate = chance();
    await travel("there");
    if (fate < before) throw noAnswer();
    if (kind === "write" && fate < before + late) {
      void travel("late").then(act, () => undefined); // nobody is there to hear of it
      throw noAnswer();
    }
    const result = await act();
    await travel("back");
    if (fate < before + late + after) throw noAnswer();
    return result;
  }
}

function noAnswer(): FenError {
  return new FenError("store_unavailable", "No answer came.");
}
