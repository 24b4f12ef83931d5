/** Ends a computation that takes too long, wherever it is: nested macros or a hostile pattern could take years, deaf to Ctrl-C. */
import { createContext, Script } from "node:vm";

/** Nothing that an expression is for takes longer. */
const mostMs = 5000;
const leastMs = 1000;
const timedOut = "ERR_SCRIPT_EXECUTION_TIMEOUT";

export class TimeLimit {
  readonly #box: { compute: () => unknown } = { compute: () => undefined };
  readonly #context = createContext(this.#box);
  readonly #script = new Script("compute()");

  /**
   * What `compute` gives or throws; an Error that says so where it takes longer than the limit. One that is repeated (`attempt` counts from 0) has less time
   * each time: together they end, too. Between two of them a signal is heard.
   */
  run(compute: () => unknown, attempt: number): unknown {
    this.#box.compute = compute;
    try {
      return this.#script.runInContext(this.#context, {
        timeout: Math.max(leastMs, Math.ceil(mostMs / (attempt + 1))),
      });
    } catch (error) {
      // An Error of the other context: not an instance of ours.
      const isTimeout = typeof error === "object" && error !== null && "code" in error && error.code === timedOut;
      if (!isTimeout) throw error;
      throw new Error(`it takes longer than ${mostMs / 1000} s`, { cause: error });
    }
  }
}
