/**
 * The journal of a run: a line for each thing that happened, in order. Lines that are written while others are being made durable are made durable together
 * (group commit), so that the cost of a thousand steps at once is that of a few.
 */
import { asError, FenError } from "../kernel/errors.ts";
import type { Appender } from "../store/contract.ts";
import { type JournalEntry, maxLineBytes } from "./entries.ts";

interface Waiting {
  resolve(): void;
  reject(error: unknown): void;
}

export class Journal {
  readonly #file: Appender;
  #waiting: Waiting[] = [];
  #lines = "";
  #syncing: Promise<void> | undefined;
  #failed: Error | undefined;

  /** A file that ends with a whole line, or is empty. */
  constructor(file: Appender) {
    this.#file = file;
  }

  /** What keeps it from being written: from then on nothing counts any more. */
  get failure(): Error | undefined {
    return this.#failed;
  }

  /** Takes a line into the order; durable with the next one that is waited for. */
  write(entry: JournalEntry): void {
    const line = JSON.stringify(entry);
    // In bytes it may be three times as long: only then it is worth counting.
    if (line.length > maxLineBytes / 3 && Buffer.byteLength(line) > maxLineBytes) this.#failed ??= tooLong(entry);
    else this.#lines += `${line}\n`;
  }

  /** Resolves when everything written so far survives a power cut. Rejects from the first failure on: nothing more is certain then. */
  durable(): Promise<void> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#syncing ??= this.#sync();
    });
  }

  async close(): Promise<void> {
    await this.#syncing;
    if (this.#lines !== "" && this.#failed === undefined) this.#file.append(this.#lines);
    this.#lines = "";
    await this.#file.close({ durable: this.#failed === undefined });
  }

  async #sync(): Promise<void> {
    await undefined; // whoever writes in the same turn comes along
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting;
      const lines = this.#lines;
      this.#waiting = [];
      this.#lines = "";
      try {
        if (this.#failed !== undefined) throw this.#failed;
        if (lines !== "") {
          this.#file.append(lines);
          await this.#file.sync();
        } // else everything that was written went with a sync before
        for (const one of waiting) one.resolve();
      } catch (error) {
        this.#failed = asError(error);
        for (const one of waiting) one.reject(error);
      }
    }
    this.#syncing = undefined;
  }
}

function tooLong({ e }: JournalEntry): FenError {
  return new FenError(
    "file_too_large",
    `A line of the run's journal (${e}) would have more than ${maxLineBytes} bytes.`,
    {
      hint: "Keep large content in files or data, and give steps its name.",
    },
  );
}
