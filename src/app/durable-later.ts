/**
 * Records of steps, made durable together beside the work: what they say is in the run's journal too, so no step waits for its own. Many at once cost the
 * disk little more than one; and where there are many, they are written by others as well.
 */
import type { Files, LaterFiles } from "../store/contract.ts";

/** So many are written here, before it is worth having others do it. */
const few = 512;
/** Fewer aren't worth the disk's attention before the end. */
const enough = 512;

export class DurableLater {
  readonly #files: Files;
  #paths: string[] = [];
  #syncing: Promise<void> | undefined;
  #written = 0;
  #hasFailed = false;
  #isAsked = false;
  #later: LaterFiles | undefined;

  constructor(files: Files) {
    this.#files = files;
  }

  /** So many are about to come: where that is worth it, others write the first of them, too. */
  expect(count: number): void {
    if (count > few) this.#askOthers();
  }

  #askOthers(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    this.#later = this.#files.later?.();
  }

  /** Of the first the failure is thrown, of others by `settled`. */
  async write(path: string, bytes: Uint8Array | string): Promise<void> {
    if (this.#written++ === few) this.#askOthers();
    if (this.#later !== undefined && typeof bytes === "string") return this.#later.write(path, bytes);
    await this.#files.write(path, bytes, { durable: false });
    this.add(path);
  }

  /** One that is written. */
  add(path: string): void {
    this.#paths.push(path);
    if (this.#paths.length < enough) return;
    this.#syncing ??= this.#sync(enough);
    this.#syncing.catch(() => undefined); // told by `settled`
  }

  /** Resolves when everything added so far survives a power cut. Throws what kept it from that, once: nothing more is asked of the disk then. */
  async settled(): Promise<void> {
    if (this.#hasFailed) return;
    try {
      await this.#syncing;
      await this.#sync(1);
      await this.#later?.settled();
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    }
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
