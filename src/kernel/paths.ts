/** Names and paths that must stay inside a folder: records, data and definitions never lead out of theirs. */
import { isAbsolute, relative, resolve, sep } from "node:path";
import { FenError } from "./errors.ts";

/** True where a name holds nothing that could lead out of a folder: no `..`, `/`, `\` or NUL, not empty, not `.`. */
export function isSafeName(name: string): boolean {
  return name.length > 0 && name !== "." && !name.includes("..") && !/[/\\\0]/.test(name);
}

/** Names with `/` between them, none of which means more than itself: to be put behind the root as they are, as nearly all are. */
const plainPath = /^(?!\.{0,2}(?:\/|$))[^/\\\0]+(?:\/(?!\.{0,2}(?:\/|$))[^/\\\0]+)*$/;

/** Resolves `path` (with `/`) inside `root` (absolute, normalized); throws `path_escapes` where it would leave it. Doesn't follow links. */
export function resolveInside(root: string, path: string): string {
  if (sep === "/" && root.length > 1 && plainPath.test(path)) return `${root}/${path}`;
  if (path.includes("\0") || isAbsolute(path)) throw escapes(root, path);
  const full = resolve(root, path);
  const rest = relative(root, full);
  if (rest === ".." || rest.startsWith(`..${sep}`) || isAbsolute(rest)) throw escapes(root, path);
  return full;
}

/** The path of a name in a folder whose own path is in order: `join` would look at every character of it again. */
export function inFolder(folder: string, name: string): string {
  return `${folder}${sep}${name}`;
}

/** The part of `path` behind `folder`, or undefined where it isn't inside. Both absolute and normalized. */
export function behindFolder(folder: string, path: string): string | undefined {
  const start = folder.endsWith(sep) ? folder : `${folder}${sep}`;
  return path.startsWith(start) ? path.slice(start.length) : undefined;
}

function escapes(root: string, path: string): FenError {
  return new FenError("path_escapes", `The path leads out of its folder: ${JSON.stringify(path)}`, {
    hint: `Paths must stay inside ${root}.`,
    facts: { path },
  });
}
