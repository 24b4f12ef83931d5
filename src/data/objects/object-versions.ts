/**
 * Versions in an object store (decision 0007). A version is committed when the model's head names it, and by nothing else; content is written before, under
 * a key that nobody else writes. Reads are of the head, one request; content is fetched when it is asked for.
 */
import { compareCodePoints } from "../../kernel/order.ts";
import type { LocalFiles } from "../../store/contract.ts";
import type { Brought, CommitOptions, Held, Named, Settled, StagedRun, VersionRef, VersionStore } from "../contract.ts";
import { modelFolder, type ModelRef, stagingFolder, versionNumber } from "../layout.ts";
import { type Metadata, parseMetadata } from "../metadata.ts";
import { adopted, modelsIn } from "./adopt.ts";
import {
  type Entry,
  entryOf,
  type Manifest,
  namesOf,
  numbersOf,
  pageOf,
  parseManifest,
  parsePageText,
  spill,
  wasGiven,
  withoutVersions,
} from "./manifest.ts";
import { contentPath, folderOf, type ObjectParts } from "./parts.ts";
import { Pushes } from "./push.ts";

const maxMetadataBytes = 1024 * 1024;
const maxPageBytes = 16 * 1024 * 1024;
/** Nobody is at work on it any more; other programs that write to the bucket may take their time. */
const deadUploadMs = 24 * 3_600_000;
/** What was read is taken for the newest so long: one listing asks many things of one manifest. */
const freshMs = 100;

interface Known {
  readonly manifest: Promise<Manifest>;
  /** Monotonic; undefined while it is being read. */
  until: number | undefined;
}

export class ObjectVersions implements VersionStore {
  readonly local: LocalFiles;
  readonly takesFolder = false;
  readonly #parts: ObjectParts;
  readonly #pushes: Pushes;
  readonly #known = new Map<string, Known>();
  /** The page that was read last: who asks for one of its versions asks for others. */
  #page: { readonly path: string; readonly entries: Promise<readonly Entry[]> } | undefined;

