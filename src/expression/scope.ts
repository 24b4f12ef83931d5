/** What an expression sees: values, and ports that are asked only for what it names. */
import type { DataSource, ModelSource } from "./sources.ts";

/** What is left out isn't there: an expression that uses it is an error that says what is. */
export interface Scope {
  readonly inputs?: Readonly<Record<string, unknown>> | undefined;
  readonly self?: Readonly<Record<string, unknown>> | undefined;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly models?: ModelSource | undefined;
  readonly data?: DataSource | undefined;
  /** Wall clock, milliseconds. */
  readonly now?: (() => number) | undefined;
  /** Values that come from the environment or a vault: `inputs.token`, `self.globalArguments.token`. They aren't stored and not shown in errors. */
  readonly tainted?: ReadonlySet<string> | undefined;
  /**
   * Values that nobody can give here: `inputs.pkg`. Texts that use them stay as they are written, and their places are told. Undefined where
   * everything must be resolved.
   */
  readonly open?: ReadonlySet<string> | undefined;
  /** Only what may be stored is wanted: what comes from the environment or a vault isn't computed, its texts stay as they are written. */
  readonly storableOnly?: boolean | undefined;
  /** What has been read already: expressions that share one see the same data. */
  readonly memory?: Memory | undefined;
  /** Global arguments whose evaluation asks for this one, outermost first. One that comes twice is a circle. */
  readonly chain?: readonly string[] | undefined;
}

export type Memory = Map<string, Promise<unknown>>;
