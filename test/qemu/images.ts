// Builds what a test machine boots from, and keeps it under .cache/qemu/KEY:
//
//   vmlinuz       Debian's cloud kernel
//   initramfs     busybox, the disk drivers, guest/init
//   root.img      ext4: Debian with systemd, made by mmdebstrap, then guest/customize
//   modules.img   ext4: node_modules, in a folder of its own key (what npm installed)
//
// ext4 and uncompressed because an emulated CPU would spend seconds on decompression. The repository itself is
// small and packed for every run. Packages come from the mirror that this machine's apt is configured with.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync } from "node:fs";
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import { ensurePackages } from "../packages.ts";
import { guestProgram } from "../support/guest.ts";

const run = promisify(execFile);

export const REPOSITORY = dirname(dirname(import.meta.dirname));

const CACHE = join(REPOSITORY, ".cache", "qemu");
const GUEST = join(import.meta.dirname, "guest");

const SUITE = "bookworm";

const GUEST_PACKAGES = [
  "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,kmod,iproute2,procps,busybox-static,libstdc++6,libatomic1",
  "runc,crun,podman,containernetworking-plugins,uidmap,iptables,apparmor",
].join(",");

/** What the initramfs must load before systemd starts; ext4 is built into Debian's kernel. */
const BOOT_MODULES = ["virtio_pci", "virtio_blk", "virtio_console"];

/** Room in the root file system, in MiB: Debian takes about 370, the rest is for tests. The file is sparse. */
const ROOT_MEGABYTES = 4096;

/** Longest that building the images may take, in seconds. */
const BUILD_SECONDS = 1200;

export interface Images {
  readonly kernel: string;
  readonly initramfs: string;
  readonly root: string;
  readonly modules: string;
}

/**
 * The images, built where the cache has none of this recipe (about a minute, else a few milliseconds). Test files
 * that ask at the same time wait for one build.
 *
 * @throws Error with the last lines of the failing step.
 */
export async function prepareImages(): Promise<Images> {
  const images = await locateImages();
  if (Object.values(images).every((file) => existsSync(file))) return images;
  await ensurePackages(["qemu-system-x86", "mmdebstrap", "e2fsprogs", "busybox-static"]);
  await mkdir(CACHE, { recursive: true });
  // A lock file of flock(1) ends with its holder, however that ends.
  await step("images", "flock", [join(CACHE, "lock"), process.execPath, import.meta.filename], BUILD_SECONDS);
  return images;
}

async function locateImages(): Promise<Images> {
  const base = join(CACHE, `base-${await baseKey()}`);
  return {
    kernel: join(base, "vmlinuz"),
    initramfs: join(base, "initramfs"),
    root: join(base, "root.img"),
    modules: join(CACHE, `modules-${await modulesKey()}`, "modules.img"),
  };
}

/** This file and the guest's files are the recipe: a change to either makes a new image. */
async function baseKey(): Promise<string> {
  const recipe = [import.meta.filename, ...["customize", "agent.service", "init"].map((name) => join(GUEST, name))];
  return digest(await Promise.all(recipe.map((file) => readFile(file))));
}

/** npm's own record of what it installed. */
async function modulesKey(): Promise<string> {
  return digest([await readFile(join(REPOSITORY, "node_modules", ".package-lock.json"))]);
}

