/** Records of older clients, which know nothing but lock files: which of them must be honoured now. */
import type { Resource } from "../../contract.ts";
import { walkRecords } from "./inspect.ts";
import type { LockFolder } from "./lock-folder.ts";
import { ForeignWatch, type FoundRecord, readRecord } from "./records.ts";

/** After so many records the walk lets the rest of the program have its turn. */
const batch = 200;

export class ForeignRecords {
  readonly #folder: LockFolder;
  readonly #resource: Resource;
  readonly #watches = new Map<string, ForeignWatch>();
  /** Found by the one walk over all models; only these are looked at again. */
  #suspects: readonly string[] | undefined;

  constructor(folder: LockFolder, resource: Resource) {
    this.#folder = folder;
    this.#resource = resource;
  }

  /** Walks again at the next `find`. */
  forget(): void {
    this.#suspects = undefined;
  }

  /** The path of one that must be honoured: it is an older client's, or unreadable, and has changed within its TTL. */
  async find(): Promise<string | undefined> {
    const own = this.#folder.recordPath(this.#resource);
    if (this.#resource.kind !== "datastore") return this.structural() ?? this.#honoured([own]);
    this.#suspects ??= await this.#walk();
    return this.#honoured([...this.#suspects, own]);
  }

  /** For a model: an older client's record of the whole datastore that must be honoured. */
  structural(): string | undefined {
    return this.#resource.kind === "datastore"
      ? undefined
      : this.#honoured([this.#folder.recordPath({ kind: "datastore" })]);
  }

  #honoured(paths: readonly string[]): string | undefined {
    return paths.find((path) => {
      const found = readRecord(path);
      return found.kind !== "absent" && found.kind !== "ours" && !this.isSpent(path, found);
    });
  }

  /**
   * All models once. The datastore's own record is published before, and a client that makes a record later looks for that first:
   * so one walk is enough.
   */
  async #walk(): Promise<string[]> {
    const { clock } = this.#folder.machine;
    const found: string[] = [];
    let seen = 0;
    for (const { path } of walkRecords(this.#folder.root)) {
      const { kind } = readRecord(path);
      if (kind === "foreign" || kind === "unreadable") found.push(path);
      if (++seen % batch === 0) await clock.sleep(0);
    }
    return found;
  }

  /** True for a record that its writer can't be alive behind: unchanged for its TTL on our own clock, or left by a power cut. */
  isSpent(path: string, found: FoundRecord): boolean {
    if (found.kind === "absent" || this.#folder.isLeftByPowerCut(found)) return true;
    const watched = this.#watches.get(path) ?? new ForeignWatch(this.#folder.machine.clock);
    this.#watches.set(path, watched);
    return watched.isStale(found);
  }
}
