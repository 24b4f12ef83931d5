/** What a run's journal says, line by line. Keys are short: a run of ten thousand steps writes twenty thousand lines. */
import type { WorkflowDefinition } from "./definition.ts";

/** A longer line is neither written nor read. */
export const maxLineBytes = 256 * 1024 * 1024;

/** Milliseconds since the epoch, by the clock of the machine that runs it. */
export type At = number;

export type EndStatus = "succeeded" | "failed" | "skipped" | "cancelled";
export type JobEnd = EndStatus;
export type RunEnd = "succeeded" | "failed" | "cancelled";

/** A version of data that a step left: id, name, version. */
export type DataReference = readonly [dataId: string, name: string, version: number];

export type JournalEntry =
  /** First line: everything that is needed to go on. `definition` is the workflow as it was read. */
  | {
      readonly e: "run";
      readonly at: At;
      readonly run: string;
      readonly definition: WorkflowDefinition;
      /** SHA-256 of the file's text. */
      readonly hash: string;
      readonly inputs: Readonly<Record<string, unknown>>;
      readonly tags: Readonly<Record<string, string>>;
      readonly by: Author;
      /** It runs what was evaluated last: the definition is that, and so are those of its models. */
      readonly evaluated?: true;
      /** The step of another run that called this one. */
      readonly parent?: { readonly run: string; readonly step: number };
    }
  | { readonly e: "resume"; readonly at: At; readonly by: Author }
  /** Locks of the whole run were granted after this wait. */
  | { readonly e: "locks"; readonly at: At; readonly models: number; readonly waitedMs: number }
  | { readonly e: "job"; readonly at: At; readonly j: number; readonly s: "running" | JobEnd; readonly why?: string }
  /** Step `n` is a fan-out; its expansions have the numbers from `first` on. An item that mustn't be stored is left out. */
  | {
      readonly e: "expand";
      readonly at: At;
      readonly n: number;
      readonly first: number;
      readonly names: readonly string[];
      readonly items?: readonly unknown[];
    }
  /** It waits for a lock; not durable. */
  | { readonly e: "wait"; readonly at: At; readonly n: number; readonly model: string; readonly by?: string }
  /** `out`: id of the output record that this attempt will have. `child`: the run that it starts. */
  | {
      readonly e: "start";
      readonly at: At;
      readonly n: number;
      readonly a: number;
      readonly model?: string;
      readonly out?: string;
      readonly child?: string;
    }
  /** One attempt failed, another follows. */
  | { readonly e: "retry"; readonly at: At; readonly n: number; readonly a: number; readonly error: string }
  | {
      readonly e: "end";
      readonly at: At;
      readonly n: number;
      readonly s: EndStatus;
      readonly allowed?: true;
      readonly error?: string;
      /** Why it was skipped. */
      readonly why?: string;
      readonly data?: readonly DataReference[];
    }
  /** Of these steps and jobs everything is forgotten: they begin again. */
  | { readonly e: "again"; readonly at: At; readonly steps: readonly number[]; readonly jobs: readonly number[] }
  /** `paused`: milliseconds in which nobody carried it out. */
  | { readonly e: "done"; readonly at: At; readonly s: RunEnd; readonly paused?: number };

/** Who runs it. */
export interface Author {
  readonly holder: string;
  readonly pid: number;
  readonly command: string;
}
