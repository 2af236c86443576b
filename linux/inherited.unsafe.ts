/**
 * What a forked child still shares with the Node process it comes from: epoll, eventfds, signal pipes and io_uring rings, by descriptor and,
 * the rings, by shared mapping. io_uring bypasses seccomp, and on a ring that the kernel polls (SQPOLL) a store to the mapping alone makes
 * requests under the parent's credentials. So a child that is to be confined drops all of it first. Source: io_uring(7).
 */
import { SYS } from "./arch.ts";
import { O_RDONLY } from "./abi/fcntl.ts";
import { check } from "./errors.ts";
import { fdNumber, type FdLike } from "./fd.ts";
import { closeRange, open, readAll } from "./file.ts";
import { syscall } from "./syscall.unsafe.ts";

/** [address, address + size), page-aligned. */
export interface Mapping {
  readonly address: number;
  readonly size: number;
}

const MAPS_LIMIT = 64 << 20;
const LAST_STANDARD_FD = 2;

/**
 * The io_uring mappings of this process. Forked children have the same ones at the same place, so that a parent may look once for all of
 * them, as long as its event loop makes no new ring. Source: proc_pid_maps(5).
 */
export function ringMappings(): Mapping[] {
  using maps = open("/proc/self/maps", O_RDONLY);
  const lines = Buffer.from(readAll(maps, MAPS_LIMIT)).toString("latin1").split("\n");
  return lines.filter((line) => line.endsWith("anon_inode:[io_uring]")).map(parseMapping);
}

function parseMapping(line: string): Mapping {
  const [start, end] = line.slice(0, line.indexOf(" ")).split("-").map((text) => Number.parseInt(text, 16));
  if (start === undefined || end === undefined || !(end > start)) throw new Error(`/proc/self/maps: ${line}`);
  return { address: start, size: end - start };
}

/**
 * Closes every descriptor but 0, 1, 2 and `keep`, and unmaps the rings.
 * Preconditions: in a forked child, which never enters Node's event loop; whoever owns one of the closed descriptors uses it no more.
 * @param rings from `ringMappings`; needs /proc where left out.
 * @throws SysError
 */
export function dropInherited(keep: readonly FdLike[], rings: readonly Mapping[] = ringMappings()): void {
  // SAFETY: the rings belong to libuv, whose loop does not run in a forked child; nothing else holds an address within them.
  for (const { address, size } of rings) check(syscall(SYS.munmap, address, size), "munmap", "io_uring");
  let next = LAST_STANDARD_FD + 1;
  for (const number of keep.map(fdNumber).toSorted((a, b) => a - b)) {
    closeRange(next, number - 1);
    next = Math.max(next, number + 1);
  }
  closeRange(next);
}
