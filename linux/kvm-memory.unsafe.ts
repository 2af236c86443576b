/** Memory that is shared: with a guest, with KVM, or between the threads of this process. Source: mmap(2). */
import { SYS } from "./arch.ts";
import { check, SysError } from "./errors.ts";
import { fdNumber, type FdLike } from "./fd.ts";
import type { Block } from "./memory.unsafe.ts";
import { rawView, syscall } from "./syscall.unsafe.ts";

const PROT_READ = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 0x1;
const MAP_PRIVATE = 0x2;
const MAP_NORESERVE = 0x4000;

function blockAt(address: number, size: number): Block {
  // SAFETY: the mapping is never undone: it lives as long as the process, which is one virtual machine.
  const buffer = rawView(address, size);
  return { address, size, bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}

/** How a file's content is seen: shared with everybody, copied when it is written to, or read only. */
export type Sharing = "shared" | "copy-on-write" | "read-only";

const MODES: Record<Sharing, readonly [protection: number, flags: number]> = {
  shared: [PROT_READ_WRITE, MAP_SHARED],
  "copy-on-write": [PROT_READ_WRITE, MAP_PRIVATE | MAP_NORESERVE],
  "read-only": [PROT_READ, MAP_SHARED],
};

/** Maps `size` bytes of a file for the life of the process. @param offset a multiple of the page size. @throws SysError */
export function mapForever(fd: FdLike, size: number, sharing: Sharing = "shared", offset = 0): Block {
  const [protection, flags] = MODES[sharing];
  return blockAt(check(syscall(SYS.mmap, 0, size, protection, flags, fdNumber(fd), offset), "mmap"), size);
}

const HUGE_PAGE = 2 << 20;
const MAP_ANONYMOUS = 0x20;
const PROT_NONE = 0;
const MADV_HUGEPAGE = 14;

/**
 * Zeroed memory of this process for its life, in huge pages where the kernel has them: a guest's fault then fills 2 MiB, not 4 KiB. Aligned to
 * 2 MiB, as the guest's addresses are. @throws SysError
 */
export function mapGuestForever(size: number): Block {
  // Room for the alignment; what is left over stays without access.
  const room = check(syscall(SYS.mmap, 0, size + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), "mmap");
  const address = Math.ceil(room / HUGE_PAGE) * HUGE_PAGE;
  check(syscall(SYS.mprotect, address, size, PROT_READ_WRITE), "mprotect");
  syscall(SYS.madvise, address, size, MADV_HUGEPAGE);
  return blockAt(address, size);
}

/** MAP_HUGE_2MB: the size's logarithm in bits 26 to 31. */
const MAP_HUGE_2MB = 0x4_0000 | (21 << 26);

/**
 * Zeroed memory from the host's pool of huge pages (hugetlb), reserved here and now: no later access fails for want of one.
 * Source: mmap(2), Linux Documentation/admin-guide/mm/hugetlbpage.rst. @throws SysError where the pool has too few
 */
export function mapHugeForever(size: number): Block {
  const address = syscall(SYS.mmap, 0, size, PROT_READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGE_2MB, -1, 0);
  if (address < 0) throw new SysError({ syscall: "mmap", errno: -address, hint: `${size / HUGE_PAGE} huge pages of 2 MiB are to be free (vm.nr_hugepages)` });
  return blockAt(address, size);
}

/** What another thread of this process has mapped with one of the functions above; threads share addresses, not objects. */
export function mappedElsewhere(address: number, size: number): Block {
  return blockAt(address, size);
}

const MADV_DONTNEED = 4;

/**
 * Frees the memory behind whole pages of a private mapping: they read as zeroes then, or as the file that is mapped copy-on-write.
 * Source: madvise(2).
 */
export function discardPages(block: Block, offset: number, size: number): void {
  if (offset < 0 || size < 0 || offset + size > block.size) throw new RangeError("pages outside of their block");
  syscall(SYS.madvise, block.address + offset, size, MADV_DONTNEED);
}
