/**
 * `datastore sync` in an object store (decision 0007). Older programs find versions by `.datastore-index.json` and read `metadata.yaml` and `latest` beside
 * them. All three are written from what the heads name, never the other way round; who knows heads reads none of them.
 *
 * The index is made from a list of what is there, and replaced on condition that nobody has replaced it since before that list was begun. So an index
 * names everything that was there when the one before it was made: of two that write it at once neither loses what the other has put.
 */
import { createHash } from "node:crypto";
import { FenError } from "../../kernel/errors.ts";
import type { Machine } from "../../kernel/machine.ts";
import { several } from "../../kernel/several.ts";
import type { ConditionalStore } from "../../store/conditional.ts";
import type { ObjectInfo, ObjectStore } from "../../store/objects.ts";
import type { VersionRef } from "../contract.ts";
import { dataFolder, modelFolder, type ModelRef } from "../layout.ts";
import { stringifyMetadata } from "../metadata.ts";
import type { DataSync, Transfer } from "../sync.ts";
import type { ContentCache } from "./content-cache.ts";
import type { Heads } from "./heads.ts";
import { numbersOf } from "./manifest.ts";
import type { ObjectVersions } from "./object-versions.ts";
import { Publications } from "./publications.ts";
import { contentPath, folderOf } from "./parts.ts";

export const indexPath = ".datastore-index.json";

/** What older programs keep in a datastore; everything else is none of their business. */
const theirs = [
  ...["definitions-evaluated", "workflows-evaluated", "data", "outputs", "workflow-runs", "secrets", "bundles"],
  ...["vault-bundles", "audit", "telemetry", "logs", "files"],
];
const atOnce = 8;
const maxTurns = 20;
const maxLatestBytes = 64;

export interface SyncParts {
  readonly machine: Machine;
  readonly objects: ObjectStore;
  readonly heads: Heads;
  readonly cache: ContentCache;
  readonly versions: ObjectVersions;
  /** As the store knows it. */
  keyOf(path: string): string;
  /** Over the whole datastore. */
  readonly conditional: Pick<ConditionalStore, "get" | "put">;
  /** Where locks are: small and urgent. */
  readonly turns: Pick<ConditionalStore, "get" | "put">;
}

type Listing = ReadonlyMap<string, ObjectInfo>;

export class ObjectSync implements DataSync {
  readonly #parts: SyncParts;
  readonly #publications: Publications;

  constructor(parts: SyncParts) {
    this.#parts = parts;
    this.#publications = new Publications({ machine: parts.machine, store: parts.turns });
  }

  async pull(): Promise<Transfer> {
    const { versions, cache, objects } = this.#parts;
    const errors: string[] = [];
    let files = 0;
    await several(this.#all(), atOnce, async (version) => {
      try {
        const sha256 = (await versions.metadata(version))?.checksum;
        // What has no hash can't be kept by it.
        if (sha256 === undefined || cache.has(sha256)) return;
        const options = { maxBytes: Number.MAX_SAFE_INTEGER, sha256 };
        if (await objects.getTo(contentPath(version), cache.path(sha256), options)) files++;
        else errors.push(...(await this.#missing(version)));
      } catch (error) {
        errors.push(damage(error));
      }
    });
    return { files, errors };
  }

  /** A word on content that isn't there, if its version still is: others may have removed both meanwhile. */
  async #missing(version: VersionRef): Promise<readonly string[]> {
    const { versions, objects } = this.#parts;
    if ((await objects.head(contentPath(version))) !== undefined) return []; // it came after the list
    const isNamed = numbersOf(await versions.refresh(version.model), version.name).includes(version.number);
    return isNamed ? [`The content is missing: ${objects.locate(contentPath(version))}`] : [];
  }

