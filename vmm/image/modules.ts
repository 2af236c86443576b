/** Kernel modules of a distribution's package: which files, in which order. Source: modules.dep(5). */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";

/** What the guest needs, and no more; what is built into the kernel is passed over. */
export const GUEST_MODULES = [
  "virtio_mmio", "virtio_blk", "virtio_net", "virtio_console", "virtio-rng", "vmw_vsock_virtio_transport", "virtiofs", "virtio_balloon",
  "virtio_pmem", "nd_pmem", "overlay", "ext4",
] as const;

/** A guest can do without: its memory keeps the size that it boots with. */
const OPTIONAL_MODULES = ["virtio_mem"] as const;

const MAX_MODULE = 64 << 20;

export interface Module {
  /** Of its file. */
  readonly name: string;
  readonly content: Uint8Array;
}

/** `-` and `_` are the same in a module's name. */
const nameOf = (path: string) => basename(path).replace(/\.ko(\.[a-z0-9]+)?$/, "").replaceAll("-", "_");

/**
 * The paths to load, dependencies first. @param modulesDep "PATH: DEPENDENCY...", where the dependency to load first comes last.
 * @param builtin the file modules.builtin: one path a line. @param optional names that the kernel need not have. @throws Error for a module that the kernel does not have at all.
 */
export function loadOrder(modulesDep: string, builtin: string, names: readonly string[], optional: readonly string[] = []): string[] {
  const lines = new Map(modulesDep.split("\n").filter((line) => line !== "").map((line) => {
    const [path = "", rest = ""] = line.split(":");
    return [nameOf(path), [path, ...rest.split(" ").filter((word) => word !== "")]] as const;
  }));
  const builtins = new Set(builtin.split("\n").map(nameOf));
  const paths = [...names, ...optional].map((name) => name.replaceAll("-", "_")).flatMap((name) => {
    const line = lines.get(name);
    if (line === undefined && !builtins.has(name) && names.some((needed) => needed.replaceAll("-", "_") === name)) throw new Error(`this kernel has no module ${name}`);
    return [...(line ?? [])].reverse();
  });
  return [...new Set(paths)];
}

/** Of a module's file: busybox's insmod unpacks nothing. @throws Error for a compression that we do not know; where xz(1) fails */
export function unpacked(path: string, content: Uint8Array): Uint8Array {
  switch (extname(path)) {
    case ".ko": return content;
    case ".gz": return gunzipSync(content);
    case ".zst": return zstdDecompressSync(content);
    case ".xz": return execFileSync("xz", ["-dc"], { input: content, maxBuffer: MAX_MODULE });
    default: throw new Error(`${path}: not a kernel module's name`);
  }
}

/** @param folder /lib/modules/RELEASE. @throws Error */
export function readModules(folder: string, names: readonly string[] = GUEST_MODULES, optional: readonly string[] = OPTIONAL_MODULES): Module[] {
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  return loadOrder(read("modules.dep"), read("modules.builtin"), names, optional).map((path) => {
    return { name: basename(path).replace(/\.ko\.[a-z0-9]+$/, ".ko"), content: unpacked(path, readFileSync(join(folder, path))) };
  });
}
