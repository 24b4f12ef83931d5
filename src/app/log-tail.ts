/** The end of a run's log, as it grows: which step said what. */
import type { Files } from "../store/contract.ts";
import type { RunState } from "../workflow/run-state.ts";

/** What the log itself says between what methods say. */
const ownWords = /^(Executing method|Data saved to) "/;

/** What was said before we came is of interest only where it is near. */
const pastBytes = 256 * 1024;

export interface SaidLine {
  readonly step: number;
  readonly stream: "stdout" | "stderr";
  readonly line: string;
}

export class LogTail {
  readonly #files: Files;
  readonly #path: string;
  #offset: number | undefined;
  #rest: Buffer = Buffer.alloc(0);
  /** Steps by what their lines begin with. */
  readonly #steps = new Map<string, number>();
  #known = 0;

  constructor(files: Files, path: string) {
    this.#files = files;
    this.#path = path;
  }

  /** Lines that have come since the last look. */
  async look(state: RunState): Promise<SaidLine[]> {
    const size = (await this.#files.stat(this.#path))?.size ?? 0;
    this.#offset ??= Math.max(0, size - pastBytes);
    if (size <= this.#offset) return [];
    const said: SaidLine[] = [];
    for await (const chunk of this.#files.stream(this.#path, { start: this.#offset })) {
      this.#offset += chunk.length;
      const all = Buffer.concat([this.#rest, chunk]);
      const end = all.lastIndexOf(0x0a) + 1;
      this.#rest = all.subarray(end);
      for (const line of all.toString("utf8", 0, end).split("\n")) {
        const one = this.#parse(line, state);
        if (one !== undefined) said.push(one);
      }
    }
    return said;
  }

  #parse(text: string, state: RunState): SaidLine | undefined {
    const [, level, rest = ""] = /^\S+ \S+ \S+ \[(INF|WRN)\] (.*)$/s.exec(text) ?? [];
    if (level === undefined) return undefined;
    this.#learn(state);
    for (let cut = rest.indexOf(": "); cut !== -1; cut = rest.indexOf(": ", cut + 1)) {
      const step = this.#steps.get(rest.slice(0, cut));
      if (step !== undefined && ownWords.test(rest.slice(cut + 2))) return undefined;
      if (step !== undefined) return { step, stream: level === "INF" ? "stdout" : "stderr", line: rest.slice(cut + 2) };
    }
    return undefined;
  }

  #learn({ steps, definition, jobs }: RunState): void {
    for (; this.#known < steps.length; this.#known++) {
      const step = steps[this.#known];
      if (step === undefined) continue;
      this.#steps.set(`workflow·run·${definition.name}·${jobs[step.job]?.name ?? ""}·${step.name}`, step.number);
    }
  }
}
