/** Another process's memory. Sources: process_vm_readv(2). */
import { SYS } from "./arch.ts";
import { EFAULT } from "./abi/errno.ts";
import { permanentBlock, type Addr, type Block } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

/** Two struct iovec: ours, theirs. */
const IOVEC_SIZE = 16;
const vectors = permanentBlock(2 * IOVEC_SIZE);
const USER_SPACE_END = 0x7fff_ffff_f000;

function transfer(nr: number, pid: number, local: Addr, remote: Addr, size: number): number {
  if (size === 0) return 0;
  if (remote > USER_SPACE_END || remote + size > USER_SPACE_END) return -EFAULT;
  putVector(0, local, size);
  putVector(IOVEC_SIZE, remote, size);
  return syscall(nr, pid, vectors.address, 1, vectors.address + IOVEC_SIZE, 1, 0);
}

function putVector(at: number, address: Addr, size: number): void {
  vectors.view.setUint32(at, address % 0x1_0000_0000, true);
  vectors.view.setUint32(at + 4, Math.floor(address / 0x1_0000_0000), true);
  vectors.view.setUint32(at + 8, size, true);
}

/**
 * Copies `size` bytes (below 4 GiB) from `remote` in the process to the start of `block`, or from `offset` on.
 * @returns how many were copied, fewer than `size` where the memory ends at a page's end; the negative errno where none were: EFAULT, EPERM, ESRCH.
 */
export function readProcess(pid: number, remote: Addr, block: Block, size: number, offset = 0): number {
  return transfer(SYS.process_vm_readv, pid, block.address + offset, remote, Math.min(size, block.size - offset));
}

/** The other way. */
export function writeProcess(pid: number, remote: Addr, block: Block, size: number): number {
  return transfer(SYS.process_vm_writev, pid, block.address, remote, Math.min(size, block.size));
}
