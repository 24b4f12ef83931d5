#!/usr/bin/env node
"use strict";
// Starts the command line with V8's code cache: the compiled code that the build left beside each chunk. A chunk's name carries the hash of its
// content, and V8 refuses a cache of another version of itself, so a cache can be out of place but never wrong. FEN_NO_CODE_CACHE=1 does without.
const { Script } = require("node:vm");
const { readFileSync, writeFileSync } = require("node:fs");
const { dirname } = require("node:path");
const Module = require("node:module");

const here = dirname(__filename);
const writes = process.env.FEN_WRITE_CODE_CACHE === "1";
if (process.env.FEN_NO_CODE_CACHE !== "1") {
  const scripts = new Map();
  const compile = Module.prototype._compile;
  Module.prototype._compile = function (content, filename) {
    if (dirname(filename) !== here) return compile.call(this, content, filename);
    let cachedData;
    try {
      cachedData = readFileSync(`${filename}.cache`);
    } catch {
      cachedData = undefined;
    }
    const script = new Script(Module.wrap(content), { filename, cachedData });
    if (writes) scripts.set(filename, script);
    const require = Module.createRequire(filename);
    const own = (id) => (id.startsWith("./") ? this.require(id) : require(id));
    script.runInThisContext()(this.exports, own, this, filename, here);
  };
  if (writes) {
    process.on("exit", () => {
      for (const [filename, script] of scripts) writeFileSync(`${filename}.cache`, script.createCachedData());
    });
  }
}
require("./__ENTRY__").main(process.argv.slice(2));
