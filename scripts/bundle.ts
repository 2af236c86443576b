/**
 * Bundles a program with its bytecode, for a fast start (docs/decisions/0002-cold-start.md). In the folder that is named:
 *   main.cjs       what every start needs, as one function with the parameters of a CommonJS module
 *   main.cache     V8's bytecode for all of its functions
 *   NAME.cjs, NAME.cache   the same for a part that is loaded at first use
 *   tssandbox.cjs  loads them
 *   koffi.node     the FFI addon
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import type { Plugin } from "esbuild";
import { buildParts, type Part } from "./parts.ts";

const scripts = import.meta.dirname;
const root = dirname(scripts);

/** Modules that Node itself has loaded by then. All others take milliseconds, and most commands never use them. */
const LOADED: ReadonlySet<string> = new Set(["node:events", "node:fs", "node:path"]);

/** The real module is loaded at the first use of one of its properties. It stands behind a prototype because esbuild copies own ones. */
const lazyBuiltins: Plugin = {
  name: "lazy-builtins",
  setup({ onResolve, onLoad }) {
    // A global already; by its module esbuild would copy its hundred properties for each importer.
    onResolve({ filter: /^node:process$/ }, ({ path, kind }) => ({ path, namespace: kind === "import-statement" ? "global" : "required-global" }));
    onLoad({ filter: /.*/, namespace: "global" }, () => ({ contents: "export default process;" }));
    onLoad({ filter: /.*/, namespace: "required-global" }, () => ({ contents: "module.exports = process;" }));
    onResolve({ filter: /^node:/ }, ({ path, namespace }) => (namespace === "lazy" || LOADED.has(path) ? { path, external: true } : { path, namespace: "lazy" }));
    onLoad({ filter: /.*/, namespace: "lazy" }, ({ path }) => ({
      contents: `module.exports = Object.create(new Proxy({}, { get: (_, key) => require(${JSON.stringify(path)})[key] }));`,
    }));
  },
};

/**
 * @param flags V8's, as the program will be started with: V8 takes a cache only from the same version with the same flags.
 * @param parts what is loaded at first use only (scripts/parts.ts).
 */
export async function bundle(entry: string, target: string, flags: readonly string[], parts: readonly Part[] = [], define: Record<string, string> = {}): Promise<void> {
  // Each file takes its place by rename: a program that runs meanwhile keeps the one it has mapped.
  mkdirSync(target, { recursive: true });
  const folder = mkdtempSync(`${target}.new-`);
  const texts = await buildParts(root, entry, parts, {
    platform: "node",
    format: "cjs",
    target: "node26",
    // Less source to read; names stay, for stacks.
    minifySyntax: true,
    minifyWhitespace: true,
    charset: "ascii",
    // koffi's own loader looks for its addon in ten places, which takes 10 ms; ours knows where it is.
    alias: { koffi: join(scripts, "koffi-addon.cjs") },
    plugins: [lazyBuiltins],
    legalComments: "none",
    // Where the package is: dist/ is beside the sources' folders.
    define: { "import.meta.dirname": "__dirname", "import.meta.filename": "__filename", ...define },
  });
  for (const [name, text] of texts) {
    // The loader reads Latin-1. What esbuild cannot escape are tagged templates.
    const beyond = /.{0,40}\P{ASCII}/u.exec(text);
    if (beyond !== null) throw new Error(`${name}: in a tagged template, write as an entity or an escape what is not ASCII: ${beyond[0]}`);
    writeFileSync(join(folder, `${name}.cjs`), `(function (exports, require, module, __filename, __dirname) { ${text}\n});`);
    makeCodeCache(folder, name, flags);
  }
  copyFileSync(addonPath(), join(folder, "koffi.node"));
  copyFileSync(join(scripts, "loader.cjs"), join(folder, "tssandbox.cjs"));
  for (const name of readdirSync(folder)) renameSync(join(folder, name), join(target, name));
  rmdirSync(folder);
}

function makeCodeCache(folder: string, name: string, flags: readonly string[]): void {
  const result = spawnSync(process.execPath, [...flags, join(scripts, "code-cache.cjs"), join(folder, `${name}.cjs`), join(folder, `${name}.cache`)], { encoding: "utf8" });
  if (result.status !== 0) throw new Error(`code cache of ${name}: ${result.stderr}`);
}

function addonPath(): string {
  const koffi = dirname(createRequire(import.meta.url).resolve("koffi"));
  return join(koffi, "../@koromix/koffi-linux-x64/linux_x64/koffi.node");
}
