import { execFileSync } from "node:child_process";
import { existsSync, linkSync, mkdirSync, mkdtempSync, copyFileSync, readFileSync, rmSync, symlinkSync, writeFileSync, chmodSync } from "node:fs";
import { join } from "node:path";
import { guestProgram } from "./guest.ts";
import { mountsBelow } from "./host.ts";
import { uniqueId, workDir } from "./paths.ts";
import { defaultSpec, type Spec } from "./spec.ts";

export type BundleOptions = {
  /** The command; default `true`. */
  readonly args?: readonly string[];
  /** Changes the default spec before it is written. */
  readonly edit?: (spec: Spec, bundle: Bundle) => void;
  /** "busybox": applets in /bin, the probes in /probe and /tool. "empty": a directory with nothing in it. */
  readonly rootfs?: "busybox" | "empty";
};

/**
 * A bundle directory on tmpfs with its own root file system and config.json. Disposing it unmounts whatever is still mounted
 * below and removes it.
 */
export class Bundle {
  readonly id = uniqueId();
  readonly dir = join(workDir, this.id);
  readonly rootfs = join(this.dir, "rootfs");
  readonly configPath = join(this.dir, "config.json");
  readonly spec: Spec;

  constructor(options: BundleOptions) {
    mkdirSync(this.rootfs, { recursive: true, mode: 0o755 });
    if (options.rootfs !== "empty") populate(this.rootfs);
    this.spec = defaultSpec(options.args ?? ["true"], `/${this.id}`);
    options.edit?.(this.spec, this);
    this.write();
  }

  /** Writes the spec as it is now. */
  write(): void {
    writeFileSync(this.configPath, JSON.stringify(this.spec));
  }

  /** An absolute path in the bundle directory, outside the root file system. */
  path(...names: string[]): string {
    return join(this.dir, ...names);
  }

  /** Writes a file into the root file system, with its directories; returns its path on the host. */
  file(name: string, content: string, mode = 0o644): string {
    const target = join(this.rootfs, name);
    mkdirSync(join(target, ".."), { recursive: true });
    writeFileSync(target, content);
    chmodSync(target, mode);
    return target;
  }

  /** Reads a file of the root file system from the host. */
  read(name: string): string {
    return readFileSync(join(this.rootfs, name), "utf8");
  }

  /** Replaces a hard-linked program by a private copy, for tests that may damage it. */
  privateCopy(name: string): string {
    const target = join(this.rootfs, name);
    const copy = `${target}.copy`;
    copyFileSync(target, copy);
    execFileSync("mv", ["-f", copy, target]);
    return target;
  }

  [Symbol.dispose](): void {
    for (const point of mountsBelow(this.dir).reverse()) execFileSync("umount", ["-l", point]);
    if (mountsBelow(this.dir).length > 0) throw new Error(`still mounted below ${this.dir}: not removing it`);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export function makeBundle(options: BundleOptions = {}): Bundle {
  return new Bundle(options);
}

const directories = ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "var", "mnt", "home"];

type Template = { readonly dir: string; readonly applets: readonly string[] };
let template: Template | undefined;

/** Prepared once per process: programs on the same tmpfs as the bundles, so that a bundle costs hard links, not copies. */
function prepareTemplate(): Template {
  const busybox = "/bin/busybox";
  if (!existsSync(busybox)) throw new Error(`${busybox} is missing: install the Debian package busybox-static`);
  const dir = mkdtempSync(join(workDir, "template-"));
  copyFileSync(busybox, join(dir, "busybox"));
  for (const name of ["probe", "tool"]) copyFileSync(guestProgram(name), join(dir, name));
  const applets = execFileSync(busybox, ["--list"], { encoding: "utf8" }).trim().split("\n").filter((name) => name !== "busybox");
  return { dir, applets };
}

function populate(rootfs: string): void {
  template ??= prepareTemplate();
  for (const name of directories) mkdirSync(join(rootfs, name));
  chmodSync(join(rootfs, "tmp"), 0o1777);
  linkSync(join(template.dir, "busybox"), join(rootfs, "bin/busybox"));
  for (const name of ["probe", "tool"]) linkSync(join(template.dir, name), join(rootfs, name));
  for (const name of template.applets) symlinkSync("busybox", join(rootfs, "bin", name));
  writeFileSync(join(rootfs, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000:guest:/home:/bin/sh\n");
  writeFileSync(join(rootfs, "etc/group"), "root:x:0:\ntty:x:5:\nguest:x:1000:\n");
  writeFileSync(join(rootfs, "etc/hostname"), "rootfs\n");
}
