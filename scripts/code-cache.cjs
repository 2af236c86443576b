// Compiles every function of a bundle, not only those that run at once, and writes V8's bytecode: node FLAGS code-cache.cjs BUNDLE CACHE
"use strict";
const { readFileSync, writeFileSync } = require("node:fs");
const { setFlagsFromString } = require("node:v8");
const { Script } = require("node:vm");

const [bundle, cache] = process.argv.slice(2);
// Off again before the cache is made: V8 compares the flags that were set at both ends.
setFlagsFromString("--no-lazy");
setFlagsFromString("--no-flush-bytecode");
const source = readFileSync(bundle, "latin1");
const script = new Script(source, { filename: bundle });
setFlagsFromString("--lazy");
if (!process.execArgv.includes("--no-flush-bytecode")) setFlagsFromString("--flush-bytecode");
const data = script.createCachedData();
if (new Script(source, { filename: bundle, cachedData: data }).cachedDataRejected) throw new Error("V8 rejects the cache that it has just made");
writeFileSync(cache, data);
