/** linux.mountLabel: the SELinux context of what the container mounts. Source: mount(8) "context="; which types take it: runc, mountToRootfs. */
import type { Fd } from "../../linux/fd.ts";
import type { FsParameter } from "../../linux/mount.ts";
import { setXattr } from "../../linux/xattr.ts";

/** proc and sysfs are labelled by the policy, file by file; a message queue refuses the option and is labelled afterwards. */
const WITHOUT_CONTEXT: ReadonlySet<string> = new Set(["proc", "sysfs", "mqueue"]);

/** The parameter for a new mount of `type`. A `context=` among its own options wins. */
export function contextParameters(type: string, label: string | undefined, data: readonly string[] = []): FsParameter[] {
  if (!label || WITHOUT_CONTEXT.has(type) || data.some((option) => option.startsWith("context="))) return [];
  return [["context", label]];
}

/** Labels the root of a mount that took no parameter. */
export function labelRoot(tree: Fd, type: string, label: string | undefined): void {
  if (label && type === "mqueue") setXattr(tree, "security.selinux", Buffer.from(label));
}
