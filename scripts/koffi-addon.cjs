// In the bundle this stands for the package koffi: its addon, loaded from beside the bundle.
const { join } = require("node:path");
process.dlopen(module, join(__dirname, "koffi.node"));
