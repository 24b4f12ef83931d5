/**
 * The contract between fen and the place where bytes and locks live. A driver (filesystem, later S3, memory
 * in tests) supplies primitives that make one attempt; ordering, waiting, back-off, cancelling and explaining
 * are written once, above, in `lock/` and `data/`.
 *
 * Paths are relative to the datastore, with `/`, never with `..`; a driver refuses others (`path_escapes`).
 * Failures: `FenError` of kind `unavailable`. A failed read is never an absence: only a clean "not there" is.
 */

import type { NumberStep } from "../kernel/disk-steps.ts";
import type { FenError } from "../kernel/errors.ts";

export interface Datastore {
  /** "filesystem", "s3", ... */
  readonly kind: string;
  /** Where it is, for people: an absolute path or a URL without credentials. */
  readonly location: string;
  readonly files: Files;
  /** Of this machine alone: what runs work on before it is in the datastore. In a folder, the datastore itself. */
  readonly local: LocalFiles;
  readonly journals: Journals;
  readonly locks: LockDriver;
  /** So long it should be between two looks at what others do, milliseconds: each costs something. */
  readonly lookEveryMs: number;
  /** Throws where what it is kept in can't do what a datastore needs; whoever writes is told anyway. */
  suits?(): Promise<unknown>;
}

// ------------------------------------------------------------------ bytes

export interface Entry {
  readonly name: string;
  readonly kind: "file" | "folder" | "link" | "other";
}

export interface FileInfo {
  readonly size: number;
  /** Wall clock of the store, milliseconds. */
  readonly modifiedAt: number;
  readonly kind: "file" | "folder" | "other";
}

export interface Files {
  /** The whole file, or undefined where there is none. Larger than `maxBytes`: `file_too_large`. */
  read(path: string, options: { readonly maxBytes: number }): Promise<Uint8Array | undefined>;
  /** The bytes from `start` on; holds at most a chunk in memory. Throws where there is no file. */
  stream(path: string, options?: { readonly start?: number }): AsyncIterable<Uint8Array>;
  /** Sorted by code point; [] where there is no folder. Links are not followed. */
  list(path: string): Promise<readonly Entry[]>;
  stat(path: string): Promise<FileInfo | undefined>;
  /**
   * Writes a whole file or nothing: readers see the old content or the new, never a part. Durable (survives
   * a power cut) once resolved, unless `durable` is false. Makes missing folders.
   */
  write(path: string, bytes: Uint8Array | string, options?: { readonly durable?: boolean }): Promise<void>;
  /**
   * Opens a new file for appending (fails where one exists). Makes missing folders. Private to its writer until shared by name. `from`: an owned file of
   * ours, in which nothing was written: where the system lets a file have two names it becomes this one, and keeps its own. That spares making one, and
   * removing it.
   */
  create(path: string, options?: { readonly from?: string | undefined }): Promise<Appender>;
  /** Opens a file that is there for appending at its end. Throws where there is none. */
  reopen(path: string): Promise<Appender>;
  /** Makes files that were written without that durable, and their names. One that has been removed meanwhile needn't be. */
  sync(paths: readonly string[]): Promise<void>;
  /** For who writes hundreds of small files that nobody waits for: they are written beside the work of who asks. Absent where that is of no use; undefined where there is nobody to do it. */
  later?(): LaterFiles | undefined;
  /** Removes a file or a whole folder; true where something was there. */
  remove(path: string): Promise<boolean>;
  /** The absolute path (or URL) of `path`, for people and for `path` fields in JSON. */
  locate(path: string): string;
}

export interface LaterFiles {
  /** As `Files.write`, soon: who reads meanwhile may find the old content, or none. What fails is thrown by `settled`. */
  write(path: string, text: string): void;
  /** Resolves when everything written so far survives a power cut. Throws the first failure. */
  settled(): Promise<void>;
}

