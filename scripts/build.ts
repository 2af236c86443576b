/**
 * Builds the program into dist/, for a fast cold start (docs/decisions/0002-cold-start.md):
 *   main.cjs       everything in one CommonJS file
 *   main.cache     V8's bytecode for all of its functions
 *   tssandbox.cjs  loads the two
 *   koffi.node     the FFI addon
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import { build, type Plugin } from "esbuild";
import { VERSION } from "../runtime/version.ts";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");

/** Modules that Node itself has loaded by then. All others take milliseconds, and most commands never use them. */
const LOADED: ReadonlySet<string> = new Set(["node:events", "node:fs", "node:os", "node:path", "node:process"]);

/** The real module is loaded at the first use of one of its properties. It stands behind a prototype because esbuild copies own ones. */
const lazyBuiltins: Plugin = {
  name: "lazy-builtins",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:/ }, ({ path, namespace }) => (namespace === "lazy" || LOADED.has(path) ? { path, external: true } : { path, namespace: "lazy" }));
    onLoad({ filter: /.*/, namespace: "lazy" }, ({ path }) => ({
      contents: `module.exports = Object.create(new Proxy({}, { get: (_, key) => require(${JSON.stringify(path)})[key] }));`,
    }));
  },
};

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
if (manifest.version !== VERSION) throw new Error(`package.json says ${manifest.version}, runtime/version.ts ${VERSION}`);

mkdirSync(dist, { recursive: true });
await build({
  entryPoints: [join(root, "runtime/main.ts")],
  outfile: join(dist, "main.cjs"),
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node26",
  minifySyntax: true,
  charset: "ascii",
  // koffi's own loader looks for its addon in ten places, which takes 10 ms; ours knows where it is.
  alias: { koffi: join(root, "scripts/koffi-addon.cjs") },
  plugins: [lazyBuiltins],
  legalComments: "none",
  define: { TSSANDBOX_COMMIT: JSON.stringify(commit()) },
});
copyFileSync(addonPath(), join(dist, "koffi.node"));
copyFileSync(join(root, "scripts/loader.cjs"), join(dist, "tssandbox.cjs"));
makeCodeCache();

/** Outside of a checkout, from a package for example, there is no commit to tell. */
function commit(): string {
  const result = spawnSync("git", ["-C", root, "describe", "--always", "--dirty", "--abbrev=12"], { encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim() : "unknown";
}

function addonPath(): string {
  const koffi = dirname(createRequire(import.meta.url).resolve("koffi"));
  return join(koffi, "../@koromix/koffi-linux-x64/linux_x64/koffi.node");
}

/** V8 takes a cache only from the same version with the same flags: those that bin/tssandbox passes. */
function makeCodeCache(): void {
  const flags = readFileSync(join(root, "bin/tssandbox"), "utf8").match(/--(single-threaded|v8-pool-size=\S+|m\S+-semi-space-size=\S+)/g) ?? [];
  const result = spawnSync(process.execPath, [...flags, join(root, "scripts/code-cache.cjs"), join(dist, "main.cjs"), join(dist, "main.cache")], { encoding: "utf8" });
  if (result.status !== 0) throw new Error(`code cache: ${result.stderr}`);
}
