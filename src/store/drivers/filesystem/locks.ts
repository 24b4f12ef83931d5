/** The lock driver for a folder: see decision 0002. */
import { join } from "node:path";
import type { Machine } from "../../../kernel/machine.ts";
import type { Claim, LockDriver, LockMode, LockTable, Place, Resource } from "../../contract.ts";
import { inspectLocks } from "./inspect.ts";
import type { KernelLocks } from "./kernel-locks.ts";
import { LockFolder } from "./lock-folder.ts";
import { FilesystemPlace, recordOf } from "./place.ts";
import { readRecord, recordPath } from "./records.ts";
import { removeFile } from "../../../kernel/files.ts";

/** A gate is held for microseconds; one that stays closed for so long belongs to a process that was paused in it. */
const gatePatienceMs = 1000;
const gateRetryMs = 0.5;

export class FilesystemLocks implements LockDriver {
  readonly #machine: Machine;
  readonly #folder: LockFolder;

  constructor(root: string, machine: Machine, kernel: KernelLocks) {
    this.#machine = machine;
    this.#folder = new LockFolder(root, kernel);
  }

  async join(resource: Resource, mode: LockMode, claim: Claim): Promise<Place> {
    const queue = this.#folder.queue(resource);
    const ticket = queue.prepare(claim.nonce, mode, { ...recordOf(claim), mode });
    try {
      await this.#throughGate(resource, () => ticket.show(queue.nextNumber()));
    } catch (error) {
      ticket.leave();
      throw error;
    }
    return new FilesystemPlace(this.#machine, this.#folder, { resource, mode, claim, queue, ticket });
  }

  async inspect(): Promise<LockTable> {
    return inspectLocks(this.#folder);
  }

  async revoke(resource: Resource, nonce: string): Promise<boolean> {
    let revoked = false;
    await this.#throughGate(resource, () => {
      const { held } = inspectLocks(this.#folder);
      const lock = held.find((one) => one.record?.nonce === nonce && sameResource(one.resource, resource));
      if (lock === undefined) return;
      revoked = true;
      // Only a range that a living process still holds must be left to it.
      if (lock.state === "held" || lock.state === "orphaned") this.#folder.table.revoke(resource);
      this.#clearRecord(resource, nonce);
    });
    return revoked;
  }

  /** Removes the record of a lock that was revoked, and its ticket, so that nobody waits for it. */
  #clearRecord(resource: Resource, nonce: string): void {
    const path = join(this.#folder.root, recordPath(resource));
    const found = readRecord(path);
    if ((found.kind === "ours" || found.kind === "foreign") && found.record.nonce === nonce) removeFile(path);
    const queue = this.#folder.queue(resource);
    for (const ticket of queue.tickets()) if (ticket.nonce === nonce) queue.bury(ticket);
  }

  /** Runs `task` as the only one in this resource's gate. One that was paused in there holds nobody up for long: order suffers then, exclusion doesn't. */
  async #throughGate(resource: Resource, task: () => void): Promise<void> {
    const { table } = this.#folder;
    const { clock } = this.#machine;
    const fd = table.open();
    try {
      const gate = [table.gate(resource)];
      const until = clock.monotonic() + gatePatienceMs;
      while (!table.tryLock(fd, gate, "exclusive") && clock.monotonic() < until) await clock.sleep(gateRetryMs);
      task();
    } finally {
      this.#folder.close(fd);
    }
  }
}

function sameResource(a: Resource, b: Resource): boolean {
  if (a.kind === "datastore" || b.kind === "datastore") return a.kind === b.kind;
  return a.type === b.type && a.id === b.id;
}
