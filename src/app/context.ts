/**
 * What a use case gets: the machine, where to tell what happens, how long to wait for locks, and when to stop.
 * A use case never prints; it returns its JSON document and emits events on the way.
 */
import type { Machine } from "../kernel/machine.ts";
import type { WaitNotice } from "../lock/manager.ts";
import type { ModelType } from "../model/type.ts";
import type { Marker } from "../repo/repository.ts";
import type { JournalEntry } from "../workflow/entries.ts";

export type AppEvent =
  | { readonly event: "lock.waiting"; readonly notice: WaitNotice }
  | { readonly event: "lock.granted"; readonly resources: readonly string[]; readonly waitedMs: number }
  | { readonly event: "warning"; readonly message: string; readonly hint?: string }
  | {
      readonly event: "run.started";
      readonly outputId: string;
      readonly model: string;
      readonly type: string;
      readonly method: string;
    }
  | { readonly event: "run.output"; readonly stream: "stdout" | "stderr"; readonly line: string }
  | { readonly event: "run.data"; readonly name: string; readonly version: number; readonly path: string }
  | {
      readonly event: "run.finished";
      readonly outputId: string;
      readonly status: "succeeded" | "failed" | "cancelled";
      readonly durationMs: number;
    }
  /** A line of a workflow run's journal, as it is written. */
  | { readonly event: "workflow.entry"; readonly run: string; readonly entry: JournalEntry }
  | {
      readonly event: "workflow.output";
      readonly run: string;
      readonly step: number;
      readonly stream: "stdout" | "stderr";
      readonly line: string;
    };

export interface AppContext {
  readonly machine: Machine;
  /** `--repo-dir`; otherwise `SWAMP_REPO_DIR`, otherwise upwards from the current folder. */
  readonly repoDir?: string | undefined;
  /** Model types beside the built-in ones. */
  readonly types?: readonly ModelType[] | undefined;
  /** Fires when the command must end (INT, TERM, HUP): its reason is a FenError `interrupted`. */
  readonly signal: AbortSignal;
  /** Milliseconds to wait for a lock; undefined = for ever. */
  readonly lockTimeoutMs: number | undefined;
  emit(event: AppEvent): void;
  /** Told of the repository's settings as soon as it is opened. */
  opened?(marker: Marker): void;
}
