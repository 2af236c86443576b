/** The guest's initramfs: its one program (guest.c) and the drivers that a distribution's kernel has as modules. */
import { readFileSync } from "node:fs";
import { cpioArchive, type ArchiveEntry } from "../../vmm/image/cpio.ts";
import { readModules } from "../../vmm/image/modules.ts";

const MODULES = ["virtio_mmio", "virtio_blk", "virtiofs"];

/** @param init the compiled guest.c. @param modules /lib/modules/RELEASE of the kernel. */
export function benchInitramfs(init: string, modules: string): Uint8Array {
  const drivers = readModules(modules, MODULES, []);
  return cpioArchive([
    { kind: "directory", path: "modules" },
    { kind: "file", path: "init", content: readFileSync(init), mode: 0o755 },
    { kind: "file", path: "modules/order", content: drivers.map(({ name }) => `${name}\n`).join("") },
    ...drivers.map(({ name, content }): ArchiveEntry => ({ kind: "file", path: `modules/${name}`, content })),
  ]);
}