  constructor(parts: ObjectParts) {
    this.local = parts.local;
    this.#parts = parts;
    this.#pushes = new Pushes(parts, {
      read: (model, held) => this.#read(model, held),
      shorten: (model, manifest) => this.#shorten(model, manifest),
      changed: (model) => void this.#known.delete(modelFolder(model)),
    });
  }

  /** What is committed now. */
  manifest(model: ModelRef): Promise<Manifest> {
    const key = modelFolder(model);
    const now = this.#parts.machine.clock.monotonic();
    const known = this.#known.get(key);
    if (known !== undefined && (known.until === undefined || now < known.until)) return known.manifest;
    const reading: Known = { manifest: this.#read(model), until: undefined };
    this.#known.set(key, reading);
    reading.manifest.then(
      () => (reading.until = this.#parts.machine.clock.monotonic() + freshMs),
      () => this.#known.delete(key),
    );
    return reading.manifest;
  }

  /** As `manifest`, read from now on: for who must not miss what others have committed a moment ago. */
  refresh(model: ModelRef): Promise<Manifest> {
    this.#known.delete(modelFolder(model));
    return this.manifest(model);
  }

  /** Takes what was read of the head just now for the newest. */
  learn(model: ModelRef, head: string): void {
    const folder = modelFolder(model);
    const manifest = Promise.resolve(parseManifest(head, folder));
    this.#known.set(folder, { manifest, until: this.#parts.machine.clock.monotonic() + freshMs });
  }

  async #read(model: ModelRef, held?: Held): Promise<Manifest> {
    const head = await this.#parts.heads.read(model, held);
    return head === undefined ? adopted(this.#parts.objects, model) : parseManifest(head, modelFolder(model));
  }

  async names(model: ModelRef): Promise<string[]> {
    return namesOf(await this.manifest(model)).sort(compareCodePoints);
  }

  async numbers(model: ModelRef, name: string): Promise<readonly number[]> {
    return numbersOf(await this.manifest(model), name);
  }

  async latestNumber(model: ModelRef, name: string): Promise<number | undefined> {
    return (await this.numbers(model, name)).at(-1);
  }

  async metadata(version: VersionRef): Promise<Metadata | undefined> {
    return this.#metadataIn(await this.manifest(version.model), version);
  }

  async #metadataIn(manifest: Manifest, { model, name, number }: VersionRef): Promise<Metadata | undefined> {
    const page = pageOf(manifest, name, number);
    const entry =
      page === undefined ? entryOf(manifest, name, number) : await this.#paged(model, name, { number, page });
    return entry === undefined || entry.metadata !== undefined
      ? entry?.metadata
      : this.#adoptedMetadata({ model, name, number });
  }

  async #paged(model: ModelRef, name: string, { number, page }: { number: number; page: { readonly sha256: string } }) {
    const path = pagePath(model, page.sha256);
    if (this.#page?.path !== path) this.#page = { path, entries: this.#readPage(path, name, page.sha256) };
    return (await this.#page.entries).find((entry) => entry.number === number);
  }

  async #readPage(path: string, name: string, sha256: string): Promise<readonly Entry[]> {
    try {
      const bytes = await this.#parts.objects.get(path, { maxBytes: maxPageBytes, sha256 });
      return bytes === undefined ? [] : parsePageText(new TextDecoder().decode(bytes), name, path);
    } catch (error) {
      this.#page = undefined;
      throw error;
    }
  }

  async #adoptedMetadata(version: VersionRef): Promise<Metadata | undefined> {
    const path = `${folderOf(version)}/metadata.yaml`;
    const bytes = await this.#parts.objects.get(path, { maxBytes: maxMetadataBytes });
    return bytes === undefined
      ? undefined
      : parseMetadata(new TextDecoder().decode(bytes), this.#parts.objects.locate(path));
  }

  async size(version: VersionRef): Promise<number> {
    const known = (await this.metadata(version).catch(() => undefined))?.size; // a damaged one: the object tells
    return known ?? (await this.#parts.objects.head(contentPath(version)))?.size ?? 0;
  }

  async read(version: VersionRef, { maxBytes }: { readonly maxBytes: number }): Promise<Uint8Array | undefined> {
    const { objects, cache } = this.#parts;
    const sha256 = (await this.metadata(version))?.checksum;
    if (sha256 === undefined) return objects.get(contentPath(version), { maxBytes });
    const cached = await cache.read(sha256, maxBytes);
    if (cached !== undefined) return cached;
    const bytes = await objects.get(contentPath(version), { maxBytes, sha256 });
    if (bytes !== undefined) cache.keep(bytes, sha256);
    return bytes;
  }

  /** From the cache; what isn't there is fetched into it first, whole and checked. */
  async *stream(version: VersionRef): AsyncIterable<Uint8Array> {
    yield* this.#pushes.stream(version, (await this.metadata(version))?.checksum);
  }

  locate(version: VersionRef): { readonly version: string; readonly content: string } {
    const { objects } = this.#parts;
    return { version: objects.locate(folderOf(version)), content: objects.locate(contentPath(version)) };
  }

  async models(): Promise<readonly ModelRef[]> {
    const [touched, found] = await Promise.all([this.#parts.heads.models(), modelsIn(this.#parts.objects)]);
    const all = new Map([...touched, ...found].map((model) => [modelFolder(model), model]));
    return [...all].sort(([a], [b]) => compareCodePoints(a, b)).map(([, model]) => model);
  }

  commit(run: StagedRun, held: Held, options: CommitOptions = {}): Promise<readonly Metadata[]> {
    return this.#pushes.commit(run, held, options);
  }

  /** What a head names is durable. */
  async keep(): Promise<void> {
    // Nothing is left to do.
  }

  /** What was once true stays so: an older manifest may say yes, a no is asked for anew. */
  async wasCommitted(model: ModelRef, versions: readonly Named[]): Promise<boolean> {
    const known = await this.#known.get(modelFolder(model))?.manifest.catch(() => undefined); // read anew below
    return (
      (known !== undefined && (await this.#hasCommitted(known, model, versions))) ||
      this.#hasCommitted(await this.refresh(model), model, versions)
    );
  }

  async #hasCommitted(manifest: Manifest, model: ModelRef, versions: readonly Named[]): Promise<boolean> {
    for (const { dataId, name, version: number } of versions) {
      if (numbersOf(manifest, name).includes(number)) {
        const metadata = await this.#metadataIn(manifest, { model, name, number });
        return metadata === undefined || metadata.id === dataId; // a damaged page says nothing against it
      }
      if (!wasGiven(manifest, name, number)) return false;
    }
    return true; // removed since
  }

  settle(model: ModelRef, held: Held, told?: (one: Settled) => Promise<void>): Promise<readonly Settled[]> {
    return this.#pushes.settle(model, held, told);
  }

  async remove(
    model: ModelRef,
    name: string,
    { numbers, held }: { readonly numbers: readonly number[]; readonly held: Held },
  ): Promise<number> {
    let bytes = 0;
    for (const number of numbers) bytes += await this.size({ model, name, number });
    const change = (manifest: Manifest) => withoutVersions(manifest, name, numbers);
    await this.#pushes.change(model, held, { change });
    await this.#parts.objects.removeAll(numbers.flatMap((number) => objectsOf({ model, name, number })));
    return bytes;
  }

  async forget(model: ModelRef, held: Held): Promise<void> {
    await this.#pushes.change(model, held, { change: () => new Map() });
    const doomed: string[] = [];
    for (const folder of [modelFolder(model), pagesFolder(model)])
      for await (const { path } of this.#parts.objects.list(folder)) doomed.push(path);
    await this.#parts.objects.removeAll(doomed);
    await this.local.remove(stagingFolder(model));
  }

  bring(model: ModelRef, versions: readonly Brought[], held: Held): Promise<void> {
    return this.#pushes.bring(model, versions, held);
  }

  /** Content that no head names, and parts of content that never became whole: of runs that died, or lost their locks. */
  async tidy(): Promise<void> {
    await this.#parts.objects.abandonUploads("data", { olderThanMs: deadUploadMs });
    for (const model of await this.#parts.heads.models()) {
      // What the older program left is not ours to judge before a head names it.
      if ((await this.#parts.heads.read(model)) === undefined) continue;
      const manifest = await this.manifest(model);
      const orphans: string[] = [];
      for await (const { path } of this.#parts.objects.list(modelFolder(model))) {
        const [name = "", digits = ""] = path.slice(modelFolder(model).length + 1).split("/");
        const number = versionNumber(digits);
        if (number !== undefined && !numbersOf(manifest, name).includes(number)) orphans.push(path);
      }
      await this.#parts.objects.removeAll(orphans);
    }
  }

  /** A manifest that fits into a head: what is too much goes into pages, which are there before anything names them. */
  async #shorten(model: ModelRef, manifest: Manifest): Promise<Manifest> {
    let current = manifest;
    for (let over = spill(current); over !== undefined; over = spill(current)) {
      await this.#parts.objects.put(pagePath(model, over.sha256), new TextEncoder().encode(over.page), {
        contentType: "application/json",
      });
      current = over.manifest;
    }
    return current;
  }
}

/** Everything that a version may consist of: adopted ones have metadata beside their content. */
function objectsOf(version: VersionRef): string[] {
  return [contentPath(version), `${folderOf(version)}/metadata.yaml`];
}

function pagesFolder({ type, id }: ModelRef): string {
  return `.fen/pages/${encodeURIComponent(`${type}/${id}`)}`;
}

function pagePath(model: ModelRef, sha256: string): string {
  return `${pagesFolder(model)}/${sha256}`;
}
