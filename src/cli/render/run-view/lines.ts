/** A run as plain lines, for logs: the start and end of each step, what it waits for, and the last words of what failed. */
import type { AppEvent } from "../../../app/context.ts";
import type { JournalEntry } from "../../../workflow/entries.ts";
import { onOneLine, printable } from "../columns.ts";
import type { Console } from "../../console.ts";
import { duration } from "../table.ts";
import { KnownRun, type ShownStep } from "./known.ts";

export interface LineOptions {
  /** With what steps print. */
  readonly verbose: boolean;
  /** What happened before this time isn't told. */
  readonly from: number;
}

export class RunLines {
  readonly #console: Console;
  readonly #known = new KnownRun();
  readonly #options: LineOptions;

  constructor(console: Console, options: LineOptions) {
    this.#console = console;
    this.#options = options;
  }

  note(event: AppEvent): void {
    this.#known.note(event);
    const { from, verbose } = this.#options;
    if (event.event === "workflow.entry") {
      if (event.entry.at >= from) this.#entry(event.run, event.entry);
    } else if (event.event === "workflow.output" && verbose) {
      const step = this.#known.step(event.run, event.step);
      this.#console.say(`${printable(step?.label ?? "")} | ${printable(event.line)}`);
    }
  }

  #entry(run: string, entry: JournalEntry): void {
    switch (entry.e) {
      case "run":
        if (entry.parent === undefined) this.#say(entry.at, "run", `${entry.definition.name}  ${entry.run}`);
        return;
      case "resume":
        return this.#say(entry.at, "resumed", `by ${entry.by.holder} (pid ${entry.by.pid})`);
      case "locks":
        if (entry.waitedMs >= 250)
          this.#say(
            entry.at,
            "locked",
            `${entry.models} model${entry.models === 1 ? "" : "s"} after ${duration(entry.waitedMs)}`,
          );
        return;
      case "wait":
      case "start":
      case "retry":
      case "end":
        return this.#step(run, entry);
      case "job":
      case "expand":
      case "again":
      case "done":
        return;
    }
  }

  #step(run: string, entry: Extract<JournalEntry, { e: "wait" | "start" | "retry" | "end" }>): void {
    const step = this.#known.step(run, entry.n);
    if (step === undefined || (step.state.expansions !== undefined && entry.e === "end")) return;
    const label = printable(step.label);
    switch (entry.e) {
      case "wait":
        return this.#say(
          entry.at,
          "waits",
          `${label} for the lock on ${entry.model}${entry.by === undefined ? "" : `, held by ${entry.by}`}`,
        );
      case "start":
        return this.#say(entry.at, "starts", `${label}${entry.a > 1 ? `, attempt ${entry.a}` : ""}`);
      case "retry":
        return this.#say(entry.at, "again", `${label}${attemptAfter(step, entry.a)}: ${onOneLine(entry.error)}`);
      case "end":
        return this.#end(step, entry);
    }
  }

  #end(step: ShownStep, { at, s, error, why, allowed }: Extract<JournalEntry, { e: "end" }>): void {
    const ms = step.run.durationOf(step.state, at);
    const took = ms === undefined ? "" : ` ${duration(ms)}`;
    const reason = error ?? why;
    const more = `${allowed === true ? " (allowed)" : ""}${reason === undefined ? "" : `: ${onOneLine(reason)}`}`;
    this.#say(at, s, `${printable(step.label)}${took}${more}`);
    if (s !== "failed") return;
    const said = this.#known.failed.find(({ state }) => state === step.state)?.lines ?? [];
    for (const line of said) this.#console.say(this.#console.dim(`            | ${printable(line)}`));
  }

  #say(at: number, word: string, text: string): void {
    const seconds = `${(Math.max(0, at - (this.#known.since ?? at)) / 1000).toFixed(1)} s`.padStart(8);
    const shown = word === "failed" || word === "succeeded" ? this.#console.status(word) : word;
    this.#console.say(`${seconds}  ${shown}${" ".repeat(Math.max(0, 9 - word.length))}  ${text}`);
  }
}

/** Which attempt comes next, where the step says how many there are. */
function attemptAfter({ state }: ShownStep, attempt: number): string {
  const { retry } = state.definition;
  return retry === undefined ? "" : `, attempt ${attempt + 1} of ${retry.attempts}`;
}
