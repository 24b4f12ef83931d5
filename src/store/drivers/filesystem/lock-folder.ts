/** Everything of the locks that is on disk, under one roof: `<datastore>/.fen` and the records beside the data. */
import { closeSync, statSync } from "node:fs";
import { join } from "node:path";
import type { ProcessInfo, Resource } from "../../contract.ts";
import type { ByteRange, KernelLocks } from "./kernel-locks.ts";
import { LockTable, namesIn, resourceOfFolder } from "./lock-table.ts";
import { processesHolding } from "./processes.ts";
import { Queue } from "./queue.ts";

export class LockFolder {
  /** The datastore's folder. */
  readonly root: string;
  readonly fenFolder: string;
  readonly table: LockTable;
  readonly #kernel: KernelLocks;

  constructor(root: string, kernel: KernelLocks) {
    this.root = root;
    this.fenFolder = join(root, ".fen");
    this.table = new LockTable(this.fenFolder, kernel);
    this.#kernel = kernel;
  }

  queue(resource: Resource): Queue {
    return new Queue(this.fenFolder, resource, this.#kernel);
  }

  /** Resources that somebody holds or waits for. */
  queuedResources(): Resource[] {
    return namesIn(join(this.fenFolder, "queue"))
      .map(resourceOfFolder)
      .filter((resource) => resource !== undefined);
  }

  queues(): Queue[] {
    return this.queuedResources().map((resource) => this.queue(resource));
  }

  processesHolding(ranges: readonly ByteRange[]): ProcessInfo[] {
    const info = statSync(this.table.path, { throwIfNoEntry: false });
    return info === undefined ? [] : processesHolding(info.ino, ranges);
  }

  close(fd: number): void {
    closeSync(fd);
  }
}
