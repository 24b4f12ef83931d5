/**
 * `datastore sync` in an object store (decision 0007). Older programs find versions by `.datastore-index.json` and read `metadata.yaml` and `latest` beside
 * them. All three are written from what the heads name, never the other way round; who knows heads reads none of them.
 *
 * The index is made from a list of what is there, and replaced on condition that nobody has replaced it since before that list was begun. So an index
 * names everything that was there when the one before it was made: of two that write it at once neither loses what the other has put.
 */
import { createHash } from "node:crypto";
import { FenError } from "../../kernel/errors.ts";
import { isoTime } from "../../kernel/iso-time.ts";
import type { Machine } from "../../kernel/machine.ts";
import { compareCodePoints } from "../../kernel/order.ts";
import { several } from "../../kernel/several.ts";
import { type ConditionalStore, putOver } from "../../store/conditional.ts";
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
/** Of one that we have written. */
const indexStart = `{"version":1,"lastPulled":`;

/** What older programs keep in a datastore; everything else is none of their business. */
const theirs = [
  ...["definitions-evaluated", "workflows-evaluated", "data", "outputs", "workflow-runs", "secrets", "bundles"],
  ...["vault-bundles", "audit", "telemetry", "logs", "files"],
];
const atOnce = 8;
const maxTurns = 20;
const maxLatestBytes = 64;
/** Longer paths are no good for cutting. */
const maxCutChars = 600;
/** Of an index: a few thousand objects. */
const worthListingBytes = 1024 * 1024;
const maxGatherMs = 1000;

export interface SyncParts {
  readonly machine: Machine;
  readonly objects: ObjectStore;
  readonly heads: Heads;
  readonly cache: ContentCache;
  readonly versions: ObjectVersions;
  /** What stands before a path where the store names it. */
  readonly keyPrefix: string;
  /** Over the whole datastore. */
  readonly conditional: Pick<ConditionalStore, "get" | "put">;
  /** Where locks are: small and urgent. */
  readonly turns: Pick<ConditionalStore, "get" | "put">;
}

type Listing = ReadonlyMap<string, ObjectInfo>;