/** Files on this machine: what needs renames, or a process that others can see alive. */
export interface LocalFiles extends Files {
  /** As `write`, but only into a folder that is there; false where it isn't (nothing is made then). */
  replace(path: string, bytes: Uint8Array | string): Promise<boolean>;
  /**
   * Makes everything in a folder durable, contents and names, and the folders above it; not its own name (`adopt` does that).
   * Names that begin with a dot are scratch and left out. `files`: all that are in it, for whoever knows them.
   */
  settle(path: string, files?: readonly string[]): Promise<void>;
  /**
   * Moves a folder to `to` in one step, durably unless `durable` is false; `taken` where `to` already exists, `absent` where `from` doesn't
   * (nothing changed then). This is what makes a commit, and a data version, visible: all of it or none. Makes missing folders.
   */
  adopt(from: string, to: string, options?: { readonly durable?: boolean }): Promise<"adopted" | "taken" | "absent">;
  /** Makes folders that were adopted without that durable: their names, and those of the folders above. One that has been removed meanwhile needn't be. */
  keep(paths: readonly string[]): Promise<void>;
  /**
   * Makes, empty, what `create` will be asked for: for who has time now and will have none then. One that isn't asked for is for the caller to remove. Does nothing
   * where it is there; throws where it can't be made: `create` tries itself then. Absent where that saves nothing.
   */
  prepare?(path: string, options?: { readonly from?: string | undefined }): Promise<void>;
  /** Makes a file that tells others that we live, until it is let go or our process ends. Makes missing folders. */
  own(path: string): Promise<Owned>;
  /** What is known of whoever made `path` by `own`. `dead` is certain; `absent`: there is no such file. */
  owner(path: string): Promise<"alive" | "dead" | "absent">;
  /**
   * Does several things one after the other, up to the first that fails, or adopts nothing: gives what came of each that was done. Another thread may do them
   * (see `later`), which spares the one that asks nearly all of the work.
   */
  inOrder(steps: readonly FileStep[]): Promise<StepsDone>;
}

/** One of several things to do, as the method of that name does it. */
export type FileStep =
  | { readonly do: "own"; readonly path: string }
  /** A new file with all that is to be in it, closed; not durable yet. */
  | {
      readonly do: "create";
      readonly path: string;
      readonly content: Uint8Array | string;
      readonly from?: string | undefined;
    }
  /** The same, with a number in it. */
  | NumberStep
  | { readonly do: "settle"; readonly path: string; readonly files: readonly string[] }
  | { readonly do: "adopt"; readonly from: string; readonly to: string; readonly durable: boolean }
  /** Not durable. */
  | { readonly do: "write"; readonly path: string; readonly text: string }
  | { readonly do: "stat"; readonly path: string }
  | { readonly do: "remove"; readonly path: string };

/** What came of a step: only what a step of its kind gives. */
export interface StepDone {
  /** Of `own`. */
  readonly owned?: Owned;
  /** Of `number`: the one that was written. */
  readonly number?: number;
  /** Of `adopt`. */
  readonly outcome?: "adopted" | "taken" | "absent";
  /** Of `stat`. */
  readonly isThere?: boolean;
}

export interface StepsDone {
  readonly done: readonly StepDone[];
  /** What came of the next one, where that failed. */
  readonly failure?: FenError;
}

/** Journals of runs, and who carries them out: written by one command, read by all, wherever they are. Paths that are owned aren't journals. */
export type Journals = Pick<LocalFiles, "read" | "stat" | "create" | "remove" | "locate" | "own" | "owner"> & {
  /** As `Files.stream`. `size`: as `stat` has told; who doesn't need more than that spares a second look. */
  stream(path: string, options?: { readonly start?: number; readonly size?: number }): AsyncIterable<Uint8Array>;
  /** As `Files.reopen`, by who has read `size` bytes of it; `lock_lost`, now or at the first `sync`, where others have written since. */
  reopen(path: string, options?: { readonly size?: number }): Promise<Appender>;
  /** A whole journal, from elsewhere. */
  write(path: string, bytes: Uint8Array): Promise<void>;
};

/** See `LocalFiles.own`. */
export interface Owned {
  /** Lets go of it; the file stays until its folder is removed. `now`: where it was removed, the room that it took is free when this returns. Idempotent. */
  letGo(options?: { readonly now?: boolean }): void;
}

/** A file being written front to back. Bytes are handed to the operating system before `append` returns. */
export interface Appender {
  readonly size: number;
  append(bytes: Uint8Array | string): void;
  /** Resolves when what was appended so far survives a power cut, and the file's name too. */
  sync(): Promise<void>;
  /** Makes what was appended durable (unless `durable` is false) and closes. Idempotent. */
  close(options?: { readonly durable?: boolean }): Promise<void>;
}

// ------------------------------------------------------------------ locks

/** The datastore is the parent of every model: a lock on it excludes all of them. */
export type Resource =
  | { readonly kind: "datastore" }
  | { readonly kind: "model"; readonly type: string; readonly id: string };

