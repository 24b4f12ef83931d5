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

  /** Throws what kept the file from being written, if one was needed so far. */
  async settled(): Promise<void> {
    await this.#moving;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** All of it, after the last `append`; undefined where it is in the file. Throws what kept the file from being written. */
  async content(): Promise<Uint8Array | undefined> {
    await this.settled();
    return this.#file === undefined ? joined(this.#chunks, this.#size) : undefined;
  }

  /** However small it is, it is in the file once this resolves, after the last `append`. */
  async toFile(): Promise<void> {
    this.#moving ??= this.#move();
    await this.settled();
    await this.#file?.close({ durable: false });
  }

  /** Everything, after the last `append`. */
  async *read(): AsyncIterable<Uint8Array> {
    await this.settled();
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

/** In memory of its own: who passes it on passes on no more than that. */
function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const all = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
