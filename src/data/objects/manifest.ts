/**
 * The manifest of a model: which versions it has, and what they are. Values only. It is the model's `head` (decision 0007), so it must stay small: older entries
 * go into pages, which are named by their content and never change.
 */
import { FenError } from "../../kernel/errors.ts";
import { sha256Hex } from "../../kernel/hash.ts";
import { compareCodePoints } from "../../kernel/order.ts";
import { isRecord } from "../../repo/yaml.ts";
import { type Metadata, readMetadata } from "../metadata.ts";

export interface Entry {
  readonly number: number;
  /** Undefined for an adopted version: `metadata.yaml` beside its content says it. */
  readonly metadata?: Metadata;
}

/** Older entries of one name, in an object of their own. */
export interface Page {
  readonly sha256: string;
  readonly numbers: readonly number[];
}

interface Series {
  /** Ascending. */
  readonly entries: readonly Entry[];
  readonly pages: readonly Page[];
  /** The highest number that was ever given, where that version was removed. */
  readonly given?: number;
  /** Ascending: numbers that were passed over, since what a run that died has left has their keys. No version ever had them. */
  readonly skipped?: readonly number[];
}

export type Manifest = ReadonlyMap<string, Series>;

/** Beyond this the older half of the longest series goes into a page. */
export const comfortableBytes = 48 * 1024;
const formatVersion = 1;

export function numbersOf(manifest: Manifest, name: string): readonly number[] {
  const { entries = [], pages = [] } = manifest.get(name) ?? {};
  return [...pages.flatMap((page) => page.numbers), ...entries.map((entry) => entry.number)].sort((a, b) => a - b);
}

/** Names that have versions. */
export function namesOf(manifest: Manifest): string[] {
  return [...manifest].filter(([, { entries, pages }]) => entries.length + pages.length > 0).map(([name]) => name);
}

/** Above all that were ever given: no number comes twice. */
export function nextNumber(manifest: Manifest, name: string): number {
  return Math.max(numbersOf(manifest, name).at(-1) ?? 0, manifest.get(name)?.given ?? 0) + 1;
}

export function entryOf(manifest: Manifest, name: string, number: number): Entry | undefined {
  return manifest.get(name)?.entries.find((entry) => entry.number === number);
}

export function pageOf(manifest: Manifest, name: string, number: number): Page | undefined {
  return manifest.get(name)?.pages.find((page) => page.numbers.includes(number));
}

/** Ids of all versions whose metadata is here: what tells whether a commit of which nothing was heard was done. */
export function hasId(manifest: Manifest, id: string): boolean {
  return [...manifest.values()].some(({ entries }) => entries.some((entry) => entry.metadata?.id === id));
}

/** Versions whose metadata is here and is as asked for: the newest of each name. */
export function versionsWhere(manifest: Manifest, is: (metadata: Metadata) => boolean): readonly Metadata[] {
  return [...manifest.values()].flatMap(({ entries }) =>
    entries.flatMap(({ metadata }) => (metadata !== undefined && is(metadata) ? [metadata] : [])),
  );
}

/** Whether a version with this number, which isn't here, was here once and was removed. */
export function wasGiven(manifest: Manifest, name: string, number: number): boolean {
  return number < nextNumber(manifest, name) && manifest.get(name)?.skipped?.includes(number) !== true;
}

export function withVersions(manifest: Manifest, added: readonly Metadata[]): Manifest {
  const next = new Map(manifest);
  for (const metadata of added) {
    const { entries = [], pages = [], given = 0, skipped = [] } = next.get(metadata.name) ?? {};
    const all = [...entries, { number: metadata.version, metadata }].sort((a, b) => a.number - b.number);
    const series = { entries: all, pages, ...(given > metadata.version ? { given } : {}) };
    // Of two that share the lock the one with the higher number may be the faster one.
    next.set(metadata.name, withSkips(series, skipped, [metadata.version]));
  }
  return next;
}

/** The numbers from `from` up to `to`, without that, were passed over, as far as others haven't come by them. */
export function withSkipped(manifest: Manifest, name: string, { from, to }: { from: number; to: number }): Manifest {
  if (from >= to) return manifest;
  const { entries = [], pages = [], skipped = [], ...rest } = manifest.get(name) ?? {};
  const more = Array.from({ length: to - from }, (_, index) => from + index);
  const all = [...new Set([...skipped, ...more])].sort((a, b) => a - b);
  return new Map(manifest).set(name, withSkips({ entries, pages, ...rest }, all, numbersOf(manifest, name)));
}

function withSkips(series: Series, skipped: readonly number[], taken: readonly number[]): Series {
  const left = skipped.filter((number) => !taken.includes(number));
  return left.length === 0 ? series : { ...series, skipped: left };
}

/** Without these versions; where none is left, without the name (`namesOf`). Pages keep what they have: their numbers say what of it counts. */
export function withoutVersions(manifest: Manifest, name: string, numbers: readonly number[]): Manifest {
  const series = manifest.get(name);
  if (series === undefined) return manifest;
  const next = new Map(manifest);
  const { entries, pages, skipped = [] } = series;
  const left = entries.filter((entry) => !numbers.includes(entry.number));
  const leftPages = pages
    .map((page) => ({ ...page, numbers: page.numbers.filter((number) => !numbers.includes(number)) }))
    .filter((page) => page.numbers.length > 0);
  const shorter = withSkips({ entries: left, pages: leftPages }, skipped, []);
  next.set(name, shorter);
  const given = nextNumber(manifest, name) - 1;
  if (nextNumber(next, name) <= given) next.set(name, { ...shorter, given });
  return next;
}

