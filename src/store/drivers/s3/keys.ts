/** Keys below the prefix of a datastore. What comes from the store is checked as strictly as what goes there: a key becomes a path somewhere. */
import { FenError } from "../../../kernel/errors.ts";

const maxKeyBytes = 1024;

/** How the keys of a datastore begin: `a/b` gives `a/b/`, none gives none. */
export function keyStart(prefix: string): string {
  return prefix === "" ? "" : `${prefix}/`;
}

/** `a/b` + `c` = `a/b/c`; throws `path_escapes` for a path that isn't one below a folder. */
export function keyOf(prefix: string, path: string): string {
  const key = `${keyStart(prefix)}${path}`;
  if (isSafePath(path) && Buffer.byteLength(key) <= maxKeyBytes) return key;
  throw new FenError("path_escapes", `Not a path in the datastore: ${JSON.stringify(path.slice(0, 100))}`, {
    hint: `It must not lead out of its folder, nor be longer than ${maxKeyBytes} bytes.`,
    facts: { path },
  });
}

/** The path of a key that the store named; undefined where it isn't one of ours: outside of the prefix, or not a path that may become a file. */
export function pathOf(prefix: string, key: string): string | undefined {
  const start = keyStart(prefix);
  if (!key.startsWith(start)) return undefined;
  const path = key.slice(start.length);
  return isSafePath(path) ? path : undefined;
}

/** Names between slashes, none of them empty, `.` or `..`, without what a filesystem or an XML document can't hold. */
export function isSafePath(path: string): boolean {
  return safe.test(path);
}

/** No backslash, no control character of ASCII, no half of a pair. Asked of each object in a list: every character is looked at once. */
const safe = /^(?:(?!\.{1,2}(?:\/|$))[ -.0-[\]-~\u0080-\ud7ff\ue000-\u{10ffff}]+(?:\/(?!$)|$))+$/u;
