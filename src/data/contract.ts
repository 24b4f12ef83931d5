/**
 * What differs between a datastore in a folder and one in an object store: how committed versions are read, and how what a run has staged becomes
 * versions. Everything else (names, renames, expiry, staging, records) is written once, above it.
 *
 * Reads take no lock and see only what was committed. Changes are for whoever holds the model's lock (`held`), and are fenced by it.
 */
import type { Lease } from "../lock/lease.ts";
import type { LocalFiles, Owned } from "../store/contract.ts";
import type { ModelRef } from "./layout.ts";
import type { Metadata } from "./metadata.ts";

export interface VersionRef {
  readonly model: ModelRef;
  readonly name: string;
  readonly number: number;
}

/** What shows that the model is ours. */
export type Held = Pick<Lease, "assertHeld" | "commit" | "grants" | "signal">;

export interface CommitOptions {
  /** Nothing else is done under the lock: it may be given back in the same write, where the store can. */
  readonly last?: boolean;
  /**
   * What is to be written elsewhere of the run, where that is as far away as the data: asked while the contents are on their way, with what they will be, and
   * waited for before the commit; once more, where their numbers turned out to be others. A store that is near doesn't ask.
   */
  beside?(versions: readonly Metadata[]): Promise<void>;
}

/** A version that a run was to leave, as its record names it. */
export interface Named {
  readonly dataId: string;
  readonly name: string;
  readonly version: number;
}

export type VersionName = Pick<Metadata, "name" | "version">;

/** A run that is at work. */
export type Preparing = Pick<StagedRun, "model" | "folder" | "owner">;

export interface VersionStore {
  /** Where runs on this machine write their outputs before these are versions. */
  readonly local: LocalFiles;
  /** True where the very folder that a run has staged becomes data: it takes contents that aren't written yet, and leaves nothing of it. */
  readonly takesFolder: boolean;

  // reads

  /** Names of a model's data, tombstones included, in code point order. */
  names(model: ModelRef): Promise<readonly string[]>;
  /** Version numbers that are committed, ascending. */
  numbers(model: ModelRef, name: string): Promise<readonly number[]>;
  /** The newest version; undefined where there is none. */
  latestNumber(model: ModelRef, name: string): Promise<number | undefined>;
  /** Undefined where there is no such version. Throws `data_corrupt`. */
  metadata(version: VersionRef): Promise<Metadata | undefined>;
  /** Bytes of the content. */
  size(version: VersionRef): Promise<number>;
  /** The whole content, or undefined where it is missing. Larger than `maxBytes`: `file_too_large`. */
  read(version: VersionRef, options: { readonly maxBytes: number }): Promise<Uint8Array | undefined>;
  /** The content, piece by piece. */
  stream(version: VersionRef): AsyncIterable<Uint8Array>;
  /** Where a version, and its content, are: absolute paths or URLs, for people and programs. */
  locate(version: VersionRef): { readonly version: string; readonly content: string };
  /** All models that have data. */
  models(): Promise<readonly ModelRef[]>;
  /**
   * Whether what a run was to leave was committed, all of it or nothing, whatever was removed since. A no is as of now: a run that is still at work may
   * commit later.
   */
  wasCommitted(model: ModelRef, versions: readonly Named[]): Promise<boolean>;

  // changes

  /**
   * While a run is at work: does what of its commit can be done then, for the outputs of these names. Their folders are made; that of an output that doesn't come must be
   * gone at the commit. Throws where something can't be made: the commit does without. Absent where it would save nothing.
   */
  prepare?(run: Preparing, names: readonly string[], held: Held): Promise<void>;
  /**
   * Makes everything that a run has staged versions, numbered above all that exist, or nothing: `held` is asked just before. Gives what became of each,
   * in the order of staging. Throws `lock_lost`, with the fact `committed` where it is committed all the same and the next holder completes it.
   * A power cut before `keep` may undo that they are versions, not the commit: then the next holder makes them versions again.
   */
  commit(run: StagedRun, held: Held, options?: CommitOptions): Promise<readonly Metadata[]>;
  /** Makes durable what `commit` has left to do: as versions they survive a power cut once this resolves. Needs no lock. */
  keep(model: ModelRef, versions: readonly VersionName[]): Promise<void>;
  /**
   * Settles what former runs have left. Only for whoever has the model exclusively and alone. `told` hears of each before the last trace of it is removed: who
   * dies in between finds it again.
   */
  settle(model: ModelRef, held: Held, told?: (one: Settled) => Promise<void>): Promise<readonly Settled[]>;
  /** Removes versions; where none is left, the name. Gives the bytes of their content. */
  remove(
    model: ModelRef,
    name: string,
    options: { readonly numbers: readonly number[]; readonly held: Held },
  ): Promise<number>;
  /** Removes all data of a model, staged outputs included. */
  forget(model: ModelRef, held: Held): Promise<void>;
  /**
   * Brings versions from elsewhere, with the numbers that they have; again does no harm. What has the same number and other content is left as it is, and
   * thrown as `data_exists`. All of a model's are there once this resolves; before, some may be. Only under the datastore's exclusive lock.
   */
  bring(model: ModelRef, versions: readonly Brought[], held: Held): Promise<void>;
  /** Removes what nobody reads, left by writers that died. Only under the datastore's exclusive lock. */
  tidy(): Promise<void>;
}

/** The outputs of one run, written completely, in a folder of their own in `local`: `<folder>/<name>/raw` each. */
export interface StagedRun {
  readonly model: ModelRef;
  readonly runId: string;
  readonly folder: string;
  readonly outputs: readonly Draft[];
  /** Only for who `takesFolder`: what is to be written into `raw`, by name of the output. */
  readonly contents?: ReadonlyMap<string, Uint8Array>;
  /** Only for who `takesFolder`: what tells that the run lives, where no output has become that yet. */
  readonly owner?: string | undefined;
  /** Only for who `takesFolder`, where nothing is in the folder: it gets that file, and who owns it is told here. */
  owned?(owned: Owned): void;
}

/** A version without its number. */
export type Draft = Omit<Metadata, "version">;

export interface Settled {
  readonly runId: string;
  /** True where it had committed and its data is complete now; false where what it had made was removed or put aside. */
  readonly committed: boolean;
  /** What it has committed, where the store knows. */
  readonly versions?: readonly Metadata[];
  /** Where what it had committed is, because a damaged disk keeps it from becoming data. */
  readonly keptAside?: string;
}

/** A version from elsewhere; its content is a file in `local` until it is brought. Size and hash are known, and true. */
export interface Brought {
  readonly metadata: Metadata & { readonly size: number; readonly checksum: string };
  readonly file: string;
}
