// In the bundle this stands for the package koffi: its addon, which the loader has loaded from beside the bundle.
module.exports = require("part:koffi");
