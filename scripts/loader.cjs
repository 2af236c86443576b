// dist/tssandbox.cjs: runs the program from its code caches. A cache that V8 does not take costs time, not correctness.
"use strict";
const { readFileSync } = require("node:fs");
const { Script } = require("node:vm");

const parts = new Map();

function load(name) {
  const known = parts.get(name);
  if (known !== undefined) return known.exports;
  const module = { exports: {} };
  parts.set(name, module);
  const filename = `${__dirname}/${name}.cjs`;
  const text = readFileSync(filename);
  const cachedData = readFileSync(`${__dirname}/${name}.cache`);
  const script = new Script(text.latin1Slice(), { filename, cachedData });
  release(text);
  release(cachedData);
  script.runInThisContext()(module.exports, requireOrLoad, module, filename, __dirname);
  return module.exports;
}

/** A start is over before the first collection, and forked children would have these megabytes for as long as they live. */
function release({ buffer, byteLength }) {
  if (buffer.byteLength === byteLength) buffer.transfer(0);
}

const requireOrLoad = (id) => (id.startsWith("part:") ? load(id.slice("part:".length)) : require(id));

load("main");
