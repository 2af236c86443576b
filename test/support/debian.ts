/** A Debian 12 with what developers use, as a directory: built once from Debian's packages, and kept under a name that tells what is in it. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { debianMirror } from "../engines/images.ts";
import { ensurePackages } from "../packages.ts";
import { projectRoot } from "./paths.ts";

const run = promisify(execFile);
const CACHE = join(projectRoot, ".cache", "debian");
const SUITE = "bookworm";

/** Beyond debootstrap's minbase. libboost-regex is what its resolver does not see behind gdb's virtual packages. */
const PACKAGES = [
  "gcc", "libc6-dev", "make", "gdb", "libboost-regex1.74.0", "strace", "git", "python3", "python3-venv", "python3-pip", "python3-setuptools", "python3-wheel",
  "libpython3.11-testsuite", "netbase", "sqlite3", "redis-server", "nginx-light", "wrk", "procps", "iproute2",
] as const;

/** A C program of some size that needs nothing but a C library: its sources, as upstream's archive, are /usr/src/lua.tar.gz. */
const SOURCE = "lua5.4";

const ownNode = join(projectRoot, "node_modules/node/bin/node");

/** @returns the directory; nobody may write to it. The first call takes some two minutes. */
export async function debianDevelopmentRoot(): Promise<string> {
  const npm = await npmDirectory();
  const root = join(CACHE, `development-${await contentKey(npm)}`);
  if (existsSync(root)) return root;
  await ensurePackages(["debootstrap", "util-linux"]);
  mkdirSync(CACHE, { recursive: true });
  // flock(1): test files run side by side, and the lock goes with the process that holds it.
  await run("flock", [join(CACHE, "lock"), process.execPath, import.meta.filename, root, npm], { maxBuffer: 1 << 26, timeout: 600_000 });
  return root;
}

async function contentKey(npm: string): Promise<string> {
  const { stdout: node } = await run(ownNode, ["--version"]);
  const hash = createHash("sha256").update(JSON.stringify([SUITE, PACKAGES, SOURCE, node, readFileSync(join(npm, "package.json"), "utf8")])).update(readFileSync(import.meta.filename));
  return hash.digest("hex").slice(0, 16);
}

/** npm comes with the Node that has installed this project. */
async function npmDirectory(): Promise<string> {
  const { stdout } = await run("sh", ["-c", "command -v npm"]);
  return dirname(dirname(realpathSync(stdout.trim())));
}

async function build(root: string, npm: string): Promise<void> {
  if (existsSync(root)) return;
  for (const old of readdirSync(CACHE)) if (old !== "lock") rmSync(join(CACHE, old), { recursive: true });
  const fresh = mkdtempSync(join(CACHE, "build-"));
  const tree = join(fresh, "root");
  const mirror = await debianMirror();
  // In a mount namespace of its own, what debootstrap mounts goes with it even if it is killed.
  const variant = ["--variant=minbase", "--components=main", `--include=${PACKAGES.join(",")}`];
  await run("unshare", ["--mount", "debootstrap", ...variant, SUITE, tree, mirror], { maxBuffer: 1 << 26 });
  for (const path of ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"]) {
    for (const entry of readdirSync(join(tree, path))) rmSync(join(tree, path, entry), { recursive: true });
  }
  cpSync(ownNode, join(tree, "usr/local/bin/node"));
  cpSync(npm, join(tree, "usr/local/lib/node_modules/npm"), { recursive: true });
  symlinkSync("../lib/node_modules/npm/bin/npm-cli.js", join(tree, "usr/local/bin/npm"));
  renameSync(await fetchSource(fresh, mirror), join(tree, "usr/src/lua.tar.gz"));
  renameSync(tree, root);
  rmSync(fresh, { recursive: true });
}

/** @returns the path of upstream's archive. */
async function fetchSource(directory: string, mirror: string): Promise<string> {
  const lists = join(directory, "lists");
  mkdirSync(join(lists, "partial"), { recursive: true });
  writeFileSync(join(directory, "sources.list"), `deb-src ${mirror} ${SUITE} main\n`);
  const own = [`Dir::Etc::SourceList=${directory}/sources.list`, "Dir::Etc::SourceParts=/dev/null", `Dir::State::Lists=${lists}`, `Dir::Cache=${directory}`, "APT::Sandbox::User=root"];
  const options = own.flatMap((option) => ["-o", option]);
  await run("apt-get", ["-q", ...options, "update"], { cwd: directory });
  await run("apt-get", ["-q", ...options, "source", "--download-only", SOURCE], { cwd: directory });
  const archive = readdirSync(directory).find((name) => name.endsWith(".orig.tar.gz"));
  if (archive === undefined) throw new Error(`no upstream archive of ${SOURCE}`);
  return join(directory, archive);
}

if (import.meta.main) await build(process.argv[2] ?? "", process.argv[3] ?? "");
