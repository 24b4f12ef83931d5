/** A datastore's files and journals in memory, for one process: everything is there at once, nothing waits for anything but its turn. */
import { compareCodePoints } from "../../src/kernel/order.ts";
import type { Appender, Entry, FileInfo, FileStep, LocalFiles, Owned, StepsDone } from "../../src/store/contract.ts";
import { doInOrder } from "../../src/store/in-order.ts";

/** What was written, piece by piece. */
interface Stored {
  readonly pieces: (Uint8Array | string)[];
  size: number;
}

export class MemoryFiles implements LocalFiles {
  readonly files = new Map<string, Stored>();
  readonly #owned = new Set<string>();

  async read(path: string): Promise<Uint8Array | undefined> {
    const file = this.files.get(path);
    return file === undefined ? undefined : bytesOf(file);
  }

  async *stream(path: string, { start = 0 }: { readonly start?: number } = {}): AsyncIterable<Uint8Array> {
    yield bytesOf(this.#there(path)).subarray(start);
  }

  async list(path: string): Promise<readonly Entry[]> {
    const found = new Map<string, Entry>();
    for (const name of this.#below(path)) {
      const [first = "", ...rest] = name.slice(path.length + 1).split("/");
      found.set(first, { name: first, kind: rest.length === 0 ? "file" : "folder" });
    }
    return [...found.values()].sort((a, b) => compareCodePoints(a.name, b.name));
  }

  async stat(path: string): Promise<FileInfo | undefined> {
    const size = this.files.get(path)?.size;
    if (size !== undefined) return { size, modifiedAt: 0, kind: "file" };
    return this.#below(path).length === 0 ? undefined : { size: 0, modifiedAt: 0, kind: "folder" };
  }

  inOrder(steps: readonly FileStep[]): Promise<StepsDone> {
    return doInOrder(this, steps);
  }

  async write(path: string, bytes: Uint8Array | string): Promise<void> {
    this.files.set(path, { pieces: [bytes], size: Buffer.byteLength(bytes) });
  }

  async create(path: string): Promise<Appender> {
    if (this.files.has(path)) throw new Error(`${path} is there`);
    this.files.set(path, { pieces: [], size: 0 });
    return this.reopen(path);
  }

  async reopen(path: string): Promise<Appender> {
    const file = this.#there(path);
    return {
      get size() {
        return file.size;
      },
      append: (bytes) => {
        file.pieces.push(typeof bytes === "string" ? bytes : Uint8Array.from(bytes));
        file.size += Buffer.byteLength(bytes);
      },
      sync: async () => undefined,
      close: async () => undefined,
    };
  }

  async sync(): Promise<void> {
    // It is as durable as it ever will be.
  }

  async remove(path: string): Promise<boolean> {
    const names = this.#below(path);
    for (const name of names) this.files.delete(name);
    return this.files.delete(path) || names.length > 0;
  }

  locate(path: string): string {
    return `/memory/${path}`;
  }

  async replace(path: string, bytes: Uint8Array | string): Promise<boolean> {
    const isThere = this.#below(path.slice(0, path.lastIndexOf("/"))).length > 0;
    if (isThere) await this.write(path, bytes);
    return isThere;
  }

  settle(): Promise<void> {
    return this.sync();
  }

  async adopt(from: string, to: string): Promise<"adopted" | "taken" | "absent"> {
    if (this.#below(to).length > 0) return "taken";
    const names = this.#below(from);
    for (const name of names) {
      this.files.set(to + name.slice(from.length), this.#there(name));
      this.files.delete(name);
    }
    return names.length > 0 ? "adopted" : "absent";
  }

  async keep(): Promise<void> {
    // As above.
  }

  async own(path: string): Promise<Owned> {
    await this.write(path, "");
    this.#owned.add(path);
    return { letGo: () => void this.#owned.delete(path) };
  }

  async owner(path: string): Promise<"alive" | "dead" | "absent"> {
    if (!this.files.has(path)) return "absent";
    return this.#owned.has(path) ? "alive" : "dead";
  }

  #there(path: string): Stored {
    const file = this.files.get(path);
    if (file === undefined) throw new Error(`${path} isn't there`);
    return file;
  }

  #below(path: string): string[] {
    return [...this.files.keys()].filter((name) => name.startsWith(`${path}/`));
  }
}

function bytesOf({ pieces }: Stored): Uint8Array {
  return Buffer.concat(pieces.map((piece) => Buffer.from(piece)));
}
