/**
 * Makes files and folders durable, for many at once: who asks while others are being synced is served, with all who do, by the next batch. A filesystem with
 * a journal writes it once for a batch; one after the other each sync would write it again, and hold up all who make or rename files meanwhile.
 */
import { syncAll } from "../../../kernel/files.ts";
import { all } from "../../../kernel/several.ts";

interface Batch {
  readonly begins: Promise<void>;
  readonly paths: Map<string, Promise<void>>;
}

export class Syncs {
  /** Resolves when the first of the last batch is done: the journal is written then, and what takes longer (gigabytes) holds up nobody. */
  #underWay: Promise<unknown> = Promise.resolve();
  #next: Batch | undefined;
  readonly #waiting: (() => void)[] = [];
  readonly #mostOpen: number;
  #open = 0;

  /** `mostOpen`: so many files are open at a time. */
  constructor(mostOpen: number) {
    this.#mostOpen = mostOpen;
  }

  /** Resolves when everything that was written to the files, and every name that is in the folders, survives a power cut. */
  async sync(paths: Iterable<string>): Promise<void> {
    await all([...paths].map((path) => this.#one(path)));
  }

  #one(path: string): Promise<void> {
    const batch = (this.#next ??= this.#openBatch());
    const asked = batch.paths.get(path) ?? batch.begins.then(() => this.#syncOne(path));
    batch.paths.set(path, asked);
    return asked;
  }

  async #syncOne(path: string): Promise<void> {
    if (this.#open < this.#mostOpen) this.#open++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve)); // for the place of one that is done
    try {
      await syncAll([path]);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#open--;
      else next();
    }
  }

  /** What is being synced now may have passed by what was written since it began: that is for the next batch. */
  #openBatch(): Batch {
    const paths = new Map<string, Promise<void>>();
    const begins = this.#underWay.then(() => {
      this.#next = undefined;
      this.#underWay = Promise.any(paths.values()).catch(() => undefined); // failures are told to those who asked
    });
    return { begins, paths };
  }
}
