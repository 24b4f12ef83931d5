/** A held lock: the kernel lock, its record and its ticket. Given back in this order, so that whoever is woken finds the lock free. */
import type { Machine } from "../../../kernel/machine.ts";
import type { Grant, LockMode, LockRecord, Resource } from "../../contract.ts";
import type { ByteRange } from "./kernel-locks.ts";
import type { LockFolder } from "./lock-folder.ts";
import type { OwnTicket } from "./queue.ts";
import { publishRecord, readRecord, removeRecord, replaceRecord } from "./records.ts";

interface Held {
  readonly resource: Resource;
  readonly record: LockRecord;
  readonly path: string;
  readonly fd: number;
  readonly ranges: readonly ByteRange[];
  readonly ticket: OwnTicket;
}

export class FilesystemGrant implements Grant {
  readonly #machine: Machine;
  readonly #lockFolder: LockFolder;
  readonly #held: Held;
  readonly #generation: number;
  #released = false;

  constructor(machine: Machine, lockFolder: LockFolder, held: Held) {
    this.#machine = machine;
    this.#lockFolder = lockFolder;
    this.#held = held;
    this.#generation = lockFolder.table.generation(held.resource);
  }

  get resource(): Resource {
    return this.#held.resource;
  }

  get mode(): LockMode {
    return this.#held.record.mode ?? "exclusive";
  }

  get nonce(): string {
    return this.#held.record.nonce;
  }

  get token(): number {
    return this.#held.record.token ?? 0;
  }

  get inherit(): readonly number[] {
    return [this.#held.fd];
  }

  async check(): Promise<"held" | "lost"> {
    const { table } = this.#lockFolder;
    if (this.#released || !table.isCurrent(this.#held.fd) || table.generation(this.resource) !== this.#generation)
      return "lost";
    return this.#recordIsOurs() ? "held" : "lost";
  }

  async refresh(): Promise<void> {
    if (this.#released || !this.#recordIsOurs()) return;
    const found = readRecord(this.#held.path);
    if (found.kind === "ours" && found.record.nonce !== this.nonce) return;
    replaceRecord(this.#held.path, {
      ...this.#held.record,
      acquiredAt: new Date(this.#machine.clock.now()).toISOString(),
    });
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    try {
      removeRecord(this.#held.path, this.nonce);
    } finally {
      this.#lockFolder.table.unlock(this.#held.fd, this.#held.ranges);
      try {
        this.#held.ticket.leave();
      } finally {
        this.#lockFolder.close(this.#held.fd);
      }
    }
  }

  /** An older client that thought us dead replaces the record; a record that somebody removed is put back. */
  #recordIsOurs(): boolean {
    const found = readRecord(this.#held.path);
    if (found.kind === "absent") return publishRecord(this.#held.path, this.#held.record) || this.#recordIsOurs();
    if (found.kind !== "ours") return false;
    return found.record.nonce === this.nonce || this.mode === "shared";
  }
}
