/** The sandbox's own /proc and /sys as a file system. */
import { directory, file, type SyntheticDirectory } from "../../gofer/synthetic.ts";
import type { Uts } from "../../sentry/kernel.ts";
import type { Machine } from "../../sentry/machine.ts";
import { procTree } from "../../sentry/system/proc.ts";
import { sysTree } from "../../sentry/system/sys.ts";

export interface SystemFiles {
  readonly root: SyntheticDirectory;
  /** What there is in its /proc. */
  readonly procNames: ReadonlySet<string>;
}

/** `proc` and `sys` are what is mounted there; `empty` is for what is to be hidden. */
export function systemFiles(machine: Machine, uts: Uts, sysctls: Readonly<Record<string, string>>): SystemFiles {
  const proc = procTree(machine, uts, sysctls);
  const empty = directory({ file: file(() => ""), directory: directory({}) });
  return { root: directory({ proc, sys: sysTree(machine), empty }), procNames: new Set(proc.entries().keys()) };
}
