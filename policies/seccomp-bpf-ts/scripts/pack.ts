// Makes dist/, which is what `npm publish dist` publishes: Node strips no types below node_modules, so what others
// install must be JavaScript.
import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");

const emit = ["--outDir", dist, "--rootDir", join(root, "src"), "--declaration", "--ignoreConfig"];
const language =
  "--target es2024 --module nodenext --strict --verbatimModuleSyntax --skipLibCheck --types node " +
  "--allowImportingTsExtensions --rewriteRelativeImportExtensions";

rmSync(dist, { recursive: true, force: true });
execFileSync("tsc", [...emit, ...language.split(" "), join(root, "src/index.ts")], { cwd: root, stdio: "inherit" });
const { files: _, scripts: __, ...description } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const exports = { ".": { types: "./index.d.ts", default: "./index.js" } };
writeFileSync(join(dist, "package.json"), `${JSON.stringify({ ...description, exports }, undefined, 2)}\n`);
copyFileSync(join(root, "README.md"), join(dist, "README.md"));
