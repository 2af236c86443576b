/** Directories lent by a gofer, and programs that run on them; see scripts/on-mount.ts. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import type { CachePolicy } from "../../../gofer/export.ts";
import type { Limits } from "../../../gofer/hostfs/node-table.ts";
import type { Ownership } from "../../../gofer/hostfs/ownership.ts";
import { FORK_FLAGS, nodePath, runScript, type Finished } from "../../support/forked.ts";
import { projectRoot, uniqueId, workDir } from "../../support/paths.ts";

export interface Lent {
  readonly from: string;
  /** Mount point, an existing directory or file. */
  readonly at: string;
  readonly readOnly?: boolean;
  readonly cache?: CachePolicy;
  readonly ownership?: Ownership;
  readonly writeback?: boolean;
}

export interface Setup {
  readonly lend: readonly Lent[];
  /** An overlay with a tmpfs for what is written. */
  readonly overlay?: { readonly lower: string; readonly at: string };
  /** A tmpfs of the guest's own: what is native to it, to compare with. */
  readonly tmpfs?: string;
  /** From the host, as they are. */
  readonly bind?: readonly { readonly from: string; readonly at: string }[];
  readonly chroot?: string;
  readonly cwd: string;
  readonly user?: number;
  /** The device node to open instead of /dev/fuse, which an ordinary user may not open everywhere; the ids are his own then. */
  readonly device?: string;
  readonly command: readonly string[];
  readonly limits?: Limits;
}

export const ON_MOUNT = join(import.meta.dirname, "scripts", "on-mount.ts");

export function runOnMount(setup: Setup, timeoutMs = 30_000): Finished {
  return runScript(ON_MOUNT, [JSON.stringify(setup)], undefined, timeoutMs);
}

/** The same, all of it by an ordinary user without capabilities. */
export function runRootless(setup: Setup, uid: number): Finished {
  const device = join(freshDirectory(), "fuse");
  execFileSync("mknod", ["-m", "666", device, "c", "10", "229"]);
  for (const { from } of setup.lend) chownSync(from, uid, uid);
  const ids = ["--reuid", String(uid), "--regid", String(uid), "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"];
  const command = [...ids, nodePath, ...FORK_FLAGS, ON_MOUNT, JSON.stringify({ ...setup, device })];
  const done = spawnSync("setpriv", command, { encoding: "utf8", timeout: 30_000 });
  return { code: done.status, signal: done.signal, stdout: done.stdout, stderr: done.stderr };
}

/** A new directory of this test file's. */
export function freshDirectory(): string {
  const path = join(workDir, uniqueId());
  mkdirSync(path);
  return path;
}

/** How a single directory is lent, for `shellOn`. */
export type Lending = Omit<Lent, "from" | "at">;

/** Runs a shell script with the lent directory as the current one. */
export function shellOn(from: string, script: string, lending: Lending = {}, more: Partial<Setup> = {}): Finished {
  const at = freshDirectory();
  return runOnMount({ lend: [{ from, at, ...lending }], cwd: at, command: ["/bin/sh", "-c", script], ...more });
}

/** A program of guest/, compiled as the guest programs of test/support are. */
export function guestFile(name: string): string {
  const source = readFileSync(join(import.meta.dirname, "guest", `${name}.c`));
  const target = join(projectRoot, ".cache", "guest", `gofer-${name}-${createHash("sha256").update(source).digest("hex").slice(0, 16)}`);
  if (existsSync(target)) return target;
  mkdirSync(dirname(target), { recursive: true });
  const fresh = `${target}.${process.pid}`;
  const flags = ["-static", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-result", "-o", fresh];
  execFileSync("gcc", [...flags, join(import.meta.dirname, "guest", `${name}.c`)], { stdio: ["ignore", "inherit", "inherit"] });
  renameSync(fresh, target);
  return target;
}