function digest(parts: readonly Buffer[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex").slice(0, 16);
}

/** Builds the missing images; the caller holds the lock. */
async function buildImages(): Promise<void> {
  const images = await locateImages();
  if (!existsSync(images.modules)) {
    await replaceFolder("modules-", dirname(images.modules), (into) =>
      makeExt4(join(into, "modules.img"), join(REPOSITORY, "node_modules")),
    );
  }
  if (!existsSync(images.root)) await replaceFolder("base-", dirname(images.root), buildBase);
}

/** Lets `build` fill a folder and puts it in the place of all folders with this prefix: old keys do not pile up. */
async function replaceFolder(prefix: string, folder: string, build: (into: string) => Promise<void>): Promise<void> {
  const scratch = await mkdtemp(join(CACHE, "scratch-"));
  try {
    await build(scratch);
    for (const name of await readdir(CACHE)) {
      if (name.startsWith(prefix)) await rm(join(CACHE, name), { recursive: true });
    }
    await rename(scratch, folder);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function buildBase(into: string): Promise<void> {
  const root = join(into, "root");
  const excluded = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*"];
  await step("mmdebstrap", "mmdebstrap", [
    "--mode=root",
    "--variant=essential",
    "--format=directory",
    `--include=${GUEST_PACKAGES}`,
    ...excluded.map((path) => `--dpkgopt=path-exclude=${path}`),
    `--customize-hook=${join(GUEST, "customize")} "$1" ${REPOSITORY}`,
    SUITE,
    root,
    ...(await debianSources()),
  ]);
  await makeExt4(join(into, "root.img"), root, ROOT_MEGABYTES);
  await rename(join(root, "boot", "vmlinuz"), join(into, "vmlinuz"));
  await makeInitramfs(join(into, "initramfs"), root);
  await rm(root, { recursive: true });
}

/** sources.list(5) lines of SUITE and its updates, as this machine's apt has them. */
async function debianSources(): Promise<string[]> {
  const targets = ["indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"];
  const lines = (await run("apt-get", targets)).stdout.trim().split("\n");
  const sources = lines.filter((line) => {
    const [, release, component] = line.split(" ");
    return component === "main" && (release === SUITE || release?.startsWith(`${SUITE}-`) === true);
  });
  if (sources.length === 0) throw new Error(`apt on this machine has no source for Debian ${SUITE}`);
  return [...new Set(sources)].map((line) => `deb ${line}`);
}

/** Makes an ext4 image of a folder, `megabytes` large or a little larger than its content. */
async function makeExt4(image: string, folder: string, megabytes?: number): Promise<void> {
  // Inodes and directory blocks come on top of the files: a fifth and 16 MiB cover many small files.
  const size = megabytes ?? Math.ceil((await diskUsage(folder)) * 1.2) + 16;
  const options = ["-q", "-F", "-m", "0", "-O", "^has_journal", "-d", folder, image, `${size}M`];
  await step("ext4 image", "mke2fs", ["-t", "ext4", ...options]);
}

/** Megabytes that a folder takes on disk. */
async function diskUsage(folder: string): Promise<number> {
  return Number.parseInt((await run("du", ["-sm", folder])).stdout, 10);
}

async function makeInitramfs(image: string, root: string): Promise<void> {
  const tree = `${root}.initramfs`;
  await mkdir(join(tree, "modules"), { recursive: true });
  await mkdir(join(tree, "bin"));
  const release = (await readdir(join(root, "usr/lib/modules")))[0] ?? "";
  const modules = join(root, "usr/lib/modules", release);
  const order = loadOrder(await readFile(join(modules, "modules.dep"), "utf8"), BOOT_MODULES);
  await step("copy", "cp", [...order.map((path) => join(modules, path)), join(tree, "modules")]);
  await step("copy", "cp", [join(root, "bin/busybox"), join(tree, "bin")]);
  await step("copy", "cp", [join(GUEST, "init"), tree]);
  await writeFile(join(tree, "modules", "order"), order.map((path) => `${path.split("/").pop()}\n`).join(""));
  await step("initramfs", "sh", ["-c", `cd "$0" && find . | busybox cpio -o -H newc >"$1"`, tree, image]);
  await rm(tree, { recursive: true });
}

/**
 * The files to insmod, dependencies first, from depmod's `modules.dep` ("PATH: DEPENDENCY...", every dependency
 * named, the one to load first last).
 */
export function loadOrder(modulesDep: string, names: readonly string[]): string[] {
  const lines = modulesDep.split("\n").map((line) => line.split(/:? /).map((path) => path.replace(/:$/, "")));
  const paths = names.flatMap((name) => {
    const line = lines.find(([path]) => path?.endsWith(`/${name}.ko`) === true);
    if (line === undefined) throw new Error(`no module ${name} in this kernel`);
    return line.filter((path) => path !== "").reverse();
  });
  return [...new Set(paths)];
}

/**
 * Packs the repository as it is now, without node_modules and what git ignores, but with dist/ and the compiled guest
 * programs, into an ext4 image in `folder`, an existing folder of the caller's. Returns its path.
 */
export async function packRepository(folder: string): Promise<string> {
  // The machine has no compiler.
  for (const source of globSync("*.c", { cwd: join(REPOSITORY, "test/support/guest") })) guestProgram(source.slice(0, -".c".length));
  const tree = join(folder, "repo");
  const image = `${tree}.img`;
  await mkdir(join(tree, "node_modules"), { recursive: true });
  const list = "{ git ls-files -coz --exclude-standard; find dist .cache/guest -type f -print0 2>/dev/null; }";
  const pack = `${list} | tar -c --null --verbatim-files-from --ignore-failed-read -T - | tar -x -C "$0"`;
  await step("pack", "sh", ["-c", `cd "$1" && ${pack}`, tree, REPOSITORY]);
  await makeExt4(image, tree, (await diskUsage(tree)) + 256);
  await rm(tree, { recursive: true });
  return image;
}

/** Runs a program; its failure carries the last lines of what it printed. `seconds` is its time limit. */
async function step(name: string, program: string, args: readonly string[], seconds = BUILD_SECONDS): Promise<void> {
  const options = { timeout: seconds * 1000, maxBuffer: 1 << 26 };
  await run(program, args, options).catch((failed: { stdout?: string; stderr?: string; message: string }) => {
    const printed = `${failed.stdout ?? ""}${failed.stderr ?? ""}`.trimEnd().split("\n").slice(-20);
    throw new Error(`${name}: ${failed.message.split("\n")[0]}\n${printed.join("\n")}`);
  });
}

if (import.meta.main) await buildImages();
