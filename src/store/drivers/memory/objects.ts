/** Whole objects in memory, shared by any number of clients: the double of tests. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { FenError } from "../../../kernel/errors.ts";
import { writeFileAtomic } from "../../../kernel/files.ts";
import { compareCodePoints } from "../../../kernel/order.ts";
import type { Content, ObjectInfo, ObjectStore } from "../../objects.ts";

interface Stored {
  readonly bytes: Uint8Array;
  readonly nonce?: string;
}

export class MemoryObjects implements ObjectStore {
  readonly objects: Map<string, Stored>;

  /** Hand the same map to several clients. */
  constructor(objects: Map<string, Stored> = new Map()) {
    this.objects = objects;
  }

  async create(
    path: string,
    { source, sha256 }: Content,
    { nonce }: { readonly nonce: string },
  ): Promise<"put" | "taken"> {
    const found = this.objects.get(path);
    if (found !== undefined) return found.nonce === nonce ? "put" : "taken";
    const bytes = source instanceof Uint8Array ? Uint8Array.from(source) : readFileSync(source.file);
    this.objects.set(path, { bytes: checked(path, bytes, sha256), nonce });
    return "put";
  }

  async put(path: string, bytes: Uint8Array): Promise<void> {
    this.objects.set(path, { bytes: Uint8Array.from(bytes) });
  }

  async get(
    path: string,
    { maxBytes, sha256 }: { readonly maxBytes: number; readonly sha256?: string },
  ): Promise<Uint8Array | undefined> {
    const found = this.objects.get(path);
    if (found === undefined) return undefined;
    if (found.bytes.length > maxBytes)
      throw new FenError("file_too_large", `The object is too large: ${path}`, { facts: { path, maxBytes } });
    return sha256 === undefined ? found.bytes : checked(path, found.bytes, sha256);
  }

  async getTo(
    path: string,
    file: string,
    options: { readonly maxBytes: number; readonly sha256?: string },
  ): Promise<boolean> {
    const bytes = await this.get(path, options);
    if (bytes !== undefined) await writeFileAtomic(file, bytes, { durable: false });
    return bytes !== undefined;
  }

  async head(path: string): Promise<ObjectInfo | undefined> {
    const found = this.objects.get(path);
    return found === undefined ? undefined : { path, size: found.bytes.length, modifiedAt: 0 };
  }

  async *list(folder: string, { after = "" }: { readonly after?: string } = {}): AsyncIterable<ObjectInfo> {
    const start = folder === "" ? "" : `${folder}/`;
    const paths = [...this.objects.keys()].filter((one) => one.startsWith(start) && compareCodePoints(one, after) > 0);
    for (const path of paths.sort(compareCodePoints))
      yield { path, size: this.objects.get(path)?.bytes.length ?? 0, modifiedAt: 0 };
  }

  async entries(folder: string): Promise<{ readonly folders: readonly string[]; readonly objects: readonly string[] }> {
    const start = folder === "" ? "" : `${folder}/`;
    const below = [...this.objects.keys()].filter((one) => one.startsWith(start)).map((one) => one.slice(start.length));
    const folders = below.flatMap((rest) => (rest.includes("/") ? [rest.slice(0, rest.indexOf("/"))] : []));
    return {
      folders: [...new Set(folders)].sort(compareCodePoints),
      objects: below.filter((rest) => !rest.includes("/")).sort(compareCodePoints),
    };
  }

  async removeAll(paths: readonly string[]): Promise<void> {
    for (const path of paths) this.objects.delete(path);
  }

  async abandonUploads(): Promise<number> {
    return 0; // each comes in one piece
  }

  locate(path: string): string {
    return `memory:${path}`;
  }
}

function checked(path: string, bytes: Uint8Array, sha256: string): Uint8Array {
  if (createHash("sha256").update(bytes).digest("hex") === sha256) return bytes;
  throw new FenError("data_corrupt", `What is at ${path} isn't what was written there.`, { facts: { path } });
}