/** `shared` admits other shared holders, `exclusive` none. Holding a model implies the intention on the datastore. */
export type LockMode = "shared" | "exclusive";

/** What a lock record says of a holder or a waiter. Written for people and for older clients; decides nothing. */
export interface LockRecord {
  /** user@host */
  readonly holder: string;
  readonly hostname: string;
  readonly pid: number;
  /** ISO 8601 */
  readonly acquiredAt: string;
  readonly ttlMs: number;
  /** Identity of this one acquisition. */
  readonly nonce: string;
  /** Fencing token; grows with every exclusive grant of the resource. Absent in records of older clients. */
  readonly token?: number;
  readonly mode?: LockMode;
  readonly command?: string;
  /** ISO 8601: since when it held or waited (`acquiredAt` is kept fresh for older clients). */
  readonly since?: string;
  /** What all locks and waits of one command have in common. */
  readonly owner?: string;
  /** Owners (of older records: nonces) of the locks that it works within, its own included: what wait cycles are found by. */
  readonly within?: readonly string[];
}

/** Who asks: becomes part of the record. */
export interface Claim {
  readonly holder: string;
  readonly hostname: string;
  readonly pid: number;
  readonly command: string;
  readonly nonce: string;
  /** The same in all claims of one command. */
  readonly owner: string;
  /** ISO 8601, when the request was made. */
  readonly since: string;
  /** What the asker holds already, by itself or through the command that called it. */
  readonly within: readonly Holding[];
  /**
   * The one of `within` that covers the request. The place is then one among those who share that holding (a parent's two children): they exclude
   * each other, and the holding keeps everybody else out.
   */
  readonly under?: Holding;
}

/** A lock that somebody holds, as it is handed down to the commands that it calls. */
export interface Holding {
  readonly resource: Resource;
  readonly mode: LockMode;
  readonly nonce: string;
  readonly token: number;
  /** The process that holds it. */
  readonly pid: number;
  /** As in the claim. */
  readonly owner?: string;
  /** The descriptor in this process that carries the lock, where the driver has such. */
  readonly descriptor?: number;
  /** The nonce of the holding that covers this one. */
  readonly under?: string;
}

/** What a caller says that it handed down to us, before and after the store was asked. */
export interface Inherited {
  /** Live, and truly handed down. */
  readonly holdings: readonly Holding[];
  /** Held by a command above us, but without what would let us share it (a program between dropped the descriptor, or the holder died). */
  readonly unshared: readonly Holding[];
}

export type BlockedBy =
  /** `resource`: what it holds, where that is another than the one asked for (a model, where the datastore is wanted). */
  | { readonly kind: "holder"; readonly record: LockRecord; readonly resource?: Resource }
  | { readonly kind: "waiter"; readonly record: LockRecord }
  /** Our predecessor is dead but processes that it started still work under its lock. `resource` as of a holder. */
  | {
      readonly kind: "orphan";
      readonly record?: LockRecord;
      readonly resource?: Resource;
      readonly processes: readonly ProcessInfo[];
    }
  /** A structural command holds or awaits the whole datastore. */
  | { readonly kind: "structural"; readonly record: LockRecord }
  /** A fresh record of a client that knows only lock files, or one that can't be read. */
  | { readonly kind: "foreign"; readonly record?: LockRecord; readonly path: string }
  | { readonly kind: "unknown" };

export interface ProcessInfo {
  readonly pid: number;
  readonly command: string;
}

export type Attempt =
  | { readonly outcome: "granted"; readonly grant: Grant }
  | {
      readonly outcome: "blocked";
      readonly resource: Resource;
      readonly by: BlockedBy;
      /** 1 = next in line. */
      readonly place: number;
    };

