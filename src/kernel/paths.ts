/** Names and paths that must stay inside a folder: records, data and definitions never lead out of theirs. */
import { isAbsolute, relative, resolve, sep } from "node:path";
import { FenError } from "./errors.ts";

/** True where a name holds nothing that could lead out of a folder: no `..`, `/`, `\` or NUL, not empty, not `.`. */
export function isSafeName(name: string): boolean {
  return name.length > 0 && name !== "." && !name.includes("..") && !/[/\\\0]/.test(name);
}

/** Resolves `path` (with `/`) inside `root`; throws `path_escapes` where it would leave it. Doesn't follow links. */
export function resolveInside(root: string, path: string): string {
  if (path.includes("\0") || isAbsolute(path)) throw escapes(root, path);
  const full = resolve(root, path);
  const rest = relative(root, full);
  if (rest === ".." || rest.startsWith(`..${sep}`) || isAbsolute(rest)) throw escapes(root, path);
  return full;
}

function escapes(root: string, path: string): FenError {
  return new FenError("path_escapes", `The path leads out of its folder: ${JSON.stringify(path)}`, {
    hint: `Paths must stay inside ${root}.`,
    facts: { path },
  });
}
