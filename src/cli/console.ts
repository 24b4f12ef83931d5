/** The console: stdout is data, stderr is talk. */
import { FenError } from "../kernel/errors.ts";

export interface ConsoleOptions {
  readonly color: boolean;
  readonly quiet: boolean;
  readonly pager: boolean;
}

export class Console {
  readonly #options: ConsoleOptions;

  constructor(options: ConsoleOptions) {
    this.#options = options;
    // A reader that has seen enough closes the pipe: that ends the printing, not the work.
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  }

  /** True where a person is at both ends. */
  get isInteractive(): boolean {
    return process.stdin.isTTY && process.stderr.isTTY;
  }

  get isTerminal(): boolean {
    return process.stdout.isTTY;
  }

  get width(): number {
    return process.stdout.columns ?? 100;
  }

  out(text: string): void {
    process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
  }

  /** Bytes as they are; waits where the reader is slow. */
  async rawSlowly(bytes: Uint8Array): Promise<void> {
    if (!process.stdout.write(bytes) && !process.stdout.destroyed) {
      await new Promise<void>((resolve) => {
        for (const event of ["drain", "close", "error"]) process.stdout.once(event, () => resolve());
      });
    }
  }

  say(text: string): void {
    if (!this.#options.quiet) process.stderr.write(`${text}\n`);
  }

  error(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  /** Through $PAGER where that helps: on a terminal, when it is longer than the window. */
  async page(text: string): Promise<void> {
    const rows = process.stdout.rows ?? 0;
    const pager = process.env["PAGER"] ?? "less";
    if (!this.#options.pager || !this.isTerminal || pager === "cat" || pager === "" || text.split("\n").length < rows)
      return this.out(text);
    const { spawnSync } = process.getBuiltinModule("node:child_process");
    const done = spawnSync(pager, {
      shell: true,
      input: text,
      stdio: ["pipe", "inherit", "inherit"],
      env: { LESS: "FRX", ...process.env },
    });
    if (done.error !== undefined || (done.status ?? 0) === 127) this.out(text);
  }

  /** Asks a person yes or no. Where nobody can answer: `confirmation_needed`. */
  async confirm(question: string): Promise<boolean> {
    if (!this.isInteractive)
      throw new FenError("confirmation_needed", `${question} Nobody is here to confirm.`, {
        hint: "Say --force to go on without asking.",
      });
    const { createInterface } = process.getBuiltinModule("node:readline/promises");
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
    } finally {
      lines.close();
    }
  }

  /** All of standard input as text, unless it is a terminal. */
  async readInput(maxBytes: number): Promise<string | undefined> {
    if (process.stdin.isTTY) return undefined;
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of process.stdin) {
      const bytes = Buffer.from(chunk);
      size += bytes.length;
      if (size > maxBytes)
        throw new FenError("file_too_large", `Standard input is larger than ${maxBytes} bytes.`, {
          hint: "Is it the right file that is piped in?",
        });
      chunks.push(bytes);
    }
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
    } catch {
      throw new FenError("input_invalid", "Standard input isn't UTF-8 text.", { hint: "Pipe it in as UTF-8." });
    }
  }

  /** Opens $VISUAL or $EDITOR on a file and waits for it. */
  async edit(path: string): Promise<void> {
    const { spawnSync } = process.getBuiltinModule("node:child_process");
    const editor = process.env["VISUAL"] ?? process.env["EDITOR"] ?? "vi";
    const done = spawnSync("/bin/sh", ["-c", `${editor} "$1"`, "sh", path], { stdio: "inherit" });
    const status = done.status ?? 1;
    if (done.error !== undefined || status !== 0)
      throw new FenError("editor_failed", `The editor ended with an error: ${editor}`, {
        hint: "Set EDITOR to an editor that is installed.",
      });
  }

  bold(text: string): string {
    return this.#paint(text, 1, 22);
  }

  dim(text: string): string {
    return this.#paint(text, 2, 22);
  }

  red(text: string): string {
    return this.#paint(text, 31, 39);
  }

  green(text: string): string {
    return this.#paint(text, 32, 39);
  }

  yellow(text: string): string {
    return this.#paint(text, 33, 39);
  }

  cyan(text: string): string {
    return this.#paint(text, 36, 39);
  }

  #paint(text: string, on: number, off: number): string {
    return this.#options.color ? `\u001B[${on}m${text}\u001B[${off}m` : text;
  }

  /** Status words in their usual colours. */
  status(status: string): string {
    if (status === "succeeded" || status === "held" || status === "passed") return this.green(status);
    if (status === "failed" || status === "interrupted" || status === "stale" || status === "unreadable")
      return this.red(status);
    return this.yellow(status);
  }
}
