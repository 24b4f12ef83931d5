/**
 * Files of a datastore that is an object store: records and logs, which have one writer each. What is written durably is an object once that resolved. What needn't be durable,
 * and what is still being appended to, is on this machine only, where whoever reads here sees it first; it becomes an object when it is written durably, or closed.
 */
import { compareCodePoints } from "../kernel/order.ts";
import type { Appender, Entry, FileInfo, Files, LocalFiles } from "./contract.ts";
import { missingObject, removeObjects } from "./object-paths.ts";
import type { ObjectStore } from "./objects.ts";

/** Logs and journals; larger content is data. */
const maxClosedBytes = 1024 * 1024 * 1024;

export class ObjectFiles implements Files {
  readonly #objects: ObjectStore;
  readonly #local: LocalFiles;

  constructor(objects: ObjectStore, local: LocalFiles) {
    this.#objects = objects;
    this.#local = local;
  }

  async read(path: string, options: { readonly maxBytes: number }): Promise<Uint8Array | undefined> {
    return (await this.#local.read(path, options)) ?? this.#objects.get(path, options);
  }

  async *stream(path: string, options: { readonly start?: number } = {}): AsyncIterable<Uint8Array> {
    if ((await this.#local.stat(path)) !== undefined) return yield* this.#local.stream(path, options);
    const bytes = await this.#objects.get(path, { maxBytes: maxClosedBytes });
    if (bytes === undefined) throw missingObject(this.#objects, path);
    yield bytes.subarray(options.start ?? 0);
  }

  async list(path: string): Promise<readonly Entry[]> {
    const [here, there] = await Promise.all([this.#local.list(path), this.#objects.entries(path)]);
    const kinds = new Map(here.map((entry) => [entry.name, entry.kind]));
    for (const name of there.folders) kinds.set(name, "folder");
    for (const name of there.objects) kinds.set(name, "file");
    return [...kinds].map(([name, kind]) => ({ name, kind })).sort((a, b) => compareCodePoints(a.name, b.name));
  }

  async stat(path: string): Promise<FileInfo | undefined> {
    const local = await this.#local.stat(path);
    if (local !== undefined && local.kind !== "folder") return local;
    const found = await this.#objects.head(path);
    return found === undefined ? local : { size: found.size, modifiedAt: found.modifiedAt, kind: "file" };
  }

  async write(path: string, bytes: Uint8Array | string, options: { readonly durable?: boolean } = {}): Promise<void> {
    if (options.durable === false) return this.#local.write(path, bytes, options);
    await this.#objects.put(path, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes, {
      contentType: typeOf(path),
    });
    await this.#local.remove(path);
  }

  async create(path: string): Promise<Appender> {
    return this.#thenPut(path, await this.#local.create(path));
  }

  async reopen(path: string): Promise<Appender> {
    if (!(await this.#bringHere(path, { durable: true }))) throw missingObject(this.#objects, path);
    return this.#thenPut(path, await this.#local.reopen(path));
  }

  async sync(paths: readonly string[]): Promise<void> {
    await Promise.all(
      paths.map(async (path) => {
        if ((await this.#local.stat(path)) === undefined) return;
        if (path.endsWith(".log")) await this.#bringHere(path, { durable: false });
        await this.#hand(path);
      }),
    );
  }

  /** What is here gets what another machine has added since it was left here; false where there is nothing anywhere. What is whole already isn't written anew. */
  async #bringHere(path: string, how: { readonly durable: boolean }): Promise<boolean> {
    const options = { maxBytes: maxClosedBytes };
    const [here, there] = await Promise.all([this.#local.read(path, options), this.#objects.get(path, options)]);
    if (there === undefined || (here !== undefined && beginsWith(here, there))) return here !== undefined;
    const isWhole = here === undefined || beginsWith(there, here);
    await this.#local.write(path, isWhole ? there : Buffer.concat([here, there]), how);
    return true;
  }

  async remove(path: string): Promise<boolean> {
    const local = await this.#local.remove(path);
    return (await removeObjects(this.#objects, path)) || local;
  }

  locate(path: string): string {
    return this.#objects.locate(path);
  }

  /** A file of this machine that becomes an object when it is closed. Where that fails it stays here, and the error says so. */
  #thenPut(path: string, file: Appender): Appender {
    let closed: Promise<void> | undefined;
    return {
      get size() {
        return file.size;
      },
      append: (bytes) => file.append(bytes),
      sync: () => file.sync(),
      close: () => (closed ??= this.#close(path, file)),
    };
  }

  async #close(path: string, file: Appender): Promise<void> {
    await file.close({ durable: true });
    await this.#hand(path);
  }

  /** What is here becomes an object, and is here no longer unless it was written anew meanwhile. */
  async #hand(path: string): Promise<void> {
    const bytes = await this.#local.read(path, { maxBytes: maxClosedBytes });
    if (bytes === undefined) return; // removed meanwhile, or handed on by another
    await this.#objects.put(path, bytes, { contentType: typeOf(path) });
    const now = await this.#local.read(path, { maxBytes: maxClosedBytes });
    if (now !== undefined && Buffer.compare(now, bytes) === 0) await this.#local.remove(path);
  }
}

function beginsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return Buffer.compare(bytes.subarray(0, start.length), start) === 0;
}

function typeOf(path: string): string {
  return path.endsWith(".yaml") ? "application/yaml" : "text/plain; charset=utf-8";
}
