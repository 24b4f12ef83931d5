/**
 * The locks of one workflow run: a lease for each model, given back when nothing of the run wants the model any more. What is known before the run is taken at once, in
 * order; what is known later is taken beside it.
 */
import type { Lease, LockRequest } from "../lock/lease.ts";
import type { AcquireOptions, WaitNotice } from "../lock/manager.ts";
import { type Holding, resourceKey } from "../store/contract.ts";
import { Stops } from "../workflow/stops.ts";

export type TakeLocks = (
  requests: readonly LockRequest[],
  options: Pick<AcquireOptions, "signal" | "onWait" | "beside">,
) => Promise<Lease>;

/** A use of a model that the run will make, or may make. */
export interface PlannedUse {
  readonly request: LockRequest;
  isOver: boolean;
}

/** A lock that is being taken, and who of the run waits along. */
interface Pending {
  readonly lease: Promise<Lease>;
  readonly told: Set<NonNullable<AcquireOptions["onWait"]>>;
  notice?: WaitNotice;
}

export class RunLocks implements AsyncDisposable {
  readonly #take: TakeLocks;
  readonly #together: boolean;
  readonly #leases = new Map<string, Lease>();
  readonly #pending = new Map<string, Pending>();
  readonly #uses = new Map<string, number>();
  readonly #failures: unknown[] = [];
  /** Locks that may have gone back with a commit: nobody is given them any more. */
  readonly #spent = new Set<string>();
  /** Locks on their way back, by resource. */
  readonly #releasing = new Map<string, Promise<void>>();
  readonly #stops = new Stops();
  #owner: string | undefined;

  /** `together`: what it holds is held until later steps have had it too, so that two runs can wait for each other. */
  constructor(take: TakeLocks, options: { readonly together: boolean }) {
    this.#take = take;
    this.#together = options.together;
  }

  /** How many models are held. */
  get size(): number {
    return this.#leases.size;
  }

