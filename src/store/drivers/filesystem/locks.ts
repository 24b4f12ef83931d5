/** The lock driver for a folder: see decision 0002. */
import type { Machine } from "../../../kernel/machine.ts";
import {
  type Claim,
  type Holding,
  type Inherited,
  type LockDriver,
  type LockMode,
  type LockTable,
  type Place,
  type Resource,
  sameResource,
} from "../../contract.ts";
import { checkInherited } from "./inherit.ts";
import { inspectLocks } from "./inspect.ts";
import type { KernelLocks } from "./kernel-locks.ts";
import { LockFolder } from "./lock-folder.ts";
import { FilesystemPlace, recordOf } from "./place.ts";
import { removeRecord, removeUnreadable } from "./records.ts";
import { assertLocksWork } from "./trial.ts";

export class FilesystemLocks implements LockDriver {
  readonly #folder: LockFolder;
  readonly #kernel: KernelLocks;
  #isTried = false;

  constructor(
    root: string,
    machine: Machine,
    library: { readonly kernel: KernelLocks; readonly records?: "published" | "none" | undefined },
  ) {
    this.#folder = new LockFolder(root, machine, library);
    this.#kernel = library.kernel;
  }

  async join(resource: Resource, mode: LockMode, claim: Claim): Promise<Place> {
    if (!this.#isTried) assertLocksWork(this.#folder, this.#kernel);
    this.#isTried = true;
    const slot = { resource, under: claim.under?.nonce };
    const queue = this.#folder.queue(slot);
    const ticket = await this.#folder.throughGate(slot, () =>
      queue.take(claim.nonce, mode, { ...recordOf(claim), mode }),
    );
    return new FilesystemPlace(this.#folder, slot, { mode, claim, ticket });
  }

  async inspect(scope: "all" | "live" | Resource): Promise<LockTable> {
    return inspectLocks(this.#folder, scope);
  }

  async inherit(said: readonly Holding[]): Promise<Inherited> {
    return checkInherited(this.#folder, said);
  }

  async revoke(resource: Resource, nonce: string | undefined): Promise<boolean> {
    const path = this.#folder.recordPath(resource);
    if (nonce === undefined) return removeUnreadable(path, this.#folder.machine.random.uuid());
    return this.#folder.throughGate({ resource }, () => {
      const { held } = inspectLocks(this.#folder, resource);
      const lock = held.find((one) => one.record?.nonce === nonce && sameResource(one.resource, resource));
      if (lock === undefined || lock.under !== undefined) return false;
      // Only a range that a living process still holds must be left to it.
      if (lock.state === "held" || lock.state === "orphaned") this.#folder.table.revoke(resource);
      removeRecord(path, nonce);
      const queue = this.#folder.queue({ resource });
      for (const ticket of queue.tickets()) if (ticket.nonce === nonce) queue.bury(ticket);
      return true;
    });
  }
}
