/** The console: stdout is data, stderr is talk. */
import { FenError } from "../kernel/errors.ts";
import { isTerminal, type Output } from "./output.ts";
import { printableLines } from "./render/columns.ts";
import { colorCodes, lengthOf } from "./render/table.ts";

export interface ConsoleOptions {
  /** On stdout. */
  readonly color: boolean;
  /** On stderr. */
  readonly errColor: boolean;
  readonly quiet: boolean;
  readonly pager: boolean;
}

export class Console {
  readonly #options: ConsoleOptions;
  readonly #out: Output;
  readonly #err: Output;
  #isQuiet: boolean;

  constructor(options: ConsoleOptions, outputs: { readonly out: Output; readonly err: Output }) {
    this.#options = options;
    this.#isQuiet = options.quiet;
    this.#out = outputs.out;
    this.#err = outputs.err;
  }

  /** True where a person is at both ends. */
  get isInteractive(): boolean {
    return isTerminal(2) && isTerminal(0);
  }

  /** `--quiet`: nothing is said but errors. */
  get isQuiet(): boolean {
    return this.#isQuiet;
  }

  /** From now on it is quiet. */
  hush(): void {
    this.#isQuiet = true;
  }

  get isTerminal(): boolean {
    return isTerminal(1);
  }

  get width(): number {
    return process.stdout.columns || 100; // 0: a terminal that nobody gave a size
  }

  /** As it is: JSON, and what others wrote. What is said for people has been through `shown`. */
  out(text: string): void {
    this.#out.write(text.endsWith("\n") ? text : `${text}\n`);
  }

  /** Text for people: nothing in it is an order to the terminal but colours. */
  shown(text: string): string {
    return printableLines(this.#options.color ? text : text.replaceAll(colorCodes, ""));
  }

  /** Bytes as they are; waits where the reader is slow. False where no more can be written. */
  rawSlowly(bytes: Uint8Array): Promise<boolean> {
    return this.#out.writeSlowly(bytes);
  }

  /** On a terminal in the place of what was there, as far as the window reaches; elsewhere below it. */
  redraw(text: string): void {
    if (!this.isTerminal) return this.out(text);
    const lines = text.split("\n").slice(0, Math.max(1, (process.stdout.rows || 24) - 1));
    this.#out.write(`\u001B[H\u001B[2J${lines.join("\n")}\n`);
  }

  say(text: string): void {
    if (!this.#isQuiet) this.error(text);
  }

  error(text: string): void {
    this.#err.write(`${printableLines(this.#options.errColor ? text : text.replaceAll(colorCodes, ""))}\n`);
  }

  /** A document for programs, on stderr. */
  errorDocument(document: unknown): void {
    this.#err.write(`${JSON.stringify(document, undefined, 2)}\n`);
  }

  /** For programs, or what another program wrote to its stderr: as it is. */
  relay(line: string): void {
    if (!this.#isQuiet) this.#err.write(`${line}\n`);
  }

  /** Through $PAGER where that helps: on a terminal, when it is longer than the window. */
  async page(text: string): Promise<void> {
    const { PAGER: chosen } = process.env;
    if (!this.#options.pager || !this.isTerminal || chosen === "cat" || chosen === "" || this.#fits(text))
      return this.out(text);
    const { spawnSync } = process.getBuiltinModule("node:child_process");
    const done = spawnSync(chosen ?? "command -v less >/dev/null || exit 127; exec less", {
      shell: true,
      input: text,
      stdio: ["pipe", "inherit", "inherit"],
      env: { LESS: "FRX", ...process.env },
    });
    // Only where there is no pager: one that was left before the end of the text has shown what was wanted.
    if (done.status === 127) this.out(text);
  }

  #fits(text: string): boolean {
    const lines = text.split("\n").map((line) => Math.max(1, Math.ceil(lengthOf(line) / this.width)));
    return lines.reduce((sum, rows) => sum + rows, 0) < (process.stdout.rows ?? 0);
  }

  /** Asks a person yes or no; Ctrl-D is a no, Ctrl-C ends the command. Where nobody can answer: `confirmation_needed`. */
  async confirm(question: string): Promise<boolean> {
    if (!this.isInteractive)
      throw new FenError("confirmation_needed", `${question} Nobody is here to confirm.`, {
        hint: "Say --force to go on without asking.",
      });
    const { createInterface } = process.getBuiltinModule("node:readline/promises");
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
    } catch (error) {
      if (!(error instanceof Error) || error.name !== "AbortError") throw error;
      this.#err.write("\n"); // the line of the question ends
      if (error.message.includes("Ctrl+D")) return false;
      throw new FenError("interrupted", "Interrupted by SIGINT.", {
        hint: "Nothing was done. Run the command again when you want to.",
        facts: { signal: "SIGINT" },
      });
    } finally {
      lines.close();
    }
  }

  /** All of standard input as text, unless it is a terminal. */
  async readInput(maxBytes: number): Promise<string | undefined> {
    if (isTerminal(0)) return undefined;
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

  /** $VISUAL or $EDITOR; a variable that is empty counts as unset. */
  get editor(): string {
    const { VISUAL, EDITOR } = process.env;
    return [VISUAL, EDITOR].find((name) => name !== undefined && name !== "") ?? "vi";
  }

  /** Opens the editor on a file and waits for it. */
  async edit(path: string): Promise<void> {
    const { spawnSync } = process.getBuiltinModule("node:child_process");
    const { editor } = this;
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
