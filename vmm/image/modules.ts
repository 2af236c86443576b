/** Kernel modules of a distribution's package: which files, in which order. Source: modules.dep(5). */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";

/** What the guest needs, and no more; what is built into the kernel is passed over. */
export const GUEST_MODULES = [
  "virtio_mmio", "virtio_blk", "virtio_net", "virtio_console", "virtio-rng", "vmw_vsock_virtio_transport", "virtiofs", "virtio_balloon",
  "virtio_pmem", "nd_pmem", "overlay", "ext4",
] as const;

export interface Module {
  /** Of its file. */
  readonly name: string;
  readonly content: Uint8Array;
}

/** `-` and `_` are the same in a module's name. */
const nameOf = (path: string) => basename(path).replace(/\.ko(\.[a-z0-9]+)?$/, "").replaceAll("-", "_");

/**
 * The paths to load, dependencies first. @param modulesDep "PATH: DEPENDENCY...", where the dependency to load first comes last.
 * @param builtin the file modules.builtin: one path a line. @throws Error for a module that the kernel does not have at all.
 */
export function loadOrder(modulesDep: string, builtin: string, names: readonly string[]): string[] {
  const lines = new Map(modulesDep.split("\n").filter((line) => line !== "").map((line) => {
    const [path = "", rest = ""] = line.split(":");
    return [nameOf(path), [path, ...rest.split(" ").filter((word) => word !== "")]] as const;
  }));
  const builtins = new Set(builtin.split("\n").map(nameOf));
  const paths = names.map((name) => name.replaceAll("-", "_")).flatMap((name) => {
    const line = lines.get(name);
    if (line === undefined && !builtins.has(name)) throw new Error(`this kernel has no module ${name}`);
    return [...(line ?? [])].reverse();
  });
  return [...new Set(paths)];
}

/** @param folder /lib/modules/RELEASE. @throws Error where a module is compressed: the guest's loader does not unpack. */
export function readModules(folder: string, names: readonly string[] = GUEST_MODULES): Module[] {
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  return loadOrder(read("modules.dep"), read("modules.builtin"), names).map((path) => {
    if (!path.endsWith(".ko")) throw new Error(`${path}: compressed modules are not supported`);
    return { name: basename(path), content: readFileSync(join(folder, path)) };
  });
}
