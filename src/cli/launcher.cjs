#!/usr/bin/env node
"use strict";
// Starts the command line with V8's code cache: the compiled code that the build left beside each chunk. A chunk's name carries the hash of its
// content, and V8 refuses a cache of another version of itself, so a cache can be out of place but never of other code. FEN_NO_CODE_CACHE=1 does without.
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

/**
 * Of one word in sixty-four: V8 doesn't look whether its cache is whole, and would crash. What a power cut leaves of a file, short or with zeros for pages, is
 * found so; to add up all of it would take longer than the cache saves.
 */
function sumOf(data) {
  const words = new Int32Array(data.buffer, data.byteOffset, data.length >> 2);
  let sum = data.length;
  for (let at = 0; at < words.length; at += 64) sum = (Math.imul(sum, 31) + words[at]) | 0;
  return sum;
}

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
      const file = readFileSync(cache);
      const data = file.subarray(0, -4);
      return file.readInt32LE(data.length) === sumOf(data) ? data : undefined;
    } catch {
      return undefined; // none was left for this chunk: it is compiled
    }
  }

  function write() {
    for (const [filename, script] of scripts) {
      const data = script.createCachedData();
      const sum = Buffer.alloc(4);
      sum.writeInt32LE(sumOf(data));
      writeFileSync(`${filename}${own}`, Buffer.concat([data, sum]));
    }
  }

  if (writes) process.on("exit", write);
  return load("./__ENTRY__");
}

loadChunks().main(process.argv.slice(2));
