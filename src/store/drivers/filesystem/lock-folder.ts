/** Everything of the locks that is on disk, under one roof: `<datastore>/.fen` and the records beside the data. */
import { closeSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Machine } from "../../../kernel/machine.ts";
import { inFolder } from "../../../kernel/paths.ts";
import type { ProcessInfo, Resource } from "../../contract.ts";
import type { ByteRange, KernelLocks } from "./kernel-locks.ts";
import { LockTable, type Slot } from "./lock-table.ts";
import { mountOf } from "./mounts.ts";
import { processesHolding, readBootId } from "./processes.ts";
import { Queue, ticketsBySlot } from "./queue.ts";
import { type FoundRecord, recordPath } from "./records.ts";

/** A gate is held for microseconds; one that stays closed for so long belongs to a process that was paused in it. */
const gatePatienceMs = 1000;
const gateRetryMs = 0.5;
const gateRetryMostMs = 8;
/** Times of files are cut off to this, at worst. */
const fileTimesMs = 2000;

export class LockFolder {
  /** The datastore's folder. */
  readonly root: string;
  readonly fenFolder: string;
  readonly table: LockTable;
  readonly machine: Machine;
  /** Whether records are published beside the data, for older clients that know nothing else. */
  readonly records: "published" | "none";
  readonly #kernel: KernelLocks;
  #common: number | undefined;
  #isOwnDisk: boolean | undefined;
  #boot: { readonly id: string | undefined } | undefined;

  constructor(
    root: string,
    machine: Machine,
    library: { readonly kernel: KernelLocks; readonly records?: "published" | "none" | undefined },
  ) {
    const { kernel, records = "published" } = library;
    this.root = root;
    this.records = records;
    this.fenFolder = join(root, ".fen");
    this.table = new LockTable(this.fenFolder, kernel);
    this.machine = machine;
    this.#kernel = kernel;
  }

  /** A descriptor that carries the locks of all grants that rest: a child process would inherit all of them, so none does. */
  get commonDescriptor(): number {
    if (this.#common !== undefined && !this.table.isCurrent(this.#common)) this.#common = undefined; // what rests there is lost, and said to be at its check
    this.#common ??= this.table.open();
    return this.#common;
  }

  queue(slot: Slot): Queue {
    return new Queue(this.fenFolder, slot, this.#kernel);
  }

  recordPath(resource: Resource): string {
    return inFolder(this.root, recordPath(resource));
  }

  /** What somebody holds or waits for, with its tickets: costs as much as there are of them. */
  queues(): ReturnType<typeof ticketsBySlot> {
    return ticketsBySlot(this.fenFolder, this.#kernel);
  }

  processesHolding(ranges: readonly ByteRange[]): ProcessInfo[] {
    const info = statSync(this.table.path, { throwIfNoEntry: false });
    return info === undefined ? [] : processesHolding(info.ino, ranges);
  }

  /** Names this start of the machine, where the system tells it. */
  get bootId(): string | undefined {
    this.#boot ??= { id: readBootId() };
    return this.#boot.id;
  }

  /**
   * True for an empty record from before this start of the machine. No record waits for the disk, so a power cut leaves its name without its text, and no client that
   * was writing one then lives. Where that isn't sure (the disk is another machine's, the clock was set back) it is waited for as any that can't be read.
   */
  isLeftByPowerCut(found: FoundRecord): boolean {
    if (found.kind !== "unreadable" || found.emptySince === undefined) return false;
    const { clock } = this.machine;
    if (found.emptySince >= clock.now() - clock.sinceBoot() - fileTimesMs) return false;
    this.#isOwnDisk ??= mountOf(this.root)?.isOwnDisk === true;
    return this.#isOwnDisk;
  }

  /**
   * Runs `task` as the only one in this slot's gate. One that was paused in there holds nobody up for long: order suffers then, exclusion
   * doesn't.
   */
  async throughGate<T>(slot: Slot, task: () => T): Promise<T> {
    const { clock } = this.machine;
    const fd = this.table.open();
    try {
      const gate = [this.table.gate(slot)];
      const until = clock.monotonic() + gatePatienceMs;
      let pause = gateRetryMs;
      while (!this.table.tryLock(fd, gate, "exclusive") && clock.monotonic() < until) {
        await clock.sleep(pause);
        pause = Math.min(pause * 1.5, gateRetryMostMs);
      }
      return task();
    } finally {
      closeSync(fd); // frees the gate
    }
  }
}
