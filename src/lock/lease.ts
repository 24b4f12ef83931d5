/**
 * A lease is what `acquire` gives: proof of holding, a signal that fires when the hold is lost, and the way to give it back.
 * Model: held -> released, or held -> lost (break-glass, a replaced lock table). A lost lease never becomes held again;
 * everything that commits calls `assertHeld` first.
 */
import { FenError } from "../kernel/errors.ts";
import type { Machine } from "../kernel/machine.ts";
import { type Grant, type Holding, type LockMode, type Resource, resourceKey } from "../store/contract.ts";
import { type HandedDown, handDown } from "./hand-down.ts";

export interface LockRequest {
  readonly resource: Resource;
  readonly mode: LockMode;
  /** What people call the resource, in notices and errors. */
  readonly label?: string | undefined;
}

export interface Lease extends AsyncDisposable {
  /** What is held, in the order in which it was taken. */
  readonly grants: readonly Grant[];
  /** Fires once with a `FenError` (`lock_lost`) when any of the locks is lost. */
  readonly signal: AbortSignal;
  /** What its grants have in common. */
  readonly owner: string;
  /** What is held here and above: what the commands that the holder calls work within. */
  readonly holdings: readonly Holding[];
  /** What a child process must get, so that the locks live as long as it works and a fen that it calls works within them. */
  handDown(): HandedDown;
  /** The fencing token of one resource. */
  token(resource: Resource): number;
  /** Throws `lock_lost` unless the store says that every lock is still ours. Call before each commit. */
  assertHeld(): Promise<void>;
  /** What was committed last on one resource, as of the grant; see `Grant.head`. */
  head(resource: Resource): string | undefined;
  /**
   * Replaces the head of one resource; throws `lock_lost` where the store refused, and then nothing was changed. `last` gives that lock back in the
   * same write. Only where the store can fence (`Grant.commit`).
   */
  commit(resource: Resource, head: string, options?: { readonly last?: boolean }): Promise<void>;
  /** A lease for each grant, in its place: each is given back on its own, and hands down only itself and what is above. This one is spent. */
  split(): readonly Lease[];
  /** Holds on with as little as possible until `wake`: of many leases, few are worked under. */
  rest(): void;
  /** Before work begins under a lease that rested. */
  wake(): void;
  /** Gives everything back, last taken first. Idempotent. Never touches what is not ours. */
  release(): Promise<void>;
}

interface LeaseOptions {
  readonly owner: string;
  /** What the command that called us holds. */
  readonly above: readonly Holding[];
  readonly requests?: readonly LockRequest[];
}

function lockLost(grant: Grant, requests: readonly LockRequest[] = []): FenError {
  const key = resourceKey(grant.resource);
  const { label } = requests.find(({ resource }) => resourceKey(resource) === key) ?? {};
  return new FenError("lock_lost", `The lock on ${label ?? key} was taken away while the command worked.`, {
    hint: "Nothing was committed after that. Look who holds it now: fen datastore lock status",
    facts: { resource: key, nonce: grant.nonce, token: grant.token },
  });
}

/** How often the record is kept fresh for older clients, and how often a loss is looked for; what was proved so lately isn't asked again then. */
const refreshEveryMs = 10_000;
const checkEveryMs = 2000;
const recentMs = 1000;

export class HeldLease implements Lease {
  readonly grants: readonly Grant[];
  readonly owner: string;
  readonly #machine: Machine;
  readonly #options: LeaseOptions;
  readonly #lost = new AbortController();
  readonly #timers: Disposable[];
  /** Given back with their last commit. */
  readonly #left = new Set<Grant>();
  #released: Promise<void> | undefined;

  constructor(machine: Machine, grants: readonly Grant[], options: LeaseOptions) {
    this.grants = grants;
    this.owner = options.owner;
    this.#machine = machine;
    this.#options = options;
    this.#timers = [
      machine.clock.every(refreshEveryMs, () => void this.#refresh()),
      machine.clock.every(checkEveryMs, () => void this.#assertHeld(recentMs).catch(() => undefined)), // told through the signal
    ];
  }

  get holdings(): readonly Holding[] {
    return [...this.#options.above, ...this.grants.map((grant) => grant.holding)];
  }

  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  handDown(): HandedDown {
    return handDown(this.holdings);
  }

  token(resource: Resource): number {
    return this.#grantOf(resource).token;
  }

  head(resource: Resource): string | undefined {
    return this.#grantOf(resource).head;
  }

  async commit(resource: Resource, head: string, { last = false } = {}): Promise<void> {
    const grant = this.#grantOf(resource);
    if (grant.commit === undefined) throw new Error(`nothing can be committed to the lock of ${resourceKey(resource)}`);
    if (last) this.#left.add(grant); // at once: it may be checked while the write is on its way
    if (!(await grant.commit(head, { last }))) throw this.#lose(grant);
  }

  #grantOf(resource: Resource): Grant {
    const key = resourceKey(resource);
    const grant = this.grants.find((one) => resourceKey(one.resource) === key);
    if (grant === undefined) throw new Error(`the lease doesn't hold ${key}`);
    return grant;
  }

  #lose(grant: Grant): unknown {
    this.#lost.abort(lockLost(grant, this.#options.requests));
    return this.#lost.signal.reason;
  }

  assertHeld(): Promise<void> {
    return this.#assertHeld(0);
  }

  async #assertHeld(provedMs: number): Promise<void> {
    if (this.#lost.signal.aborted) throw this.#lost.signal.reason;
    if (this.#released !== undefined) throw new Error("the lease was given back");
    for (const grant of this.grants) {
      if (this.#left.has(grant) || (await grant.check(provedMs)) === "held") continue;
      if (this.#released === undefined && !this.#left.has(grant)) throw this.#lose(grant);
    }
  }

  rest(): void {
    for (const grant of this.grants) grant.rest?.();
  }

  wake(): void {
    for (const grant of this.grants) grant.wake?.();
  }

  split(): readonly Lease[] {
    if (this.#released !== undefined || this.#left.size > 0) throw new Error("given back: it can't be split");
    this.#stop();
    this.#released = Promise.resolve();
    return this.grants.map((grant) => new HeldLease(this.#machine, [grant], this.#options));
  }

  release(): Promise<void> {
    this.#released ??= this.#giveBack();
    return this.#released;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  #stop(): void {
    for (const timer of this.#timers) timer[Symbol.dispose]();
  }

  async #giveBack(): Promise<void> {
    this.#stop();
    const failures: unknown[] = [];
    for (const grant of this.grants.toReversed()) await grant.release().catch((error: unknown) => failures.push(error));
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, "Some locks could not be given back cleanly.");
  }

  async #refresh(): Promise<void> {
    for (const grant of this.grants) {
      // A record that can't be written now is tried again at the next refresh; the kernel lock doesn't depend on it.
      await grant.refresh().catch(() => undefined);
    }
  }
}
