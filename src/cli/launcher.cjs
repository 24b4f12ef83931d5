#!/usr/bin/env node
"use strict";
// Starts the command line with V8's code cache: the compiled code that the build left beside each chunk. A chunk's name carries the hash of its
// content, and V8 refuses a cache of another version of itself, so a cache can be out of place but never wrong. FEN_NO_CODE_CACHE=1 does without.
// Chunks are functions of (exports, require, module, __filename, __dirname) already; they are loaded here and not by Node's own loader, whose
// search for files costs as much as running them.
const { Script } = require("node:vm");
const { readFileSync, writeFileSync } = require("node:fs");

const writes = process.env.FEN_WRITE_CODE_CACHE === "1";
const reads = process.env.FEN_NO_CODE_CACHE !== "1";
/** What is run most, and often many at once, has caches of its own, with no more than it needs: to load more takes longer. */
const line = `${process.argv.slice(2).join(" ")} `;
const often = ["model method run", "workflow run"].find((words) => line.startsWith(`${words} `));
const own = often === undefined ? ".cache" : `.${often.replaceAll(" ", "-")}.cache`;

/** Loads chunk after chunk, each once; gives the first one. */
function loadChunks() {
  const chunks = new Map();
  const scripts = new Map();

  function load(id) {
    if (!id.startsWith("./")) return require(id);
    const loaded = chunks.get(id);
    if (loaded !== undefined) return loaded.exports;
    const filename = `${__dirname}/${id.slice(2)}`;
    const script = new Script(readFileSync(filename, "utf8"), { filename, cachedData: cacheOf(filename) });
    if (writes) scripts.set(filename, script);
    const chunk = { exports: {} };
    chunks.set(id, chunk);
    script.runInThisContext()(chunk.exports, load, chunk, filename, __dirname);
    return chunk.exports;
  }

  function cacheOf(filename) {
    if (!reads) return undefined;
    return read(`${filename}${own}`) ?? (writes ? undefined : read(`${filename}.cache`));
  }

  function read(cache) {
    try {
      return readFileSync(cache);
    } catch {
      return undefined; // none was left for this chunk: it is compiled
    }
  }

  if (writes) {
    process.on("exit", () => {
      for (const [filename, script] of scripts) writeFileSync(`${filename}${own}`, script.createCachedData());
    });
  }
  return load("./__ENTRY__");
}

loadChunks().main(process.argv.slice(2));
