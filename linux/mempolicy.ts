/** NUMA memory policy of the calling task. Sources: set_mempolicy(2), runtime-spec 1.3 config-linux.md "Memory policy". */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

/** CONFIG_NODES_SHIFT is at most 10. */
const MAX_NODES = 1024;
const MASK_BYTES = MAX_NODES / 8;

/**
 * @param mode one of `MPOL_*`.
 * @param flags `MPOL_F_*`.
 * @param nodes numbers from 0 to 1023; none for MPOL_DEFAULT and MPOL_LOCAL.
 * @throws SysError EINVAL where no node is online and allowed or the kernel does not know mode or flag; ENOSYS without CONFIG_NUMA;
 * RangeError for a node out of range.
 */
export function setMemoryPolicy(mode: number, flags: number, nodes: readonly number[]): void {
  using s = scratch();
  const mask = s.reserve(MASK_BYTES);
  for (const node of nodes) {
    if (!Number.isInteger(node) || node < 0 || node >= MAX_NODES) throw new RangeError(`not a NUMA node: ${node}`);
    mask.bytes[node >> 3] = (mask.bytes[node >> 3] ?? 0) | (1 << (node & 7));
  }
  // The kernel takes one bit less than it is told. Source: Linux mm/mempolicy.c, get_nodes.
  const [address, bits] = nodes.length === 0 ? [0, 0] : [mask.address, MAX_NODES + 1];
  check(syscall(SYS.set_mempolicy, mode | flags, address, bits), "set_mempolicy", nodes.join(",") || undefined);
}

/** The mode with its flags, and the nodes. Source: get_mempolicy(2). */
export function getMemoryPolicy(): { readonly mode: number; readonly nodes: number[] } {
  using s = scratch();
  const mode = s.reserve(8);
  const mask = s.reserve(MASK_BYTES);
  check(syscall(SYS.get_mempolicy, mode.address, mask.address, MAX_NODES + 1, 0, 0), "get_mempolicy");
  const nodes = Array.from({ length: MAX_NODES }, (_, node) => node).filter((node) => ((mask.bytes[node >> 3] ?? 0) >> (node & 7)) & 1);
  return { mode: mode.view.getInt32(0, true), nodes };
}
