// In the bundle this stands for the package koffi: its addon, loaded from beside the bundle.
process.dlopen(module, `${__dirname}/koffi.node`);
