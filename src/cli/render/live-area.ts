/**
 * Lines at the bottom of a terminal that are written over in place. They are never more than the window has rows, and none may be longer than it has columns;
 * so moving up by their number always finds the first one.
 */
import { lengthOf } from "./table.ts";

const escape = "\u001B";
const hideCursor = `${escape}[?25l`;
const showCursor = `${escape}[?25h`;
/** What is between these two is shown at once by terminals that know them; others ignore them. */
const frame = { begin: `${escape}[?2026h`, end: `${escape}[?2026l` } as const;

export class LiveArea {
  readonly #stream: NodeJS.WriteStream;
  readonly #restore = () => this.#stream.write(showCursor);
  #drawn: readonly string[] = [];
  #size = "";

  /** Hides the cursor until it is closed, or the process ends. */
  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    stream.write(hideCursor);
    process.once("exit", this.#restore);
  }

  /** Columns that a line may have. The last one stays free: some terminals wrap when it is written to. */
  get width(): number {
    return Math.max(1, (this.#stream.columns || 100) - 1);
  }

  /** Lines that there may be. */
  get height(): number {
    return Math.max(1, (this.#stream.rows || 24) - 1);
  }

  /** Shows these lines in the place of those before; nothing is written where nothing has changed. */
  paint(lines: readonly string[]): void {
    const size = `${this.width}x${this.height}`;
    const isSame = size === this.#size && lines.length === this.#drawn.length;
    if (isSame && lines.every((line, at) => line === this.#drawn[at])) return;
    const text = lines.map((line, at) => (isSame && line === this.#drawn[at] ? "\n" : `${line}${escape}[K\n`)).join("");
    this.#stream.write(`${frame.begin}${this.#toTop()}${text}${isSame ? "" : `${escape}[J`}${frame.end}`);
    this.#drawn = lines;
    this.#size = size;
  }

  /** Text that stays, above the lines. */
  print(text: string): void {
    const lines = this.#drawn;
    this.#stream.write(`${frame.begin}${this.#toTop()}${escape}[J${text}\n${frame.end}`);
    this.#drawn = [];
    this.#size = "";
    this.paint(lines);
  }

  /** Takes the lines away. */
  close(): void {
    this.#stream.write(`${this.#toTop()}${escape}[J${showCursor}`);
    process.removeListener("exit", this.#restore);
    this.#drawn = [];
  }

  /** Up to the first line. A window that became narrower has wrapped what was drawn before. */
  #toTop(): string {
    const columns = this.#stream.columns || 80;
    const height = this.#drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(lengthOf(line) / columns)), 0);
    return height === 0 ? "" : `${escape}[${height}F`;
  }
}
