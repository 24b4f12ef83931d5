/** The lock driver for a folder: see decision 0002. */
import type { Machine } from "../../../kernel/machine.ts";
import {
  type Claim,
  type HeldLock,
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
  /** Its ticket, its record and its lock, and what numbers it; later its ticket and its record. */
  readonly filesALock = { taking: 4, held: 2 };
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
      if (!this.#takeFrom(resource, nonce)) return false;
      // The next in line waits for the ticket: so its own record isn't there yet.
      removeRecord(path, nonce);
      const queue = this.#folder.queue({ resource });
      for (const ticket of queue.tickets()) if (ticket.nonce === nonce) queue.bury(ticket);
      return true;
    });
  }

  /** False where this one holds nothing, or gave it back while we looked. */
  #takeFrom(resource: Resource, nonce: string): boolean {
    const { table } = this.#folder;
    const generation = table.generation(resource);
    const lock = this.#find(resource, nonce);
    if (lock === undefined || lock.under !== undefined) return false;
    // Only a range that a living process still holds must be left to it.
    if (lock.state !== "held" && lock.state !== "orphaned") return true;
    const queue = this.#folder.queue({ resource });
    const ticket = queue.tickets().find((one) => one.nonce === nonce);
    const own = ticket === undefined ? undefined : queue.read(ticket)?.generation;
    if (ticket !== undefined) return table.revoke(resource, { generation: own ?? generation, ticket: ticket.path });
    // Its owner is dead and the next in line has buried it, and waits for the children of the dead.
    return this.#find(resource, nonce)?.state === "orphaned" && table.revoke(resource, { generation });
  }

  #find(resource: Resource, nonce: string): HeldLock | undefined {
    const { held } = inspectLocks(this.#folder, resource);
    return held.find((one) => one.record?.nonce === nonce && sameResource(one.resource, resource));
  }
}