  async *#all(): AsyncIterable<VersionRef> {
    const { versions } = this.#parts;
    for (const model of await versions.models())
      for (const name of await versions.names(model))
        for (const number of await versions.numbers(model, name)) yield { model, name, number };
  }

  /** Of many that ask at once, in whatever place, one works for all who came before it began (`Publications`). */
  publish({ signal }: { readonly signal?: AbortSignal } = {}): Promise<Transfer> {
    return this.#publications.join(() => this.#publish(), signal);
  }

  async #publish(): Promise<Transfer> {
    const { conditional, machine } = this.#parts;
    let files = 0;
    for (let turn = 0; turn < maxTurns; turn++) {
      const before = await conditional.get(indexPath);
      const { entries, written, errors } = await this.#describe();
      files += written;
      if (written > 0) continue; // as the store lists it
      const body = this.#indexText(entries);
      if (before !== undefined && isSameIndex(before.body, body)) return { files, errors };
      const condition = before === undefined ? ({ ifAbsent: true } as const) : { ifMatch: before.etag };
      if (await this.#isPut(body, condition)) return { files: files + 1, errors };
      await machine.clock.sleep(turn * 20);
    }
    throw new FenError("store_unavailable", "Others write the index all the time.", {
      hint: "Run it again: fen datastore sync --push",
    });
  }

  /** False where it was refused, or nobody knows: then the next turn tells. */
  async #isPut(body: string, condition: { readonly ifAbsent: true } | { readonly ifMatch: string }): Promise<boolean> {
    try {
      return (await this.#parts.conditional.put(indexPath, body, condition)).outcome === "done";
    } catch (error) {
      if (error instanceof FenError && error.retryable) return false;
      throw error;
    }
  }

  /** Writes what is missing beside versions; gives what is in the datastore then, without what no head names. */
  async #describe(): Promise<{ entries: Listing; written: number; errors: readonly string[] }> {
    const listed = await this.#list();
    const below = byModel(listed.keys());
    const errors: string[] = [];
    let written = 0;
    await several(await this.#parts.heads.models(), atOnce, async (model) => {
      // What the older program left, and no head names yet, is as that program wants it.
      if ((await this.#parts.heads.read(model)) === undefined) return;
      // After the index was read: what that one names because others have committed it is named by this one, too.
      await this.#parts.versions.refresh(model);
      await this.#leaveOut(model, listed, below.get(modelFolder(model)) ?? []);
      const result = await this.#describeModel(model, listed);
      written += result.written;
      errors.push(...result.errors);
    });
    return { entries: listed, written, errors };
  }

  async #list(): Promise<Map<string, ObjectInfo>> {
    const listed = new Map<string, ObjectInfo>();
    const { folders } = await this.#parts.objects.entries("");
    for (const folder of folders.filter((name) => theirs.includes(name)))
      for await (const info of this.#parts.objects.list(folder))
        if (info.path.split("/").every((name) => !name.startsWith("."))) listed.set(info.path, info);
    return listed;
  }

  /** What isn't committed isn't in the index; a `latest` of a name that is gone is removed. */
  async #leaveOut(model: ModelRef, listed: Map<string, ObjectInfo>, paths: readonly string[]): Promise<void> {
    const { versions, objects } = this.#parts;
    const names = await versions.names(model);
    const named = new Map(
      await Promise.all(
        names.map(async (name): Promise<[string, Set<number>]> => [name, new Set(await versions.numbers(model, name))]),
      ),
    );
    const stale: string[] = [];
    for (const path of paths) {
      const [name = "", number = ""] = path.slice(modelFolder(model).length + 1).split("/");
      if (number === "latest" ? named.has(name) : named.get(name)?.has(Number(number)) === true) continue;
      listed.delete(path);
      if (number === "latest") stale.push(path);
    }
    await objects.removeAll(stale);
  }

  async #describeModel(
    model: ModelRef,
    listed: Map<string, ObjectInfo>,
  ): Promise<{ written: number; errors: readonly string[] }> {
    const { versions } = this.#parts;
    const errors: string[] = [];
    let written = 0;
    for (const name of await versions.names(model)) {
      const numbers = await versions.numbers(model, name);
      for (const number of numbers) {
        const version = { model, name, number };
        if (listed.has(contentPath(version))) written += await this.#describeVersion(version, listed);
        else errors.push(...(await this.#missing(version)));
      }
      const highest = numbers.at(-1);
      if (highest !== undefined)
        written += await this.#tellLatest(`${dataFolder(model, name)}/latest`, highest, listed);
    }
    return { written, errors };
  }

  async #describeVersion(version: VersionRef, listed: Map<string, ObjectInfo>): Promise<number> {
    const path = `${folderOf(version)}/metadata.yaml`;
    if (listed.has(path)) return 0;
    const metadata = await this.#parts.versions.metadata(version);
    if (metadata === undefined) return 0; // removed meanwhile
    await this.#put(path, stringifyMetadata(metadata), listed);
    return 1;
  }

  async #tellLatest(path: string, number: number, listed: Map<string, ObjectInfo>): Promise<number> {
    const text = String(number);
    const there = listed.get(path);
    if (there !== undefined && there.etag === createHash("md5").update(text).digest("hex")) return 0;
    const said = there === undefined ? undefined : await this.#parts.objects.get(path, { maxBytes: maxLatestBytes });
    if (said !== undefined && new TextDecoder().decode(said) === text) return 0;
    await this.#put(path, text, listed);
    return 1;
  }

  async #put(path: string, text: string, listed: Map<string, ObjectInfo>): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    await this.#parts.objects.put(path, bytes, { contentType: "application/yaml" });
    listed.set(path, { path, size: bytes.length, modifiedAt: this.#parts.machine.clock.now() });
  }

  #indexText(entries: Listing): string {
    const { machine } = this.#parts;
    const rows = [...entries.values()].map(({ path, size, modifiedAt }) => [
      path,
      {
        key: this.#parts.keyOf(path),
        size,
        lastModified: new Date(Number.isNaN(modifiedAt) ? 0 : modifiedAt).toISOString(),
      },
    ]);
    const lastPulled = new Date(machine.clock.now()).toISOString();
    return JSON.stringify({ version: 1, lastPulled, entries: Object.fromEntries(rows.sort(byPath)) });
  }
}

/** Paths by the folder of their model. */
function byModel(paths: Iterable<string>): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const path of paths) {
    const folder = /^(data\/.+?\/[0-9a-f-]{36})\//i.exec(path)?.[1];
    if (folder === undefined) continue;
    const others = found.get(folder);
    if (others === undefined) found.set(folder, [path]);
    else others.push(path);
  }
  return found;
}

function byPath([a]: readonly unknown[], [b]: readonly unknown[]): number {
  return String(a) < String(b) ? -1 : 1;
}

/** But for the time at which it was made. */
function isSameIndex(before: string, after: string): boolean {
  const withoutTime = (text: string) => text.replace(/"lastPulled":"[^"]*"/, "");
  return withoutTime(before) === withoutTime(after);
}

/** A damaged version is told; a store that fails ends the command. */
function damage(error: unknown): string {
  if (error instanceof FenError && error.kind === "bad_data") return error.message;
  throw error;
}