  /** Takes everything that the uses want, or nothing. */
  async takeAll(uses: readonly PlannedUse[], options: Pick<AcquireOptions, "signal">): Promise<void> {
    const open = uses.filter((use) => !use.isOver);
    for (const { request } of open) this.#count(request, 1);
    if (open.length === 0) return;
    const lease = await this.#take(
      open.map(({ request }) => request),
      options,
    );
    this.#owner = lease.owner;
    for (const one of lease.split()) {
      one.rest();
      const [grant] = one.grants;
      if (grant !== undefined) this.#leases.set(resourceKey(grant.resource), one);
    }
  }

  /** The lease for one use more, taken now where the run doesn't hold it (or only to read). `done` ends the use. */
  async hold(request: LockRequest, options: Pick<AcquireOptions, "signal" | "onWait">): Promise<Lease> {
    const key = resourceKey(request.resource);
    this.#count(request, 1);
    try {
      for (;;) {
        await this.#waitAlong(this.#pending.get(key), options);
        await this.#releasing.get(key);
        const lease = this.#leases.get(key);
        if (lease !== undefined && serves(lease, request)) {
          lease.wake();
          return lease;
        }
        if (this.#pending.has(key)) continue;
        try {
          return await this.#takeFor(key, request, options);
        } finally {
          this.#pending.delete(key);
        }
      }
    } catch (error) {
      await this.done(request);
      throw error;
    }
  }

  /**
   * For who holds a model alone, where a lock can go back with a commit: whether nothing of the run wants it but this very use, and what was planned of it.
   * Then it may go back with the next commit, and goes back with `done` at the latest; who wants it after that takes it anew.
   */
  letLast(request: LockRequest, planned: PlannedUse | undefined): boolean {
    const key = resourceKey(request.resource);
    const isPlanned = planned?.isOver === false && resourceKey(planned.request.resource) === key;
    if (request.mode !== "exclusive" || (this.#uses.get(key) ?? 0) > (isPlanned ? 2 : 1)) return false;
    if (this.#leases.get(key)?.grants.every(({ commit }) => commit !== undefined) !== true) return false;
    this.#spent.add(key);
    return true;
  }

  /** One use less; the last one gives the lock back. */
  async done(request: LockRequest): Promise<void> {
    const key = resourceKey(request.resource);
    if (this.#count(request, -1) > 0 && !this.#spent.has(key)) return;
    this.#spent.delete(key);
    await this.#giveBack(key);
  }

  async end(use: PlannedUse): Promise<void> {
    if (use.isOver) return;
    use.isOver = true;
    await this.done(use.request);
  }

  /** Gives back what is left. Throws what went wrong while locks were given back, now or before. */
  async release(): Promise<void> {
    for (const key of [...this.#leases.keys()]) await this.#giveBack(key);
    await Promise.all(this.#releasing.values());
    const failures = this.#failures.splice(0); // told once
    if (failures.length > 0)
      throw new AggregateError(failures, "Some locks could not be given back cleanly.", { cause: failures[0] });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  /** What it waits for is told to all who wait along: each lets go of its slot. */
  #takeFor(key: string, request: LockRequest, options: Pick<AcquireOptions, "signal" | "onWait">): Promise<Lease> {
    const told: Pending["told"] = new Set(options.onWait === undefined ? [] : [options.onWait]);
    const onWait = (notice: WaitNotice): void => {
      pending.notice = notice;
      for (const tell of told) tell(notice);
    };
    const pending: Pending = {
      told,
      lease: this.#replace(key, request, options.onWait === undefined ? options : { ...options, onWait }),
    };
    this.#pending.set(key, pending);
    return pending.lease;
  }

  async #replace(
    key: string,
    request: LockRequest,
    options: Pick<AcquireOptions, "signal" | "onWait">,
  ): Promise<Lease> {
    await this.#giveBack(key);
    const holdings: Holding[] = [...this.#leases.values()].flatMap(({ grants }) => grants.map((one) => one.holding));
    const beside = this.#owner === undefined || !this.#together ? {} : { beside: { owner: this.#owner, holdings } };
    const lease = await this.#take([request], { ...options, ...beside });
    this.#owner ??= lease.owner;
    this.#leases.set(key, lease);
    return lease;
  }

  /** Resolves when the lock is back; what goes wrong is kept for `release`. */
  async #giveBack(key: string): Promise<void> {
    const lease = this.#leases.get(key);
    if (lease === undefined) return;
    this.#leases.delete(key);
    const releasing = lease
      .release()
      .catch((error: unknown) => void this.#failures.push(error))
      .finally(() => this.#releasing.delete(key));
    this.#releasing.set(key, releasing);
    await releasing;
  }

  /** Whoever is stopped doesn't wait for the others, and is told nothing more. Rejects with the signal's reason. */
  async #waitAlong(
    pending: Pending | undefined,
    { onWait, signal }: Pick<AcquireOptions, "signal" | "onWait">,
  ): Promise<void> {
    if (pending === undefined) return;
    signal?.throwIfAborted();
    if (onWait !== undefined) {
      pending.told.add(onWait);
      if (pending.notice !== undefined) onWait(pending.notice);
    }
    let forget: (() => void) | undefined;
    const stopped = new Promise<void>((_, reject) => {
      if (signal !== undefined) forget = this.#stops.on(signal, reject);
    });
    try {
      await Promise.race([pending.lease.catch(() => undefined), stopped]); // whoever took it tells
    } finally {
      forget?.();
      if (onWait !== undefined) pending.told.delete(onWait);
    }
  }

  #count({ resource }: LockRequest, change: number): number {
    const key = resourceKey(resource);
    const count = (this.#uses.get(key) ?? 0) + change;
    if (count > 0) this.#uses.set(key, count);
    else this.#uses.delete(key);
    return count;
  }
}

function serves({ grants: [grant], signal }: Lease, { mode }: LockRequest): boolean {
  return !signal.aborted && (grant?.mode === "exclusive" || mode === "shared");
}
