import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Driver } from "./containerd.ts";

/** By containerd-shim-tssandbox-v1, as a handler of the given mode. */
export const ownShim = (mode: "namespace" | "sentry"): Driver => ({
  arguments: (workspace) => {
    const file = workspace.path(`${mode}.json`);
    writeFileSync(file, JSON.stringify({ mode, root: workspace.path("runtime") }));
    return ["--runtime", "io.containerd.tssandbox.v1", "--runtime-config-path", file];
  },
  shim: "dist/shim/tssandbox.cjs",
  directory: fileURLToPath(new URL("../../bin", import.meta.url)),
});
