/**
 * Records of steps, made durable together beside the work: what they say is in the run's journal too, so no step waits for its own. Many at once cost the
 * disk little more than one.
 */
import type { Files } from "../store/contract.ts";

/** Fewer aren't worth the disk's attention before the end. */
const enough = 512;

export class DurableLater {
  readonly #files: Files;
  #paths: string[] = [];
  #syncing: Promise<void> | undefined;

  constructor(files: Files) {
    this.#files = files;
  }

  add(path: string): void {
    this.#paths.push(path);
    if (this.#paths.length < enough) return;
    this.#syncing ??= this.#sync(enough);
    this.#syncing.catch(() => undefined); // told by `settled`
  }

  /** Resolves when everything added so far survives a power cut. Throws what kept it from that. */
  async settled(): Promise<void> {
    await this.#syncing;
    await this.#sync(1);
  }

  /** As long as there are at least so many. */
  async #sync(least: number): Promise<void> {
    while (this.#paths.length >= least) {
      const paths = this.#paths;
      this.#paths = [];
      await this.#files.sync(paths);
    }
    this.#syncing = undefined;
  }
}
