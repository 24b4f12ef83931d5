/** Loads a native library (a `.node` file) by its path, without the search that `require` makes. What it exports; the same process may do it again. */
export function loadNative(path: string): unknown {
  const library = { exports: {} };
  process.dlopen(library, path);
  return library.exports;
}
