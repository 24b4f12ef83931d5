/**
 * Versions in folders: `data/<type>/<id>/<name>/<n>/{metadata.yaml,raw}` and `latest`. A version is there whole or not at all and never changes;
 * how it comes there is told in commit.ts.
 */
import { FenError } from "../kernel/errors.ts";
import type { LocalFiles } from "../store/contract.ts";
import { highestNumber, saidNumber } from "../store/in-order.ts";
import { commitFolder, prepareFolder, settleFolders, unlessStoreFails } from "./commit.ts";
import { hashOf, otherContent } from "./brought.ts";
import type {
  Brought,
  Held,
  Preparing,
  Settled,
  StagedRun,
  VersionName,
  VersionRef,
  VersionStore,
} from "./contract.ts";
import { dataFolder, latestOf, modelFolder, type ModelRef, stagingFolder, versionFolder } from "./layout.ts";
import { goneName, removeLeftovers } from "./leftovers.ts";
import { type Metadata, parseMetadata, stringifyMetadata } from "./metadata.ts";

const maxMetadataBytes = 1024 * 1024;

/** Versions on their way here from elsewhere. */
const bringing = ".fen/bringing";

export class FolderVersions implements VersionStore {
  readonly local: LocalFiles;
  readonly takesFolder = true;
  /** What was committed last under a lease, by folder: who commits again under it needn't read a list of all versions that grows with each. */
  readonly #highest = new WeakMap<Held, Map<string, number>>();

  constructor(files: LocalFiles) {
    this.local = files;
  }

  async names(model: ModelRef): Promise<string[]> {
    const entries = await this.local.list(modelFolder(model));
    return entries.filter((entry) => entry.kind === "folder" && !entry.name.startsWith(".")).map((entry) => entry.name);
  }

  async numbers(model: ModelRef, name: string): Promise<number[]> {
    const entries = await this.local.list(dataFolder(model, name));
    return entries
      .filter((entry) => entry.kind === "folder" && /^[1-9]\d*$/.test(entry.name))
      .map((entry) => Number(entry.name))
      .sort((a, b) => a - b);
  }

  /** One more than the highest number in use. */
  async nextNumber(model: ModelRef, name: string): Promise<number> {
    return (await highestNumber(this.local, dataFolder(model, name))) + 1;
  }

  /**
   * Where this lease committed, or found, the highest number, and `latest` still says that one, nobody (a command that its holder calls) has come between: each who
   * commits or removes writes `latest`.
   */
  highestFor(
    model: ModelRef,
    name: string,
    held: Held,
  ): { readonly file: string; readonly number: number } | undefined {
    const folder = dataFolder(model, name);
    const number = this.#highest.get(held)?.get(folder);
    return number === undefined ? undefined : { file: latestOf(model, name), number };
  }

  /** Remembers the highest numbers: what was committed just now, or found so. Where others may commit at the same time, there is nothing to remember. */
  noteHighest(model: ModelRef, versions: readonly VersionName[], held: Held): void {
    if (held.grants.some(({ mode, holding }) => mode !== "exclusive" || holding.under !== undefined)) return;
    const highest = this.#highest.get(held) ?? new Map<string, number>();
    for (const { name, version } of versions) highest.set(dataFolder(model, name), version);
    this.#highest.set(held, highest);
  }

  /** What `latest` says if it is there, else the highest number. */
  async latestNumber(model: ModelRef, name: string): Promise<number | undefined> {
    const numbers = await this.numbers(model, name);
    const number = await saidNumber(this.local, latestOf(model, name)); // a link to a folder, or garbage: the numbers tell
    return numbers.includes(number) && number >= (numbers.at(-1) ?? 0) ? number : numbers.at(-1);
  }

  async metadata(version: VersionRef): Promise<Metadata | undefined> {
    const path = `${folderOf(version)}/metadata.yaml`;
    const bytes = await this.local.read(path, { maxBytes: maxMetadataBytes });
    return bytes === undefined ? undefined : parseMetadata(new TextDecoder().decode(bytes), this.local.locate(path));
  }

  async size(version: VersionRef): Promise<number> {
    return (await this.local.stat(`${folderOf(version)}/raw`))?.size ?? 0;
  }

  read(version: VersionRef, options: { readonly maxBytes: number }): Promise<Uint8Array | undefined> {
    return this.local.read(`${folderOf(version)}/raw`, options);
  }

  stream(version: VersionRef): AsyncIterable<Uint8Array> {
    return this.local.stream(`${folderOf(version)}/raw`);
  }

  locate(version: VersionRef): { readonly version: string; readonly content: string } {
    const folder = folderOf(version);
    return { version: this.local.locate(folder), content: this.local.locate(`${folder}/raw`) };
  }

  async models(): Promise<ModelRef[]> {
    const found: ModelRef[] = [];
    const walk = async (segments: readonly string[]): Promise<void> => {
      for (const entry of await this.local.list(["data", ...segments].join("/"))) {
        if (entry.kind !== "folder") continue;
        if (/^[0-9a-f-]{36}$/i.test(entry.name)) found.push({ type: segments.join("/"), id: entry.name });
        else if (segments.length < 8) await walk([...segments, entry.name]);
      }
    };
    await walk([]);
    return found;
  }

