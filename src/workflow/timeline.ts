/** When each step of a run waited, worked and rested: what timelines draw. Made from the journal's lines, because the state keeps only a step's last. */
import type { JournalEntry } from "./entries.ts";

/** `wait`: for a lock. `pause`: between two attempts. `lost`: at work when the run died; nobody knows for how long. `skip`: never began, as of then. */
export type SegmentKind = "wait" | "run" | "pause" | "lost" | "skip";

export interface Segment {
  readonly kind: SegmentKind;
  readonly from: number;
  /** Undefined: goes on. */
  to?: number;
  /** The lock that it waited for, and who had it. */
  readonly model?: string;
  readonly by?: string;
}

export class Timeline {
  /** By the number of the step. */
  readonly #segments = new Map<number, Segment[]>();
  #lastAt = 0;

  /** Time of the last line. */
  get lastAt(): number {
    return this.#lastAt;
  }

  of(step: number): readonly Segment[] {
    return this.#segments.get(step) ?? [];
  }

  note(entry: JournalEntry): void {
    switch (entry.e) {
      case "wait":
        this.#begin(entry.n, {
          kind: "wait",
          from: entry.at,
          model: entry.model,
          ...(entry.by === undefined ? {} : { by: entry.by }),
        });
        break;
      case "start":
        this.#begin(entry.n, { kind: "run", from: entry.at });
        break;
      case "retry":
        this.#begin(entry.n, { kind: "pause", from: entry.at });
        break;
      case "end":
        this.#close(entry.n, entry.at);
        if (entry.s === "skipped") this.#begin(entry.n, { kind: "skip", from: entry.at, to: entry.at });
        break;
      case "again":
        for (const step of entry.steps) this.#close(step, entry.at);
        break;
      case "resume":
        this.loseOpen();
        break;
      case "done":
        for (const step of this.#segments.keys()) this.#close(step, entry.at);
        break;
      case "run":
      case "locks":
      case "job":
      case "expand":
        break;
    }
    this.#lastAt = Math.max(this.#lastAt, entry.at);
  }

  /** The run died: what was at work then is lost from its last sign of life on. */
  loseOpen(): void {
    for (const [step, segments] of this.#segments) {
      const last = segments.at(-1);
      if (last === undefined || last.to !== undefined) continue;
      segments.pop();
      segments.push({ ...last, kind: last.kind === "run" ? "lost" : last.kind, to: Math.max(last.from, this.#lastAt) });
      this.#segments.set(step, segments);
    }
  }

  #begin(step: number, segment: Segment): void {
    const segments = this.#segments.get(step) ?? [];
    const last = segments.at(-1);
    // Told again of the same wait: others are in the way now.
    const isSame = segment.kind === "wait" && last?.kind === "wait" && last.to === undefined;
    if (isSame) segments.pop();
    else this.#close(step, segment.from);
    segments.push(isSame ? { ...segment, from: last.from } : segment);
    this.#segments.set(step, segments);
  }

  #close(step: number, at: number): void {
    const last = this.#segments.get(step)?.at(-1);
    if (last !== undefined && last.to === undefined) last.to = Math.max(last.from, at);
  }
}
