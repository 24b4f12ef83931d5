/** Draws the calls: live on a terminal, as lines elsewhere, and the timeline at the end. */
import type { Console } from "../console.ts";
import { duration } from "../render/table.ts";
import type { Call } from "./calls.ts";

const frameMs = 100;
const marks = { planned: "·", starting: "·", waiting: "◌", running: "●", done: "✔", failed: "✘" } as const;

export class Screen {
  readonly #console: Console;
  readonly #calls: readonly Call[];
  readonly #now: () => number;
  readonly #told = new Map<Call, string>();
  #drawn = 0;
  #lastFrame = -Infinity;

  constructor(console: Console, calls: readonly Call[], now: () => number) {
    this.#console = console;
    this.#calls = calls;
    this.#now = now;
  }

  /** Called whenever something changed; draws at most ten times a second. */
  update(): void {
    if (!this.#console.isTerminal) return this.#tellLines();
    if (this.#now() - this.#lastFrame < frameMs) return;
    this.#lastFrame = this.#now();
    this.#erase();
    const height = Math.max(4, (process.stdout.rows ?? 24) - 3);
    const live = this.#calls.filter((call) => call.state === "running" || call.state === "waiting");
    const done = this.#calls.filter((call) => call.state === "done").length;
    const lines = [
      ...live.slice(0, height - 1).map((call) => this.#line(call)),
      this.#console.dim(
        `${done} of ${this.#calls.length} done, ${duration(this.#now())}${live.length >= height ? `, ${live.length - height + 1} more at work` : ""}`,
      ),
    ];
    process.stdout.write(`${lines.join("\n")}\n`);
    this.#drawn = lines.length;
  }

  /** Removes the live part. */
  #erase(): void {
    if (this.#drawn > 0) process.stdout.write(`\u001B[${this.#drawn}F\u001B[0J`);
    this.#drawn = 0;
  }

  #line(call: Call): string {
    const mark = call.state === "running" ? this.#console.green(marks.running) : this.#console.yellow(marks.waiting);
    const text =
      call.state === "waiting"
        ? `waits ${call.why}`
        : `runs, ${duration(this.#now() - (call.grantedAt ?? call.begunAt))}`;
    return `${mark} ${call.label.padEnd(14)} ${text}`.slice(0, this.#console.width + 10);
  }

  #tellLines(): void {
    for (const call of this.#calls) {
      if (call.state === "planned" || call.state === "starting" || this.#told.get(call) === call.state) continue;
      this.#told.set(call, call.state);
      const text = call.state === "waiting" ? `waits ${call.why}` : call.state === "running" ? "runs" : call.state;
      this.#console.out(
        `${(this.#now() / 1000).toFixed(1).padStart(5)} s  ${marks[call.state]} ${call.label.padEnd(14)} ${text}`,
      );
    }
  }

  /** The timeline of all calls, and what one global lock would have taken. */
  summary(): string {
    this.#erase();
    const total = Math.max(...this.#calls.map((call) => call.endedAt ?? 0));
    const width = Math.max(20, Math.min(this.#console.width, 110) - 26);
    const column = (ms: number) => Math.round((ms / total) * width);
    const rows = this.#calls.map((call) => {
      const granted = column(call.grantedAt ?? call.endedAt ?? 0);
      const end = Math.max(granted + 1, column(call.endedAt ?? 0));
      const begin = column(call.begunAt);
      const bar =
        " ".repeat(begin) +
        this.#console.yellow("░".repeat(Math.max(0, granted - begin))) +
        this.#console.green("█".repeat(end - granted));
      return `${call.state === "done" ? this.#console.green(marks.done) : this.#console.red(marks.failed)} ${call.label.padEnd(14)} ${bar}`;
    });
    const work = this.#calls.reduce(
      (sum, call) => sum + ((call.endedAt ?? 0) - (call.grantedAt ?? call.endedAt ?? 0)),
      0,
    );
    return [
      ...rows,
      `  ${"".padEnd(14)} ${this.#console.dim(`0${duration(total).padStart(width - 1)}`)}`,
      `  ${this.#console.green("█")} works   ${this.#console.yellow("░")} starts, or waits for its lock`,
      "",
      `${this.#console.bold(`${this.#calls.length} calls in ${duration(total)}`)}. One global lock would have taken ${this.#console.bold(duration(work))}: ${(work / total).toFixed(1)} times as long.`,
    ].join("\n");
  }
}
