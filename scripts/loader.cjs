// dist/tssandbox.cjs: runs main.cjs from its code cache. A cache that V8 does not take costs time, not correctness.
"use strict";
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { Script } = require("node:vm");

const filename = join(__dirname, "main.cjs");
const source = `(function (exports, require, module, __filename, __dirname) { ${readFileSync(filename, "latin1")}\n});`;
const script = new Script(source, { filename, cachedData: readFileSync(join(__dirname, "main.cache")) });
script.runInThisContext()(exports, require, module, filename, __dirname);
