/** How many steps are at work at once. Of those who wait, the one that comes first by the scheduler's order goes first. */
import { Stops } from "./stops.ts";

export interface Slot {
  /** Gives it back. Idempotent. */
  release(): void;
}

interface Asker<T> {
  readonly who: T;
  begin(): void;
}

export class Slots<T> {
  readonly #compare: (a: T, b: T) => number;
  readonly #waiting: Asker<T>[] = [];
  readonly #stops = new Stops();
  #free: number;

  /** `most`: undefined for any number. */
  constructor(most: number | undefined, compare: (a: T, b: T) => number) {
    this.#free = most ?? Infinity;
    this.#compare = compare;
  }

  /** Rejects with the signal's reason, and the place is given up. */
  async take(who: T, signal: AbortSignal): Promise<Slot> {
    if (signal.aborted) throw signal.reason;
    if (this.#free > 0) this.#free--;
    else await this.#wait(who, signal);
    let isOver = false;
    return {
      release: () => {
        if (isOver) return;
        isOver = true;
        const next = this.#first();
        if (next === undefined) this.#free++;
        else next.begin();
      },
    };
  }

  #wait(who: T, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const forget = this.#stops.on(signal, (reason) => {
        this.#waiting.splice(this.#waiting.indexOf(asker), 1);
        reject(reason);
      });
      const asker: Asker<T> = {
        who,
        begin: () => {
          forget();
          resolve();
        },
      };
      this.#waiting.splice(this.#placeOf(who), 0, asker);
    });
  }

  /** The last in line stands first in the list: taking it moves nobody. */
  #placeOf(who: T): number {
    let [low, high] = [0, this.#waiting.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#waiting[middle];
      if (other !== undefined && this.#compare(other.who, who) > 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #first(): Asker<T> | undefined {
    return this.#waiting.pop();
  }
}