  async prepare(run: Preparing, names: readonly string[], held: Held): Promise<void> {
    await prepareFolder(this.local, run, names);
    // So that the commit needn't read the lists of all versions.
    for (const name of names) {
      const version = await highestNumber(this.local, dataFolder(run.model, name));
      this.noteHighest(run.model, [{ name, version }], held);
    }
  }

  commit(run: StagedRun, held: Held): Promise<readonly Metadata[]> {
    return commitFolder(this, run, held);
  }

  keep(model: ModelRef, versions: readonly VersionName[]): Promise<void> {
    return this.local.keep(versions.map(({ name, version }) => versionFolder(model, name, version)));
  }

  /** Records are written after the commit. */
  async wasCommitted(): Promise<boolean> {
    return true;
  }

  settle(model: ModelRef, _held?: Held, told?: (one: Settled) => Promise<void>): Promise<readonly Settled[]> {
    return settleFolders(this, model, told);
  }

  async remove(
    model: ModelRef,
    name: string,
    { numbers, held }: { readonly numbers: readonly number[]; readonly held: Held },
  ): Promise<number> {
    await held.assertHeld();
    let bytes = 0;
    for (const number of numbers) bytes += await this.size({ model, name, number });
    const folder = dataFolder(model, name);
    const present = await this.numbers(model, name);
    const isAll = present.length > 0 && present.every((number) => numbers.includes(number));
    // Somebody may have put a link in its place: what is behind it has no other name.
    const isOne = isAll && (await this.local.stat(folder))?.kind === "folder";
    if (!isOne) for (const number of numbers) await this.#takeAway(folderOf({ model, name, number }));
    if (isAll) await this.#takeAway(folder);
    else await this.setLatest(model, name);
    return bytes;
  }

  async forget(model: ModelRef, held: Held): Promise<void> {
    await held.assertHeld();
    for (const name of await this.names(model)) await this.#takeAway(`${modelFolder(model)}/${name}`);
    await removeLeftovers(this.local, modelFolder(model));
    await this.local.remove(stagingFolder(model));
  }

  /**
   * At one moment: who dies while it is removed leaves it under a name that nobody reads. Where that name can't be given (a mount point, a lower layer of
   * an overlay) it goes file by file; what can't be removed gets its name back.
   */
  async #takeAway(folder: string): Promise<void> {
    const place = folder.slice(0, folder.lastIndexOf("/"));
    for (let number = 1; ; number++) {
      const gone = `${place}/${goneName(number)}`;
      await unlessStoreFails(this.local.remove(gone)); // who died; somebody else's may have to stay
      const outcome = await this.#rename(folder, gone);
      if (outcome === "taken") continue;
      if (outcome !== "adopted") await this.local.remove(folder);
      else
        await this.local.remove(gone).catch(async (error: unknown) => {
          if (!(error instanceof FenError) || (await this.#rename(gone, folder)) !== "adopted") throw error;
          await this.local.remove(folder); // says by its own name what can't be removed
        });
      return;
    }
  }

  async #rename(from: string, to: string): Promise<"adopted" | "taken" | "absent" | "impossible"> {
    return this.local.adopt(from, to, { durable: false }).catch((error: unknown) => {
      if (error instanceof FenError) return "impossible";
      throw error;
    });
  }

  async bring(model: ModelRef, versions: readonly Brought[], held: Held): Promise<void> {
    await held.assertHeld();
    for (const { metadata, file } of versions) {
      const folder = `${bringing}/${metadata.id}`;
      const target = versionFolder(model, metadata.name, metadata.version);
      await this.local.remove(folder); // of one that was killed while it brought this very version
      await this.local.write(`${folder}/metadata.yaml`, stringifyMetadata(metadata));
      const raw = await this.local.create(`${folder}/raw`);
      for await (const chunk of this.local.stream(file)) raw.append(chunk);
      await raw.close();
      await this.local.settle(folder);
      if ((await this.local.adopt(folder, target)) === "taken") await this.local.remove(folder);
      if ((await hashOf(this.local.stream(`${target}/raw`))) !== metadata.checksum)
        throw otherContent(metadata, this.local.locate(target));
    }
    for (const name of new Set(versions.map(({ metadata }) => metadata.name))) await this.setLatest(model, name);
    await this.local.remove(bringing);
  }

  async tidy(): Promise<void> {
    for (const folder of ["data", "outputs"])
      await removeLeftovers(this.local, folder, (path) => unlessStoreFails(this.local.remove(path)));
  }

  /** Writes `latest` as the highest number there is. */
  async setLatest(model: ModelRef, name: string): Promise<void> {
    const highest = (await this.numbers(model, name)).at(-1);
    if (highest !== undefined) await this.setLatestFrom(model, name, highest);
  }

  /**
   * As `setLatest`, for whoever knows that `highest` was the highest. Several may do so at once: who finds a higher number
   * after writing (numbers are given out one after the other) writes again.
   */
  async setLatestFrom(model: ModelRef, name: string, highest: number): Promise<void> {
    let number = highest;
    for (;;) {
      await this.local.write(latestOf(model, name), String(number), { durable: false });
      if ((await this.local.stat(versionFolder(model, name, number + 1))) === undefined) return;
      const next = (await this.numbers(model, name)).at(-1) ?? number;
      if (next <= number) return;
      number = next;
    }
  }
}

function folderOf({ model, name, number }: VersionRef): string {
  return versionFolder(model, name, number);
}
