/**
 * Makes the names in folders durable, for many at once: who asks while a folder is being synced is served, with all others who do, by one sync after that
 * one. (The present one may have passed the name by.)
 */
import { syncAll } from "../../../kernel/files.ts";

export class FolderSyncs {
  readonly #running = new Map<string, Promise<void>>();
  readonly #next = new Map<string, Promise<void>>();

  /** Resolves when every name that is in the folders now survives a power cut. */
  async sync(folders: Iterable<string>): Promise<void> {
    const results = await Promise.allSettled([...folders].map((folder) => this.#one(folder)));
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  #one(folder: string): Promise<void> {
    const next = this.#next.get(folder) ?? this.#after(folder);
    this.#next.set(folder, next);
    return next;
  }

  async #after(folder: string): Promise<void> {
    await this.#running.get(folder)?.catch(() => undefined); // told to those who asked for it
    await undefined; // who asks in the same turn comes along
    this.#next.delete(folder);
    const running = syncAll([folder]);
    this.#running.set(folder, running);
    try {
      await running;
    } finally {
      if (this.#running.get(folder) === running) this.#running.delete(folder);
    }
  }
}
