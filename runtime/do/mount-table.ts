/** The caller's mounts. Source: proc_pid_mountinfo(5). */
import { readFileSync } from "node:fs";
import { unescapeField } from "../../linux/mount-text.ts";

export interface MountPoint {
  readonly path: string;
  readonly type: string;
}

/** File systems whose files are the kernel's, or doors to devices: never shown from the host. */
const KERNEL_TYPES: ReadonlySet<string> = new Set([
  "proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs", "configfs", "bpf", "pstore", "efivarfs",
  "mqueue", "hugetlbfs", "binfmt_misc", "fusectl", "autofs", "rpc_pipefs", "nfsd", "selinuxfs", "resctrl", "nsfs", "binder",
]);

export const isKernelType = (type: string): boolean => KERNEL_TYPES.has(type);

export function readMountTable(): MountPoint[] {
  return parseMountTable(readFileSync("/proc/self/mountinfo", "latin1"));
}

/** In the order of mounting. @param text as latin1, so that every byte of a name is kept. */
export function parseMountTable(text: string): MountPoint[] {
  return text.split("\n").flatMap((line) => {
    const [left = "", right = ""] = line.split(" - ");
    const path = left.split(" ")[4];
    const type = right.split(" ")[0];
    return path === undefined || type === undefined ? [] : [{ path: Buffer.from(unescapeField(path), "latin1").toString(), type }];
  });
}
