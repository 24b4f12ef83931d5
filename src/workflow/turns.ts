/**
 * Whose turn it is on a model among the steps of one run, which holds the model's lock: readers together, writers alone, in the order of asking.
 * Costs no request: the lock of the store keeps everybody else out.
 */
import type { LockMode } from "../store/contract.ts";
import { Stops } from "./stops.ts";

interface Asker {
  readonly mode: LockMode;
  begin(): void;
}

interface Line {
  /** Those at work: any number that read, or one that writes. */
  active: number;
  activeMode: LockMode;
  readonly waiting: Asker[];
  /** Of `waiting`, how many have had their turn: taken from the front without moving the rest. */
  served: number;
}

/** Ends the turn. Idempotent. */
export type EndTurn = () => void;

export class Turns {
  readonly #lines = new Map<string, Line>();
  readonly #stops = new Stops();

  /** Takes a place at once; resolves when it is our turn. Rejects with the signal's reason, and the place is given up. */
  async take(key: string, mode: LockMode, signal: AbortSignal): Promise<EndTurn> {
    if (signal.aborted) throw signal.reason;
    const line = this.#lines.get(key) ?? { active: 0, activeMode: mode, waiting: [], served: 0 };
    this.#lines.set(key, line);
    if (line.waiting.length === line.served && admits(line, mode)) this.#begin(line, mode);
    else await this.#wait(key, line, { mode, signal });
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      line.active--;
      this.#advance(key, line);
    };
  }

  #wait(
    key: string,
    line: Line,
    { mode, signal }: { readonly mode: LockMode; readonly signal: AbortSignal },
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const forget = this.#stops.on(signal, (reason) => {
        line.waiting.splice(line.waiting.indexOf(asker), 1);
        this.#advance(key, line); // who was only behind this one needn't wait any more
        reject(reason);
      });
      const asker: Asker = {
        mode,
        begin: () => {
          forget();
          resolve();
        },
      };
      line.waiting.push(asker);
    });
  }

  #begin(line: Line, mode: LockMode): void {
    line.active++;
    line.activeMode = mode;
  }

  #advance(key: string, line: Line): void {
    for (let next = line.waiting[line.served]; next !== undefined; next = line.waiting[line.served]) {
      if (!admits(line, next.mode)) break;
      line.served++;
      this.#begin(line, next.mode);
      next.begin();
    }
    if (line.served > 64) {
      line.waiting.splice(0, line.served);
      line.served = 0;
    }
    if (line.active === 0 && line.waiting.length === line.served) this.#lines.delete(key);
  }
}

function admits(line: Line, mode: LockMode): boolean {
  return line.active === 0 || (mode === "shared" && line.activeMode === "shared");
}
