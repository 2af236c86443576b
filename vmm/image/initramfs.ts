/**
 * The guest's first programs: busybox and a script that loads the drivers, mounts the image with everything else, and goes there. Busybox,
 * because until the image's driver is loaded there is nothing that could run TypeScript.
 */
import { cpioArchive, type ArchiveEntry } from "./cpio.ts";
import type { Module } from "./modules.ts";

export interface InitramfsOptions {
  /** A static busybox. */
  readonly busybox: Uint8Array;
  /** In the order in which they are loaded. */
  readonly modules: readonly Module[];
  /** Shell commands instead of going to the image: for tests. They are run with `b` set to busybox. */
  readonly script?: string;
}

/** The image is the persistent memory or the first disk, and stays read-only; as memory it is used where it lies (dax). */
const GO_TO_IMAGE = `
for device in /dev/pmem0 /dev/vda; do [ -b $device ] && break; done
$b mkdir -p /root
$b mount -t ext4 -o ro,dax $device /root 2>/dev/null || $b mount -t ext4 -o ro $device /root || { echo "guest: cannot mount the image"; $b poweroff -f; }
$b mount --move /dev /root/dev && $b mount --move /proc /root/proc && $b mount --move /sys /root/sys
exec $b switch_root /root /sbin/guest-init
`;

const PROLOGUE = `#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
while read -r module; do $b insmod "/modules/$module" || echo "guest: cannot load $module"; done </modules/order
`;

export function guestInitramfs({ busybox, modules, script }: InitramfsOptions): Uint8Array {
  const directories = ["bin", "dev", "proc", "sys", "modules"].map((path): ArchiveEntry => ({ kind: "directory", path }));
  return cpioArchive([
    ...directories,
    { kind: "file", path: "bin/busybox", content: busybox, mode: 0o755 },
    { kind: "file", path: "init", content: PROLOGUE + (script ?? GO_TO_IMAGE), mode: 0o755 },
    { kind: "file", path: "modules/order", content: modules.map(({ name }) => `${name}\n`).join("") },
    ...modules.map(({ name, content }): ArchiveEntry => ({ kind: "file", path: `modules/${name}`, content })),
  ]);
}
