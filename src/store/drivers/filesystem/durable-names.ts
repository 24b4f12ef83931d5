/** Makes the names of folders durable, and those of the folders above, which is asked of the disk once. */
import { dirname } from "node:path";
import { isAbsence } from "../../../kernel/files.ts";
import { all } from "../../../kernel/several.ts";

export type SyncPaths = (paths: Iterable<string>) => Promise<void>;

export class DurableNames {
  readonly #root: string;
  readonly #sync: SyncPaths;
  /** Folders whose names we have made durable, or are about to: what tells when they are. */
  readonly #named = new Map<string, Promise<unknown>>();
  /** What is asked for at the same time is one question. */
  #next: { readonly folders: Set<string>; readonly synced: Promise<void> } | undefined;

  /** `sync` makes folders durable, with the names in them; throws as the system does. */
  constructor(root: string, sync: SyncPaths) {
    this.#root = root;
    this.#sync = sync;
  }

  /** The name of `target`, and those of the folders above: also where others have made these, for something that needn't be durable. */
  async keep(target: string): Promise<void> {
    const folder = dirname(target);
    await all([this.in(folder), this.#of(folder)]);
  }

  /** The names in a folder. One that somebody has removed, with all that is in it, needs nothing. */
  in(folder: string): Promise<void> {
    const batch = (this.#next ??= this.#gather());
    batch.folders.add(folder);
    return batch.synced;
  }

  /** What was known of them is of folders that somebody has removed. */
  forget(last: string, first: string): void {
    for (let folder = last; folder.length >= first.length; folder = dirname(folder)) this.#named.delete(folder);
  }

  /** Nothing is known of any: somebody has removed folders that we knew. */
  forgetAll(): void {
    this.#named.clear();
  }

  #of(folder: string): Promise<unknown> {
    if (folder === this.#root) return Promise.resolve();
    const known = this.#named.get(folder);
    if (known !== undefined) return known;
    const naming = this.keep(folder).catch((error: unknown) => {
      if (this.#named.get(folder) === naming) this.#named.delete(folder);
      throw error;
    });
    this.#named.set(folder, naming);
    return naming;
  }

  #gather() {
    const folders = new Set<string>();
    const ask = async () => {
      this.#next = undefined;
      await this.#sync(folders).catch(async (error: unknown) => {
        if (!isAbsence(error)) throw error;
        await all([...folders].map((folder) => unlessAbsent(this.#sync([folder]))));
      });
    };
    return { folders, synced: Promise.resolve().then(ask) };
  }
}

async function unlessAbsent(syncing: Promise<void>): Promise<void> {
  await syncing.catch((error: unknown) => {
    if (!isAbsence(error)) throw error;
  });
}