export interface LockDriver {
  /**
   * Takes a place in the queue of one resource. Doesn't wait for other holders. The cost doesn't grow with the number
   * of models or files in the datastore. First come, first served: a place taken later is never granted before
   * an earlier, conflicting one that is still alive.
   */
  join(resource: Resource, mode: LockMode, claim: Claim): Promise<Place>;
  /**
   * What is held and awaited now, without taking any lock: everything, of one resource, or only what living commands hold and await (that costs
   * as much as there are of them; "all" also looks for records that were left behind).
   */
  inspect(scope: "all" | "live" | Resource): Promise<LockTable>;
  /** Checks what a caller says that it handed down, against the live locks. Anything that isn't so is left out. */
  inherit(said: readonly Holding[]): Promise<Inherited>;
  /** So many files each lock keeps open: while many are taken together, and from then on. None where a driver says nothing. */
  readonly filesALock?: { readonly taking: number; readonly held: number };
  /** Where the store can fence: what was committed last on a resource, read without a lock. */
  head?(resource: Resource): Promise<string | undefined>;
  /**
   * Removes what dead commands left that is in nobody's way, where a driver has such. Only under the datastore's exclusive lock. Takes as long as it
   * takes to tell the dead from the living. Gives the number of what was removed.
   */
  tidy?(): Promise<number>;
  /**
   * Break-glass: takes the lock from the holder with this nonce; without a nonce, removes a record that can't be read. Needs no lock itself.
   * The former holder fails its next `check`. `false` where that holds nothing (any more).
   */
  revoke(resource: Resource, nonce: string | undefined): Promise<boolean>;
}

/** A place in one queue. Dies with its process, however that ends. */
export interface Place {
  /** One attempt; never waits. After `granted` the place is spent and the grant owns everything. */
  attempt(): Promise<Attempt>;
  /** Resolves when another attempt may succeed or tell more, after `maxMs` at the latest; rejects with `signal.reason`. */
  changed(maxMs: number, signal: AbortSignal): Promise<void>;
  /** Gives the place up. Idempotent; never throws for a place that is already gone. */
  leave(): Promise<void>;
}

export interface Grant {
  readonly resource: Resource;
  readonly mode: LockMode;
  readonly nonce: string;
  readonly token: number;
  /** Nobody may work under it before this resolves: what keeps its token from being given out twice is on its way to the disk. Who takes many waits once. */
  readonly ready?: Promise<void> | undefined;
  /** What is handed down to commands that the holder calls; a child must inherit the descriptor, so that the lock lives as long as the work. */
  readonly holding: Holding;
  /** Asks the store: is it still ours? Cheap; called before every commit. What was proved within `recentMs` (0) needs no new proof. */
  check(recentMs?: number): Promise<"held" | "lost">;
  /**
   * Where the store can fence (`commit` is there too): the text in the lock's record, the root of what the lock protects, as it was at the grant or
   * as we committed it. Whoever shares the lock may have changed it since.
   */
  readonly head?: string | undefined;
  /**
   * Puts `head`, a text that is used once, in its place, if the lock is still ours: false where it isn't, and then nothing was changed, however late
   * the write comes. `last` gives the lock back in the same write; only `release` may follow. Throws where nobody knows what became of it. For
   * exclusive locks.
   */
  commit?(head: string, options?: { readonly last?: boolean }): Promise<boolean>;
  /** Keeps the record fresh for older clients. */
  refresh(): Promise<void>;
  /**
   * Where many are held and few worked under: holds on with as little as it can, until `wake`. Nothing can be handed down meanwhile. Drivers
   * that have nothing to save leave both out.
   */
  rest?(): void;
  /** What the holder calls may inherit it again. Does nothing to one that doesn't rest. */
  wake?(): void;
  /** Gives the lock back if it is still ours; never touches a successor's. Idempotent. */
  release(): Promise<void>;
}

export interface HeldLock {
  readonly resource: Resource;
  readonly state: "held" | "orphaned" | "foreign" | "stale" | "unreadable";
  readonly record?: LockRecord;
  /** Processes that hold it, where the system can tell. */
  readonly processes: readonly ProcessInfo[];
  /** Path of the record, for people. */
  readonly path: string;
  /** The nonce of the holding under which it is held (a command that another called). */
  readonly under?: string;
}

export interface WaitingLock {
  readonly resource: Resource;
  readonly record: LockRecord;
  readonly place: number;
  readonly under?: string;
}

export interface LockTable {
  readonly held: readonly HeldLock[];
  readonly waiting: readonly WaitingLock[];
}

/** What a record says of the locks that its owner works within. */
export function withinOf({ within }: Claim): string[] {
  return [...new Set(within.map((holding) => holding.owner ?? holding.nonce))];
}

export function sameResource(a: Resource, b: Resource): boolean {
  return resourceKey(a) === resourceKey(b);
}

/** `type/id`, or "datastore": the key that locks are ordered by (code point order, the same everywhere). */
export function resourceKey(resource: Resource): string {
  return resource.kind === "datastore" ? "datastore" : `${resource.type}/${resource.id}`;
}
