// dist/tssandbox.cjs: runs the program from its code caches. A cache that V8 does not take costs time, not correctness.
"use strict";
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { Script } = require("node:vm");

const parts = new Map();

function load(name) {
  const known = parts.get(name);
  if (known !== undefined) return known.exports;
  const module = { exports: {} };
  parts.set(name, module);
  const filename = join(__dirname, `${name}.cjs`);
  const script = new Script(readFileSync(filename, "latin1"), { filename, cachedData: readFileSync(join(__dirname, `${name}.cache`)) });
  script.runInThisContext()(module.exports, requireOrLoad, module, filename, __dirname);
  return module.exports;
}

const requireOrLoad = (id) => (id.startsWith("part:") ? load(id.slice("part:".length)) : require(id));

load("main");
