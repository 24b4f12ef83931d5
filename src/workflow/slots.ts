/** How many steps are at work at once. Of those who wait, the one that comes first by the scheduler's order goes first. */
import { Stops } from "./stops.ts";

export interface Slot {
  /** The work is done, and what is left of it mostly waits for the disk: another may begin, as soon as there is room among those that are finishing. Idempotent. */
  finish(): void;
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
  /** What those do who have no room among the finishing yet, in the order in which they asked. */
  readonly #toFinish = new Set<() => void>();
  readonly #stops = new Stops();
  #free: number;
  #freeToFinish: number;

  /** `most`: undefined for any number. `finishing`: so many who are finishing don't count. */
  constructor(most: number | undefined, compare: (a: T, b: T) => number, { finishing = 0 } = {}) {
    this.#free = most ?? Infinity;
    this.#freeToFinish = finishing;
    this.#compare = compare;
  }

  /** Rejects with the signal's reason, and the place is given up. */
  async take(who: T, signal: AbortSignal): Promise<Slot> {
    if (signal.aborted) throw signal.reason;
    if (this.#free > 0) this.#free--;
    else await this.#wait(who, signal);
    let stage: "at work" | "finishing" | "over" = "at work";
    const beginFinishing = () => {
      stage = "finishing";
      this.#passOn();
    };
    return {
      finish: () => {
        if (stage !== "at work") return;
        this.#toFinish.add(beginFinishing);
        this.#letFinish();
      },
      release: () => {
        if (stage === "at work") this.#passOn();
        if (stage === "finishing") this.#freeToFinish++;
        stage = "over";
        this.#toFinish.delete(beginFinishing);
        this.#letFinish();
      },
    };
  }

  #letFinish(): void {
    for (const begin of this.#toFinish) {
      if (this.#freeToFinish === 0) return;
      this.#toFinish.delete(begin);
      this.#freeToFinish--;
      begin();
    }
  }

  #passOn(): void {
    const next = this.#first();
    if (next === undefined) this.#free++;
    else next.begin();
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
