/**
 * A lease is what `acquire` gives: proof of holding, a signal that fires when the hold is lost, and the way to give it back.
 * Model: held -> released, or held -> lost (break-glass, a replaced lock table). A lost lease never becomes held again;
 * everything that commits calls `assertHeld` first.
 */
import { FenError } from "../kernel/errors.ts";
import { type Grant, type LockMode, type Resource, resourceKey } from "../store/contract.ts";

export interface LockRequest {
  readonly resource: Resource;
  readonly mode: LockMode;
}

export interface Lease extends AsyncDisposable {
  /** What is held, in the order in which it was taken. */
  readonly grants: readonly Grant[];
  /** Fires once with a `FenError` (`lock_lost`) when any of the locks is lost. */
  readonly signal: AbortSignal;
  /** Descriptors for a child's `stdio`, so that the locks live as long as the child works. */
  readonly inherit: readonly number[];
  /** The fencing token of one resource. */
  token(resource: Resource): number;
  /** Throws `lock_lost` unless the store says that every lock is still ours. Call before each commit. */
  assertHeld(): Promise<void>;
  /** Gives everything back, last taken first. Idempotent. Never touches what is not ours. */
  release(): Promise<void>;
}

export function lockLost(grant: Grant): FenError {
  const key = resourceKey(grant.resource);
  return new FenError("lock_lost", `The lock on ${key} was taken away while the command worked.`, {
    hint: "Nothing was committed after that. Look who holds it now: fen datastore lock status",
    facts: { resource: key, nonce: grant.nonce, token: grant.token },
  });
}
