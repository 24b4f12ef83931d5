/** What one stream of a command said: all of it to a file (without the final newline), its end kept in memory for the result. */
export class Capture {
  readonly #keep: number;
  readonly #write: (bytes: Uint8Array) => void;
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #newlineHeld = false;
  /** Bytes without the final newline. */
  bytes = 0;

  /** `keep`: bytes of the end that `text` gives. */
  constructor(keep: number, write: (bytes: Uint8Array) => void) {
    this.#keep = keep;
    this.#write = write;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    if (this.#newlineHeld) this.#pass(new Uint8Array([10]));
    this.#newlineHeld = chunk[chunk.length - 1] === 10;
    this.#pass(this.#newlineHeld ? chunk.subarray(0, -1) : chunk);
  }

  get isCut(): boolean {
    return this.bytes > this.#keep;
  }

  /** The last `keep` bytes as text. Bytes that aren't UTF-8 become U+FFFD. */
  get text(): string {
    const all = Buffer.concat(this.#kept);
    let start = Math.max(0, all.length - this.#keep);
    // Don't begin inside a character.
    while (start > 0 && start < all.length && ((all[start] ?? 0) & 0xc0) === 0x80) start++;
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(all.subarray(start));
  }

  #pass(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.bytes += bytes.length;
    this.#write(bytes);
    this.#kept.push(bytes);
    this.#keptBytes += bytes.length;
    for (
      let first = this.#kept[0];
      first !== undefined && this.#keptBytes - first.length >= this.#keep;
      first = this.#kept[0]
    ) {
      this.#kept.shift();
      this.#keptBytes -= first.length;
    }
  }
}
