/** (being written) The lock manager: order, waiting, explaining. */
import type { Machine } from "../kernel/machine.ts";
import type { BlockedBy, LockDriver, Resource } from "../store/contract.ts";
import type { Lease, LockRequest } from "./lease.ts";

/** Told within a second of waiting, and again whenever what we wait for changes. */
export interface WaitNotice {
  readonly resource: Resource;
  readonly by: BlockedBy;
  readonly place: number;
  readonly waitedMs: number;
  /** Milliseconds until the wait ends with `lock_timeout`; undefined = never. */
  readonly remainingMs?: number | undefined;
}

export interface AcquireOptions {
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onWait?: ((notice: WaitNotice) => void) | undefined;
}

export class LockManager {
  constructor(driver: LockDriver, machine: Machine) {
    void driver;
    void machine;
  }

  /** Takes all of `requests` in code point order of their keys, or none. */
  acquire(requests: readonly LockRequest[], options: AcquireOptions = {}): Promise<Lease> {
    void requests;
    void options;
    throw new Error("being written");
  }
}