interface Described {
  readonly written: number;
  readonly errors: readonly string[];
}

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
        const { checksum: sha256, size } = (await versions.metadata(version)) ?? {};
        // What has no hash can't be kept by it.
        if (sha256 === undefined || cache.has(sha256, size)) return;
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
    return this.#publications.join((begins) => this.#publish(begins), signal);
  }

  async #publish(begins: () => Promise<void>): Promise<Transfer> {
    const { conditional, machine } = this.#parts;
    let files = 0;
    for (let turn = 0; turn < maxTurns; turn++) {
      const start = machine.clock.monotonic();
      const before = await conditional.get(indexPath);
      const tookMs = machine.clock.monotonic() - start;
      if (turn === 0 && (before?.body.length ?? 0) >= worthListingBytes) await this.#gather(tookMs, begins);
      const { listed, written, errors } = await this.#describe(before?.body);
      files += written;
      const entries = this.#entriesText(listed);
      // But for the time at which it was made.
      if (before?.body.startsWith(indexStart) === true && before.body.endsWith(entries)) return { files, errors };
      const body = `${indexStart}${JSON.stringify(new Date(machine.clock.now()))}${entries}`;
      const etag = before?.etag;
      if (await putOver(conditional, indexPath, { body, etag })) return { files: files + 1, errors };
      await machine.clock.sleep(turn * 20);
    }
    throw new FenError("store_unavailable", "Others write the index all the time.", {
      hint: "Run it again: fen datastore sync --push",
    });
  }

  /**
   * A list that takes long is begun a little later: whoever comes at the same time needs no other one then. Where it took longer to read what is there, in
   * whatever way the machine or the store is slow, those others come later, too.
   */
  async #gather(tookMs: number, begins: () => Promise<void>): Promise<void> {
    await this.#parts.machine.clock.sleep(Math.min(tookMs * 2, maxGatherMs));
    await begins();
  }

  /** Writes what is missing beside versions; gives what is in the datastore then, without what no head names. */
  async #describe(index: string | undefined): Promise<Described & { readonly listed: Listing }> {
    const listed = await this.#list(cutsIn(index ?? ""));
    const below = byModel(listed.keys());
    const errors: string[] = [];
    let written = 0;
    await several(await this.#parts.heads.models(), atOnce, async (model) => {
      // After the index was read: what that one names because others have committed it is named by this one, too.
      const head = await this.#parts.heads.read(model);
      // What the older program left, and no head names yet, is as that program wants it.
      if (head === undefined) return;
      this.#parts.versions.learn(model, head);
      const result = await this.#describeModel(model, listed, below.get(modelFolder(model)) ?? []);
      written += result.written;
      errors.push(...result.errors);
    });
    return { listed, written, errors };
  }

  /** In parts that are listed beside each other: each is a row of requests, and a bucket has many rows of them. */
  async #list(cuts: readonly string[]): Promise<Map<string, ObjectInfo>> {
    const { folders } = await this.#parts.objects.entries("");
    const parts = folders.filter((name) => theirs.includes(name)).flatMap((folder) => partsOf(folder, cuts));
    await several(parts, atOnce, (part) => this.#listPart(part));
    const listed = new Map<string, ObjectInfo>();
    for (const { found } of parts) for (const info of found) listed.set(info.path, info);
    return listed;
  }

  async #listPart({ folder, after, until, found }: Part): Promise<void> {
    for await (const info of this.#parts.objects.list(folder, after === undefined ? {} : { after })) {
      if (until !== undefined && compareCodePoints(info.path, until) > 0) break;
      if (!isHidden(info.path)) found.push(info);
    }
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

  /** Until nothing of it is missing. What was written is listed again: the index says of everything what the store does. */
  async #describeModel(model: ModelRef, listed: Map<string, ObjectInfo>, below: readonly string[]): Promise<Described> {
    let paths = below;
    let written = 0;
    for (let turn = 0; ; turn++) {
      await this.#leaveOut(model, listed, paths);
      const missing = await this.#writeMissing(model, listed);
      written += missing.written;
      if (missing.written === 0 || turn === maxTurns) return { ...missing, written };
      const now = new Map<string, ObjectInfo>();
      for await (const info of this.#parts.objects.list(modelFolder(model)))
        if (!isHidden(info.path)) now.set(info.path, info);
      for (const path of paths) listed.delete(path);
      for (const [path, info] of now) listed.set(path, info);
      paths = [...now.keys()];
    }
  }

  async #writeMissing(model: ModelRef, listed: Listing): Promise<Described> {
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

  async #describeVersion(version: VersionRef, listed: Listing): Promise<number> {
    const path = `${folderOf(version)}/metadata.yaml`;
    if (listed.has(path)) return 0;
    const metadata = await this.#parts.versions.metadata(version);
    if (metadata === undefined) return 0; // removed meanwhile
    await this.#put(path, stringifyMetadata(metadata));
    return 1;
  }

  async #tellLatest(path: string, number: number, listed: Listing): Promise<number> {
    const text = String(number);
    const there = listed.get(path);
    if (there !== undefined && there.etag === createHash("md5").update(text).digest("hex")) return 0;
    const said = there === undefined ? undefined : await this.#parts.objects.get(path, { maxBytes: maxLatestBytes });
    if (said !== undefined && new TextDecoder().decode(said) === text) return 0;
    await this.#put(path, text);
    return 1;
  }

  #put(path: string, text: string): Promise<void> {
    return this.#parts.objects.put(path, new TextEncoder().encode(text), { contentType: "application/yaml" });
  }

  /** The rest of an index, after the time at which it was made. */
  #entriesText(listed: Listing): string {
    const { keyPrefix } = this.#parts;
    const rows = [...listed.values()].sort(byPath).map(({ path, size, modifiedAt }) => {
      const lastModified = isoTime(Number.isNaN(modifiedAt) ? 0 : modifiedAt);
      return `${JSON.stringify(path)}:{"key":${JSON.stringify(keyPrefix + path)},"size":${size},"lastModified":"${lastModified}"}`;
    });
    return `,"entries":{${rows.join(",")}}}`;
  }
}

/** What is in a folder after one path, up to and with another. */
interface Part {
  readonly folder: string;
  readonly after: string | undefined;
  readonly until: string | undefined;
  readonly found: ObjectInfo[];
}

function partsOf(folder: string, cuts: readonly string[]): Part[] {
  const within = cuts.filter((path) => path.startsWith(`${folder}/`));
  return [...within, undefined].map((until, at) => ({ folder, after: within[at - 1], until, found: [] }));
}

/** Paths that cut the list of a large bucket into parts of about one size, as the index that is there has it. Wherever they are, the parts are the whole. */
function cutsIn(index: string): readonly string[] {
  const parts = Math.min(atOnce, Math.ceil(index.length / worthListingBytes));
  const cuts = Array.from({ length: Math.max(0, parts - 1) }, (_, number) => {
    const at = index.indexOf(`},"`, Math.floor((index.length * (number + 1)) / parts));
    // Anybody may have written it: only what is plain.
    return /^\},"((?:\w[\w@. -]*\/)+\w[\w@. -]*)":/.exec(index.slice(at, at + maxCutChars))?.[1] ?? [];
  });
  return [...new Set(cuts.flat())].sort(compareCodePoints);
}

/** What begins with a dot is of locks, and of our own. */
function isHidden(path: string): boolean {
  return /(?:^|\/)\./.test(path);
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

function byPath(a: ObjectInfo, b: ObjectInfo): number {
  return a.path < b.path ? -1 : 1;
}

/** A damaged version is told; a store that fails ends the command. */
function damage(error: unknown): string {
  if (error instanceof FenError && error.kind === "bad_data") return error.message;
  throw error;
}
