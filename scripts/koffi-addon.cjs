// In the bundle this stands for the package koffi: its addon, loaded from beside the bundle, or from where scripts/bundle.ts is told that it is.
const { join } = require("node:path");
process.dlopen(module, join(__dirname, KOFFI_ADDON));
