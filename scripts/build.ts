/**
 * Bundles the program: dist/tssandbox.cjs and the FFI addon beside it. One file, CommonJS: what Node starts fastest (docs/decisions/0002).
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { VERSION } from "../runtime/version.ts";

const root = join(import.meta.dirname, "..");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
if (manifest.version !== VERSION) throw new Error(`package.json says ${manifest.version}, runtime/version.ts ${VERSION}`);

mkdirSync(join(root, "dist"), { recursive: true });
await build({
  entryPoints: [join(root, "runtime/main.ts")],
  outfile: join(root, "dist/tssandbox.cjs"),
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node26",
  minifySyntax: true,
  // koffi's own loader looks for its addon in ten places, which takes 10 ms; ours knows where it is.
  alias: { koffi: join(root, "scripts/koffi-addon.cjs") },
  legalComments: "none",
  define: { TSSANDBOX_COMMIT: JSON.stringify(commit()) },
});
copyFileSync(addonPath(), join(root, "dist/koffi.node"));

/** Outside of a checkout, from a package for example, there is no commit to tell. */
function commit(): string {
  const result = spawnSync("git", ["-C", root, "describe", "--always", "--dirty", "--abbrev=12"], { encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim() : "unknown";
}

function addonPath(): string {
  const koffi = dirname(createRequire(import.meta.url).resolve("koffi"));
  return join(koffi, "../@koromix/koffi-linux-x64/linux_x64/koffi.node");
}
