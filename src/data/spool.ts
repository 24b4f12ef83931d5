/** A scratch file that is made only when there is more to keep than memory should hold. */
import type { Appender } from "../store/contract.ts";

/** So much stays in memory. */
const mostInMemory = 64 * 1024;

export interface SpoolFile {
  create(): Promise<Appender>;
  stream(): AsyncIterable<Uint8Array>;
}

export class LazySpool {
  readonly #source: SpoolFile;
  #chunks: Uint8Array[] = [];
  #size = 0;
  #moving: Promise<void> | undefined;
  #file: Appender | undefined;
  #failure: unknown;

  constructor(source: SpoolFile) {
    this.#source = source;
  }

  get size(): number {
    return this.#size;
  }

  /** Throws, from then on, what keeps the file from being written. The bytes are kept as they are: they mustn't change any more. */
  append(bytes: Uint8Array): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#size += bytes.length;
    if (this.#file !== undefined) return this.#file.append(bytes);
    this.#chunks.push(bytes);
    if (this.#size > mostInMemory) this.#moving ??= this.#move();
  }

  /** Everything, after the last `append`. */
  async *read(): AsyncIterable<Uint8Array> {
    await this.#moving;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#file === undefined) return yield* this.#chunks;
    await this.#file.close({ durable: false });
    yield* this.#source.stream();
  }

  async close(): Promise<void> {
    await this.#moving;
    await this.#file?.close({ durable: false });
  }

  async #move(): Promise<void> {
    try {
      const file = await this.#source.create();
      this.#file = file;
      for (const chunk of this.#chunks) file.append(chunk);
      this.#chunks = [];
    } catch (error) {
      this.#failure = error;
    }
  }
}
