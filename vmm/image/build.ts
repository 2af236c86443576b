/**
 * What a machine boots, from a distribution's kernel package and this program:
 *
 *   kernel      unpacked (kernel.ts)
 *   initramfs   busybox, the drivers that are modules, a script that goes to the image
 *   image       ext4, read-only: Node with its libraries, our bundle, busybox. It is mapped into the guest as persistent memory, so that all
 *               machines of a host share one copy, and nothing is unpacked at boot
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { guestInitramfs } from "./initramfs.ts";
import { unpackKernel } from "./kernel.ts";
import { interpreterOf, listedLibraries } from "./libraries.ts";
import { readModules } from "./modules.ts";

export interface ProgramFiles {
  /** Node's program. */
  readonly node: string;
  /** What Node is to be given before the program. */
  readonly flags: readonly string[];
  /** The folder of the bundle, with tssandbox.cjs. */
  readonly bundle: string;
}

export interface BuildOptions {
  readonly kernel: string;
  /** /lib/modules/RELEASE. */
  readonly modules: string;
  readonly output: string;
  /** A static one. */
  readonly busybox: string;
  readonly program: ProgramFiles;
}

const HOME = "opt/tssandbox";
const DIRECTORIES = ["bin", "sbin", "dev", "proc", "sys", "run", "tmp", "etc", "share", `${HOME}/dist`];
const MIB = 1 << 20;
/** Of persistent memory. */
const SIZE_UNIT = 2 * MIB;
/** The file system's own. */
const OVERHEAD = 8 * MIB;

const guestInit = (flags: readonly string[]) => `#!/bin/busybox sh
# PID 1: it reaps whatever loses its parent, while it waits for the agent.
b=/bin/busybox
export PATH=/sbin:/bin
$b mount -t tmpfs -o mode=755 run /run
$b mount -t tmpfs tmp /tmp
$b mkdir -p /dev/pts /dev/shm
$b mount -t devpts -o newinstance,ptmxmode=0666 devpts /dev/pts
$b mount -t tmpfs shm /dev/shm
$b mount -t cgroup2 cgroup /sys/fs/cgroup
$b mount -t tmpfs -o mode=755 share /share
$b ip link set lo up
echo "guest: the agent starts"
/${HOME}/node ${flags.join(" ")} /${HOME}/dist/tssandbox.cjs --root /run/tssandbox vm agent
echo "guest: the agent has ended"
$b poweroff -f
`;

/** Fills `output`. @throws Error with the last lines of a program that failed; where the kernel has not what the guest needs. */
export function buildImage(options: BuildOptions): void {
  const { output } = options;
  mkdirSync(output, { recursive: true });
  const scratch = mkdtempSync(join(output, ".new-"));
  try {
    writeFileSync(join(scratch, "kernel"), unpackKernel(readFileSync(options.kernel)));
    writeFileSync(join(scratch, "initramfs"), guestInitramfs({ busybox: readFileSync(options.busybox), modules: readModules(options.modules) }));
    makeTree(join(scratch, "tree"), options);
    makeFileSystem(join(scratch, "tree"), join(scratch, "image"));
    // A machine that runs keeps the files it has opened.
    for (const name of ["kernel", "initramfs", "image"]) renameSync(join(scratch, name), join(output, name));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function makeTree(tree: string, { busybox, program }: BuildOptions): void {
  for (const path of DIRECTORIES) mkdirSync(join(tree, path), { recursive: true });
  const put = (source: string, target: string) => {
    mkdirSync(dirname(join(tree, target)), { recursive: true });
    copyFileSync(source, join(tree, target));
  };
  put(busybox, "bin/busybox");
  symlinkSync("busybox", join(tree, "bin/sh"));
  put(program.node, `${HOME}/node`);
  for (const [name, path] of librariesOf(program.node)) put(path, name);
  for (const name of readdirSync(program.bundle)) if (lstatSync(join(program.bundle, name)).isFile()) put(join(program.bundle, name), `${HOME}/dist/${name}`);
  writeFileSync(join(tree, "sbin/guest-init"), guestInit(program.flags), { mode: 0o755 });
  writeFileSync(join(tree, "etc/passwd"), "root:x:0:0:root:/:/bin/sh\n");
}

/** @returns pairs of path in the image and file. */
function librariesOf(program: string): (readonly [string, string])[] {
  const listing = execFileSync(interpreterOf(program), ["--list", program], { encoding: "utf8" });
  return listedLibraries(listing).map((path) => [path.startsWith("/lib64/") ? path.slice(1) : `lib/x86_64-linux-gnu/${basename(path)}`, realpathSync(path)] as const);
}

function makeFileSystem(tree: string, image: string): void {
  const content = Math.ceil(sizeOf(tree) * 1.02) + OVERHEAD;
  const kibibytes = (Math.ceil(content / SIZE_UNIT) * SIZE_UNIT) / 1024;
  try {
    execFileSync("mke2fs", ["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-N", "1024", "-O", "^has_journal", "-E", "root_owner=0:0", "-d", tree, image, `${kibibytes}k`], {
      stdio: ["ignore", "ignore", "pipe"], encoding: "utf8",
    });
  } catch (error) {
    throw new Error(`mke2fs (of e2fsprogs): ${String((error as { stderr?: string }).stderr ?? error).trim().slice(-500)}`, { cause: error });
  }
}

function sizeOf(path: string): number {
  const stat = lstatSync(path);
  return stat.isDirectory() ? readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 4096) : Math.ceil(stat.size / 4096) * 4096;
}
