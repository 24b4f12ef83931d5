/**
 * Steps that want the same model for themselves can only come one after the other. Of those, a few are begun; the others are a number in a line until
 * somebody has left: ten thousand that were begun would do nothing but wait, and everything that each makes later would live as long as they.
 */
export interface Place {
  /** Lets the next one in. Idempotent. */
  leave(): void;
}

/** The one at work, and one that is ready to follow. */
const atOnce = 2;

interface Line {
  begun: number;
  readonly waiting: Set<(place: Place) => void>;
}

export class Places {
  readonly #lines = new Map<string, Line>();

  /** Begins now, or when those before have left; in the order of coming. Without a key: now. */
  enter(key: string | undefined, begin: (place: Place) => void): void {
    if (key === undefined) return begin({ leave: () => undefined });
    const line = this.#lines.get(key) ?? { begun: 0, waiting: new Set() };
    this.#lines.set(key, line);
    line.waiting.add(begin);
    this.#next(line);
  }

  #next(line: Line): void {
    const [begin] = line.waiting;
    if (begin === undefined || line.begun >= atOnce) return;
    line.waiting.delete(begin);
    line.begun++;
    let hasLeft = false;
    begin({
      leave: () => {
        if (hasLeft) return;
        hasLeft = true;
        line.begun--;
        this.#next(line);
      },
    });
  }
}
