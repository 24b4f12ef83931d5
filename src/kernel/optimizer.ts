/** When V8 optimizes a function. It does so in threads of its own: for nothing, where commands wait for these processors and we mostly wait for the commands. */

/**
 * What makes V8 optimize four times later than it would by itself. Undefined for versions of which we don't know: they complain of a flag that they don't know.
 * `v8`: its version, as in `process.versions`.
 */
export function laterFlag(v8: string): string | undefined {
  const [major] = v8.split(".");
  if (major === "11") return "--interrupt-budget=270336"; // bytes of code that were run: Node 20
  return major === "12" || major === "13" ? "--invocation-count-for-turbofan=12000" : undefined; // Node 22, 24
}

/** Code of the cache is only taken with the flags that it was made with: by then what a run needs has been loaded. */
const afterMs = 100;

/** A moment later, and for good. May be called again. */
export function optimizeLater(): void {
  const flag = laterFlag(process.versions.v8);
  if (flag === undefined || process.env["FEN_WRITE_CODE_CACHE"] === "1") return;
  // Few need that library: it is loaded for them only.
  setTimeout(() => process.getBuiltinModule("node:v8").setFlagsFromString(flag), afterMs).unref();
}
