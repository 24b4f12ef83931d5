/** Native libraries (`.node` files), loaded without the search that `require` makes: the loaders that packages bring along take several milliseconds. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Loads a library by its path. What it exports; the same process may do it again. */
export function loadNative(path: string): unknown {
  const library = { exports: {} };
  process.dlopen(library, path);
  return library.exports;
}

/** The path of `file` in a package that is installed with us. Throws where the package isn't. */
export function nativePath(packageName: string, file: string): string {
  for (let folder = dirname(import.meta.filename); dirname(folder) !== folder; folder = dirname(folder)) {
    const path = join(folder, "node_modules", packageName, file);
    if (existsSync(path)) return path;
  }
  // Not every package manager has folders of this name.
  return join(dirname(createRequire(import.meta.filename).resolve(`${packageName}/package.json`)), file);
}
