// dist/tssandbox.cjs: runs the program from its code caches. A cache that V8 does not take costs time, not correctness.
"use strict";
const { closeSync, fstatSync, openSync } = require("node:fs");
const { Script } = require("node:vm");

const addon = { exports: {} };
process.dlopen(addon, `${__dirname}/koffi.node`);
const koffi = addon.exports;
const libc = koffi.load(null);
const mmap = libc.func("mmap", "ulong", ["ulong", "ulong", "int", "int", "int", "long"]);
const munmap = libc.func("munmap", "int", ["ulong", "ulong"]);
const PROT_READ = 1;
const MAP_PRIVATE_POPULATE = 0x8002;

const parts = new Map([["koffi", addon]]);

function load(name) {
  const known = parts.get(name);
  if (known !== undefined) return known.exports;
  const module = { exports: {} };
  parts.set(name, module);
  const filename = `${__dirname}/${name}.cjs`;
  const text = map(filename);
  const cache = map(`${__dirname}/${name}.cache`);
  const script = new Script(text.bytes.latin1Slice(), { filename, cachedData: cache.bytes });
  for (const { address, size } of [text, cache]) munmap(address, size);
  script.runInThisContext()(module.exports, requireOrLoad, module, filename, __dirname);
  return module.exports;
}

/**
 * The pages of the kernel's cache: to read a megabyte into memory of one's own is to touch 250 pages. A build puts new files in the place of these
 * and does not write to them.
 */
function map(path) {
  const fd = openSync(path);
  const { size } = fstatSync(fd);
  const address = mmap(0, size, PROT_READ, MAP_PRIVATE_POPULATE, fd, 0);
  closeSync(fd);
  if (typeof address !== "number") throw new Error(`${path}: cannot be mapped`);
  // SAFETY: as long as the file, and used by `load` alone, which unmaps it when V8 has taken in what is in it.
  return { address, size, bytes: Buffer.from(koffi.view(address, size)) };
}

const requireOrLoad = (id) => (id.startsWith("part:") ? load(id.slice("part:".length)) : require(id));

load("main");
