/** The types of `fen/lock`, all of them: this file imports nothing, as it is shipped as it stands. */

/** `shared` admits other shared holders, `exclusive` none. */
export type Mode = "shared" | "exclusive";

export interface Request {
  /** "printer", "host/web-01", ...; "*" is everything: it waits for all holders, and newcomers wait for it. */
  readonly resource: string;
  readonly mode: Mode;
}

export interface AcquireOptions {
  /** Milliseconds to wait for all requests together; 0 = one attempt; for ever if not given. */
  readonly timeout?: number | undefined;
  /** Leaves the queue at once when it fires; `acquire` then rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called after 250 ms of waiting, and again when what is waited for changes. */
  readonly onWait?: ((wait: Wait) => void) | undefined;
  /** A lease that the asker works within: what it covers is granted at once, what would wait for it is refused (`lock_would_deadlock`). */
  readonly within?: Lease | undefined;
}

/** Who holds or waits, as it said itself. For people: none of it decides anything. */
export interface Holder {
  /** user@host */
  readonly holder: string;
  readonly pid: number;
  readonly command?: string | undefined;
  /** ISO 8601 */
  readonly since?: string | undefined;
  readonly nonce: string;
}

export interface Wait {
  readonly resource: string;
  /**
   * holder, waiter: it has the lock, or comes before us. structural: "*" is held or awaited. orphan: its holder died, but a program that it started still
   * works. foreign: a lock file of a program that knows only lock files.
   */
  readonly reason: "holder" | "waiter" | "structural" | "orphan" | "foreign" | "unknown";
  readonly by?: Holder | undefined;
  /** 1 = next in line. */
  readonly place: number;
  readonly waitedMs: number;
  /** Until `lock_timeout`; not given = never. */
  readonly remainingMs?: number | undefined;
}

export interface Lease extends AsyncDisposable {
  /** Fires once with a LockError (`lock_lost`) when any of the locks was taken away. Give it to the work. */
  readonly signal: AbortSignal;
  /**
   * The fencing token: a whole number that only grows, whoever holds the lock. Show it with each write, and let the receiver refuse a smaller one.
   * `resource` may be left out where one was asked for.
   */
  token(resource?: string): number;
  /** Rejects with `lock_lost` unless every lock is still ours. Call it before what can't be undone. */
  assertHeld(): Promise<void>;
  /**
   * What a child process must get, so that the lock lives as long as the child works, even if we are killed: the descriptors as `stdio` from 3 on, and
   * the variables, by which a program that uses fen/lock or fen works within this lease.
   */
  inherit(): Inheritance;
  /** Gives everything back. Idempotent; `await using` calls it. */
  release(): Promise<void>;
}

export interface Inheritance {
  readonly descriptors: readonly number[];
  readonly env: Readonly<Record<string, string>>;
}

export interface Held extends Partial<Holder> {
  readonly resource: string;
  readonly state: "held" | "orphaned" | "foreign" | "stale" | "unreadable";
  readonly mode?: Mode | undefined;
  readonly token?: number | undefined;
  /** Processes that hold it, where the system can tell. */
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
}

export interface Waiting extends Holder {
  readonly resource: string;
  readonly mode?: Mode | undefined;
  readonly place: number;
}

export interface Status {
  readonly held: readonly Held[];
  readonly waiting: readonly Waiting[];
}

/** What every failure of this library is: match on `code` (`lock_timeout`, `lock_lost`, `lock_would_deadlock`, `lock_wait_cycle`, `locks_unsupported`, `name_invalid`, `disk_full`, ...). */
export interface LockError extends Error {
  readonly code: string;
  /** What to do next. */
  readonly hint: string | undefined;
  /** True where the same call may succeed later. */
  readonly retryable: boolean;
  readonly facts: Readonly<Record<string, unknown>>;
}

export interface Locks {
  /** All of the requests or none, in one order that is the same everywhere. First come, first served, for each resource. */
  acquire(requests: readonly Request[], options?: AcquireOptions): Promise<Lease>;
  /** Who holds and who waits, without taking any lock. */
  status(): Promise<Status>;
  /**
   * The last resort: takes the lock from the holder with this nonce (see `status`), which fails its next `assertHeld`. False where that one holds nothing.
   * Without a nonce: removes a record that can't be read.
   */
  release(resource: string, nonce?: string): Promise<boolean>;
}

export interface LocksOptions {
  /** What others see as "who has it"; the script's name if not given. Must not hold secrets. */
  readonly command?: string | undefined;
  /**
   * "published": while a lock is held, a JSON record of it lies at `data/<name>/.lock` (`.datastore.lock` for "*"), and such records of others are
   * honoured: for programs that know nothing but these files. Say so to lock the models of a fen datastore. Default: "none".
   */
  readonly records?: "published" | "none" | undefined;
}
