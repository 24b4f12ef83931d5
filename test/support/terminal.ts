/** A pseudo-terminal (by script(1)) and a small model of its window, to see what a person sees. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { until } from "./cli.ts";

export interface TerminalOptions {
  readonly cwd: string;
  readonly columns: number;
  readonly rows: number;
  readonly env?: Readonly<Record<string, string>>;
}

export class Terminal {
  readonly done: Promise<number>;
  readonly window: Window;
  /** All that was written, escape sequences included. */
  raw = "";
  readonly #child: ChildProcess;

  /** Runs a shell command with a terminal of the given size. */
  constructor(command: string, { cwd, columns, rows, env }: TerminalOptions) {
    this.window = new Window(columns, rows);
    const all = { ...process.env, TERM: "xterm", SWAMP_REPO_DIR: "", SWAMP_DATASTORE: "", SHELL: "/bin/sh", ...env };
    this.#child = spawn("script", ["-qfec", `stty cols ${columns} rows ${rows}; exec ${command}`, "/dev/null"], {
      cwd,
      env: all,
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdout?.setEncoding("utf8");
    this.#child.stdout?.on("data", (text: string) => {
      this.raw += text;
      this.window.write(text);
    });
    this.done = new Promise((resolve) => this.#child.on("close", (code) => resolve(code ?? -1)));
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** As when a person makes the window smaller: the program is told. */
  resize(columns: number, rows: number): void {
    const { pid = 0 } = this.#child;
    const [child = ""] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
    const done = spawnSync("stty", [
      "-F",
      readlinkSync(`/proc/${child}/fd/0`),
      "cols",
      `${columns}`,
      "rows",
      `${rows}`,
    ]);
    if (done.status !== 0) throw new Error(String(done.stderr));
    this.window.columns = columns;
    this.window.rows = rows;
  }

  async shows(text: string): Promise<void> {
    await until(
      () => this.window.text().includes(text),
      () => `${JSON.stringify(text)} in:\n${this.window.text()}`,
    );
  }
}

/** Lines as a terminal of this size shows them; everything that scrolled out is kept above. */
export class Window {
  columns: number;
  rows: number;
  /** Lines that were longer than the window. */
  readonly wrapped: string[] = [];
  /** True when something moved up beyond the first row: what it meant to overwrite had scrolled away. */
  lostTop = false;
  cursorShown = true;
  readonly #lines: string[] = [""];
  #row = 0;
  #column = 0;
  #rest = "";

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
  }

  text(): string {
    return this.#lines.map((line) => line.trimEnd()).join("\n");
  }

  /** What is in the window now, without what scrolled out. */
  visible(): string[] {
    return this.#lines.slice(-this.rows).map((line) => line.trimEnd());
  }

  write(text: string): void {
    const all = this.#rest + text;
    // oxlint-disable-next-line no-control-regex -- that is what terminals are told with
    const tokens = all.match(/\u001B\[[?]?[\d;]*[A-Za-z]|\u001B\[?[?]?[\d;]*$|[^\u001B]/gu) ?? [];
    const last = tokens.at(-1) ?? "";
    // oxlint-disable-next-line no-control-regex -- as above
    this.#rest = /^\u001B(\[[?]?[\d;]*)?$/.test(last) ? (tokens.pop() ?? "") : "";
    for (const token of tokens) {
      if (token.startsWith("\u001B")) this.#control(token);
      else if (token === "\n") this.#newLine();
      else if (token === "\r") this.#column = 0;
      else this.#put(token);
    }
  }

  #put(char: string): void {
    if (this.#column >= this.columns) {
      this.wrapped.push(this.#lines[this.#row] ?? "");
      this.#newLine();
      this.#column = 0;
    }
    const line = (this.#lines[this.#row] ?? "").padEnd(this.#column);
    this.#lines[this.#row] = line.slice(0, this.#column) + char + line.slice(this.#column + 1);
    this.#column++;
  }

  #newLine(): void {
    this.#row++;
    this.#lines[this.#row] ??= "";
  }

  #control(token: string): void {
    const count = Number(/\d+/.exec(token)?.[0] ?? 1);
    if (token.endsWith("F")) {
      const top = Math.max(0, this.#lines.length - this.rows);
      this.lostTop ||= this.#row - count < top;
      this.#row = Math.max(top, this.#row - count);
      this.#column = 0;
    } else if (token.endsWith("K")) this.#lines[this.#row] = (this.#lines[this.#row] ?? "").slice(0, this.#column);
    else if (token.endsWith("J")) {
      this.#lines[this.#row] = (this.#lines[this.#row] ?? "").slice(0, this.#column);
      // What is below is blank, but the window stays where it is.
      for (let row = this.#row + 1; row < this.#lines.length; row++) this.#lines[row] = "";
    } else if (token === "\u001B[?25l") this.cursorShown = false;
    else if (token === "\u001B[?25h") this.cursorShown = true;
  }
}
