/** Builds the program into dist/. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { encodeFilter } from "../runtime/do/filter.ts";
import { VMM_V8_FLAGS } from "../vmm/node-flags.ts";
import { VERSION } from "../runtime/version.ts";
import { bundle } from "./bundle.ts";
import { PARTS } from "./parts.ts";

const root = join(import.meta.dirname, "..");

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
if (manifest.version !== VERSION) throw new Error(`package.json says ${manifest.version}, runtime/version.ts ${VERSION}`);

await bundle(join(root, "runtime/main.ts"), join(root, "dist"), flagsIn("bin/tssandbox"), PARTS, { TSSANDBOX_COMMIT: JSON.stringify(commit()), TSSANDBOX_DO_FILTER: JSON.stringify(encodeFilter()) });

await bundle(join(root, "shim/main.ts"), join(root, "dist/shim"), flagsIn("bin/containerd-shim-tssandbox-v1"), [], { TSSANDBOX_COMMIT: JSON.stringify(commit()) });

// A process of its own (runtime/vm): the program's flags are not for it.
// In one part: the program runs while it is being set up, when no other part could be loaded.
await bundle(join(root, "vmm/main.ts"), join(root, "dist/vmm"), VMM_V8_FLAGS);

linkForNpx(join(root, "node_modules/.bin"));

/** V8's, with which a launcher starts its program. */
function flagsIn(launcher: string): readonly string[] {
  const [command = ""] = /exec "\$node"[^"]+/.exec(readFileSync(join(root, launcher), "utf8")) ?? [];
  return command.match(/--\S+/g) ?? [];
}

/** npx in a checkout looks among the dependencies' programs first; what it would do for the package's own is to install it elsewhere. */
function linkForNpx(binFolder: string): void {
  const link = join(binFolder, "tssandbox");
  if (!existsSync(binFolder)) return;
  rmSync(link, { force: true });
  symlinkSync("../../bin/tssandbox", link);
}

/** Outside of a checkout, from a package for example, there is no commit to tell. */
function commit(): string {
  const result = spawnSync("git", ["-C", root, "describe", "--always", "--dirty", "--abbrev=12"], { encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim() : "unknown";
}
