// In the bundle this stands for the package koffi: its addon, loaded from beside the bundle, or from where scripts/bundle.ts is told that it is.
process.dlopen(module, `${__dirname}/${KOFFI_ADDON}`);
