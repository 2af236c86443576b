/** The sandbox's own /proc and /sys as a file system. */
import type { FileSystem } from "../../gofer/fuse/file-system.ts";
import { directory, file, SyntheticFileSystem } from "../../gofer/synthetic.ts";
import type { Uts } from "../../sentry/kernel.ts";
import type { Machine } from "../../sentry/machine.ts";
import { procTree } from "../../sentry/system/proc.ts";
import { sysTree } from "../../sentry/system/sys.ts";


/** `proc` and `sys` are what is mounted there; `empty` is for what is to be hidden. */
export function systemFiles(machine: Machine, uts: Uts, sysctls: Readonly<Record<string, string>>): FileSystem {
  const empty = directory({ file: file(() => ""), directory: directory({}) });
  return new SyntheticFileSystem(directory({ proc: procTree(machine, uts, sysctls), sys: sysTree(machine), empty }));
}
