/** YAML files that carry a name and an id: found by what is in them, wherever they lie below their folder. */
import { type Dirent, realpathSync, statSync } from "node:fs";
import { basename, join, relative, sep } from "node:path";
import { FenError, storeError } from "../kernel/errors.ts";
import { isAbsence, listFolder, readBytes, readBytesNow } from "../kernel/files.ts";
import { sha256Hex } from "../kernel/hash.ts";
import { compareCodePoints } from "../kernel/order.ts";
import type { Layout } from "./repository.ts";
import { decodeYaml } from "./yaml.ts";

export const maxDefinitionBytes = 1024 * 1024;

/** Waits for a file to be ours alone, until released or until our process ends. */
export type ClaimFile = (path: string) => Promise<{ release(): void }>;

const uuidPattern =
  /^([0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|0{8}-0{4}-0{4}-0{4}-0{12}|f{8}-f{4}-f{4}-f{4}-f{12})$/i;

export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}

/** True for what may be an id in lower case, or its first digits: at least three. */
export function isIdPrefix(text: string): boolean {
  return /^[0-9a-f][0-9a-f-]{2,35}$/.test(text);
}

/** The file whose lock is the claim on a name: whoever makes something of that name, or renames it so, holds it meanwhile. */
export function claimPath(layout: Layout, name: string): string {
  return join(layout.runtimeDir, "name-claims", sha256Hex(name));
}

export interface Found<T> {
  readonly byName: readonly T[];
  readonly byId: readonly T[];
  /** What is wrong with files that seem to be meant, but can't be used. */
  readonly broken: readonly FenError[];
}

/** All files of that name or id. Loads only those whose text could be. */
export async function findNamed<T>(
  nameOrId: string,
  files: readonly string[],
  options: { load(file: string): Promise<T>; identify(loaded: T): { readonly name: string; readonly id: string } },
): Promise<Found<T>> {
  const found: { byName: T[]; byId: T[]; broken: FenError[] } = { byName: [], byId: [], broken: [] };
  for (const file of files.filter((one) => mentions(one, nameOrId))) {
    try {
      const loaded = await options.load(file);
      const { name, id } = options.identify(loaded);
      if (name === nameOrId) found.byName.push(loaded);
      else if (id === nameOrId.toLowerCase()) found.byId.push(loaded);
    } catch (error) {
      if (!(error instanceof FenError)) throw error;
      if (claimsName(file, nameOrId)) found.broken.push(error);
    }
  }
  return found;
}

/**
 * YAML files under a folder, in code point order. Links are followed only to files of the repository that aren't under the folder anyway. A pipe or the
 * like is among them: whoever reads it tells that it can't be used.
 */
export function yamlFilesUnder(folder: string, repository: string, top = folder): string[] {
  return entriesOf(folder).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return yamlFilesUnder(path, repository, top);
    if (!entry.name.endsWith(".yaml") || entry.name.startsWith(".")) return [];
    return !entry.isSymbolicLink() || leadsElsewhere(path, repository, top) ? [path] : [];
  });
}

/** In code point order; none where there is no such folder. */
export function entriesOf(folder: string): Dirent[] {
  try {
    return listFolder(folder).sort((a, b) => compareCodePoints(a.name, b.name));
  } catch (error) {
    if (isAbsence(error)) return [];
    throw storeError(error, "the folder", folder);
  }
}

/** True for a link to a file of the repository that isn't found by itself: one of those would be there twice. */
function leadsElsewhere(path: string, repository: string, top: string): boolean {
  try {
    const real = realpathSync(path);
    const target = relative(realpathSync(repository), real);
    const isFoundAnyway = real.startsWith(`${realpathSync(top)}${sep}`) && real.endsWith(".yaml");
    return !target.startsWith("..") && !isFoundAnyway && !statSync(path).isDirectory();
  } catch {
    return false; // a link to nowhere
  }
}

/** Undefined where there is no file. Throws `yaml_invalid` where it isn't UTF-8, `file_too_large`. */
export async function readDefinitionText(file: string): Promise<string | undefined> {
  const bytes = await readBytes(file, maxDefinitionBytes);
  return bytes === undefined ? undefined : decodeYaml(bytes, file);
}

/** As `readDefinitionText`, at once; bytes that aren't UTF-8 become U+FFFD. */
export function readSmall(file: string): string {
  const bytes = readBytesNow(file, maxDefinitionBytes);
  if (bytes === undefined)
    throw new FenError("store_unavailable", `The definition is gone: ${file}`, { next: "run the command again." });
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");
}

/** `name`, `modelIdOrName` or the like, in any style, and a text that isn't what its letters say: a block, one with escapes, or with a quote in quotes. */
const otherwiseWritten = /name["']?\s*:\s*(?:[&!]\S*\s+)*(?:[|>]|"[^"]*\\|'[^'\n]*'')/i;

/** A cheap look before parsing: could this file be the one? */
export function mentions(file: string, nameOrId: string): boolean {
  if (isUuid(nameOrId) && file.toLowerCase().includes(nameOrId.toLowerCase())) return true;
  if (isCalledSo(file, nameOrId)) return true;
  try {
    const text = readSmall(file);
    const wanted = nameOrId.toLowerCase();
    const letters = text.toLowerCase();
    return (
      letters.includes(wanted) ||
      otherwiseWritten.test(text) ||
      (wanted.includes(" ") && letters.replaceAll(/\s+/g, " ").includes(wanted)) // over several lines
    );
  } catch (error) {
    if (error instanceof FenError) return false; // too large, or not ours to read: it hides no other
    throw error;
  }
}

/** Files are often called by the name of what is in them. */
function isCalledSo(file: string, nameOrId: string): boolean {
  return [nameOrId, `workflow-${nameOrId}`].includes(basename(file, ".yaml"));
}

/** True where a file that can't be used seems to be the one that was asked for. */
function claimsName(file: string, nameOrId: string): boolean {
  if (isCalledSo(file, nameOrId) || (isUuid(nameOrId) && file.toLowerCase().includes(nameOrId.toLowerCase())))
    return true;
  const head = readSmall(file);
  // At the top of the document, in either style.
  return new RegExp(`^((name|id)| ? ?"(name|id)"):\\s*["']?${escapeWord(nameOrId)}["']?\\s*,?\\s*$`, "m").test(head);
}

/** For use in a pattern. */
export function escapeWord(word: string): string {
  return word.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
