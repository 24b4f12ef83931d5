/**
 * `fen/lock`: the lock manager on its own, for programs that share a folder. See docs/lock-library.md.
 *
 * A resource is a name: "printer", "host/web-01", or "*", the parent of all others. In a fen datastore a model's name is `type/id`.
 */
import { resolve } from "node:path";
import { FenError } from "../kernel/errors.ts";
import { systemMachine } from "../kernel/machine.ts";
import type { HeldLock, LockRecord, WaitingLock } from "../store/contract.ts";
import { openFilesystemDatastore } from "../store/drivers/filesystem/datastore.ts";
import type { Lease as InnerLease } from "./lease.ts";
import { recordOf } from "../store/blocked-by.ts";
import { LockManager, type WaitNotice } from "./manager.ts";
import { nameOf, resourceOf } from "./names.ts";
import type { Held, Holder, Inheritance, Lease, LockError, Locks, LocksOptions, Wait, Waiting } from "./public.ts";

export type * from "./public.ts";

/** The locks of a folder: all programs that open the same folder, by whatever path, exclude each other. Makes nothing before the first `acquire`. */
export function openLocks(folder: string, options: LocksOptions = {}): Locks {
  const machine = systemMachine(options.command);
  const { locks: driver } = openFilesystemDatastore(resolve(machine.host.cwd, folder), machine, {
    records: options.records ?? "none",
  });
  const manager = new LockManager(driver, machine);
  const leases = new WeakMap<Lease, InnerLease>();
  return {
    async acquire(requests, { timeout, signal, onWait, within } = {}) {
      const inner = await manager.acquire(
        requests.map(({ resource, mode }) => ({ resource: resourceOf(resource), mode })),
        {
          timeoutMs: timeout,
          signal,
          onWait: onWait === undefined ? undefined : (notice) => onWait(waitOf(notice)),
          within: within === undefined ? undefined : leases.get(within),
        },
      );
      const lease = new NamedLease(inner);
      leases.set(lease, inner);
      return lease;
    },
    async status() {
      const { held, waiting } = await driver.inspect("all");
      return { held: held.map(heldOf), waiting: waiting.map(waiterOf) };
    },
    release: (resource, nonce) => driver.revoke(resourceOf(resource), nonce),
  };
}

/** True for what this library throws; everything else is the signal's own reason or a defect. */
export function isLockError(error: unknown): error is LockError {
  return error instanceof FenError;
}

class NamedLease implements Lease {
  readonly #inner: InnerLease;

  constructor(inner: InnerLease) {
    this.#inner = inner;
  }

  get signal(): AbortSignal {
    return this.#inner.signal;
  }

  token(name?: string): number {
    const [first, second] = this.#inner.grants;
    if (name !== undefined) return this.#inner.token(resourceOf(name));
    if (first === undefined || second !== undefined)
      throw new FenError("name_invalid", "The lease holds several locks: say which token is meant.");
    return first.token;
  }

  assertHeld(): Promise<void> {
    return this.#inner.assertHeld();
  }

  inherit(): Inheritance {
    return this.#inner.handDown();
  }

  release(): Promise<void> {
    return this.#inner.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

function holderOf({ holder, pid, command, since, nonce }: LockRecord): Holder {
  return { holder, pid, command, since, nonce };
}

function waitOf({ resource, by, place, waitedMs, remainingMs }: WaitNotice): Wait {
  const record = recordOf(by);
  return {
    resource: nameOf(resource),
    reason: by.kind,
    by: record === undefined ? undefined : holderOf(record),
    place,
    waitedMs,
    remainingMs,
  };
}

function heldOf({ resource, state, record, processes }: HeldLock): Held {
  const told = record === undefined ? {} : { ...holderOf(record), mode: record.mode, token: record.token };
  return { resource: nameOf(resource), state, ...told, processes };
}

function waiterOf({ resource, record, place }: WaitingLock): Waiting {
  return { resource: nameOf(resource), ...holderOf(record), mode: record.mode, place };
}