/** The older half of the longest series as the text of a page, and the manifest with that page; undefined where it is short enough. */
export function spill(
  manifest: Manifest,
  limit = comfortableBytes,
): { readonly manifest: Manifest; readonly page: string; readonly sha256: string } | undefined {
  if (Buffer.byteLength(encodeManifest(manifest, "")) <= limit) return undefined;
  const [longest] = [...manifest].sort(([, a], [, b]) => b.entries.length - a.entries.length);
  if (longest === undefined || longest[1].entries.length < 2) return undefined;
  const [name, { entries, pages, ...rest }] = longest;
  const cut = Math.ceil(entries.length / 2);
  const page = JSON.stringify({ v: formatVersion, entries: entries.slice(0, cut).map(encodeEntry) });
  const sha256 = sha256Hex(page);
  const added = { sha256, numbers: entries.slice(0, cut).map((entry) => entry.number) };
  return {
    manifest: new Map(manifest).set(name, { entries: entries.slice(cut), pages: [...pages, added], ...rest }),
    page,
    sha256,
  };
}

// ------------------------------------------------------------------ as text

/** `stamp` makes each head unlike every other. */
export function encodeManifest(manifest: Manifest, stamp: string): string {
  const names = [...manifest]
    .sort(([a], [b]) => compareCodePoints(a, b))
    .map(([name, { entries, pages, given, skipped = [] }]) => ({
      name,
      entries: entries.map(encodeEntry),
      ...(given === undefined ? {} : { given }),
      ...(skipped.length === 0 ? {} : { skipped: rangesOf(skipped) }),
      ...(pages.length === 0
        ? {}
        : { pages: pages.map(({ sha256, numbers }) => ({ sha256, numbers: rangesOf(numbers) })) }),
    }));
  return JSON.stringify({ v: formatVersion, stamp, names });
}

function encodeEntry({ number, metadata }: Entry): unknown {
  if (metadata === undefined) return { number };
  const { name: _name, version: _version, ...rest } = metadata;
  return { number, ...rest };
}

/** Throws `data_corrupt` for anything but a manifest of this version. */
export function parseManifest(text: string, where: string): Manifest {
  const value = parseJson(text, where);
  if (!Array.isArray(value["names"])) throw corrupt(where);
  return new Map(
    value["names"].map((one: unknown) => {
      if (!isRecord(one) || typeof one["name"] !== "string" || !Array.isArray(one["entries"])) throw corrupt(where);
      const { name, entries, given } = one;
      const pages = Array.isArray(one["pages"]) ? one["pages"] : [];
      const skipped = Array.isArray(one["skipped"]) ? one["skipped"] : [];
      return [
        name,
        {
          entries: entries.map((entry: unknown) => parseEntry(entry, name, where)),
          pages: pages.map((page: unknown) => parsePage(page, where)),
          ...(isNumber(given) ? { given } : {}),
          ...(skipped.length === 0 ? {} : { skipped: skipped.flatMap((range: unknown) => numbersIn(range, where)) }),
        },
      ];
    }),
  );
}

/** The entries of one page. */
export function parsePageText(text: string, name: string, where: string): readonly Entry[] {
  const value = parseJson(text, where);
  if (!Array.isArray(value["entries"])) throw corrupt(where);
  return value["entries"].map((entry: unknown) => parseEntry(entry, name, where));
}

function parseEntry(value: unknown, name: string, where: string): Entry {
  if (!isRecord(value) || !isNumber(value["number"])) throw corrupt(where);
  const { number, ...rest } = value;
  if (Object.keys(rest).length === 0) return { number };
  return { number, metadata: readMetadata({ ...rest, name, version: number }, where) };
}

function parsePage(value: unknown, where: string): Page {
  if (!isRecord(value) || typeof value["sha256"] !== "string" || !/^[0-9a-f]{64}$/.test(value["sha256"]))
    throw corrupt(where);
  if (!Array.isArray(value["numbers"])) throw corrupt(where);
  return { sha256: value["sha256"], numbers: value["numbers"].flatMap((range: unknown) => numbersIn(range, where)) };
}

const longestRange = 1_000_000;

/** 1, 2, 3, 5 are written [1, 3], [5, 5]. */
function rangesOf(numbers: readonly number[]): (readonly [number, number])[] {
  const ranges: [number, number][] = [];
  for (const number of numbers) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] + 1 === number) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges;
}

function numbersIn(range: unknown, where: string): number[] {
  const [from, to]: unknown[] = Array.isArray(range) ? range : [];
  if (!isNumber(from) || !isNumber(to) || to < from || to - from > longestRange) throw corrupt(where);
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 1;
}

function parseJson(text: string, where: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw corrupt(where, error);
  }
  if (!isRecord(value) || value["v"] !== formatVersion) throw corrupt(where);
  return value;
}

function corrupt(where: string, cause?: unknown): FenError {
  return new FenError("data_corrupt", `The list of versions can't be read: ${where}`, {
    hint: "It may be from a newer version of fen. If not, bring the object back from a copy.",
    facts: { path: where },
    cause,
  });
}
