/**
 * What a forked child still shares with the Node process it comes from: epoll, eventfds, signal pipes and io_uring rings, by descriptor and,
 * the rings, by shared mapping. io_uring bypasses seccomp, and on a ring that the kernel polls (SQPOLL) a store to the mapping alone makes
 * requests under the parent's credentials. So a child that is to be confined drops all of it first. Source: io_uring(7).
 *
 * The eventfds cannot just be closed: V8 announces its deferred tasks in any collection, libuv writes to the eventfd of its loop, and
 * aborts where that fails (uv_async_send). They become private ones, which nobody reads.
 */
import { SYS } from "./arch.ts";
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY } from "./abi/fcntl.ts";
import { check } from "./errors.ts";
import { createEventFd } from "./eventfd.ts";
import { fdNumber, type FdLike } from "./fd.ts";
import { closeRange, listDirectory, open, readAll, readLinkAt } from "./file.ts";
import { retrying, syscall } from "./syscall.unsafe.ts";

/** [address, address + size), page-aligned. */
export interface Mapping {
  readonly address: number;
  readonly size: number;
}

export interface NodeResources {
  /** The io_uring mappings. */
  readonly rings: readonly Mapping[];
  /** Every eventfd of the process. */
  readonly eventFds: readonly number[];
}

/** What is the same in every child, for a parent that forks many. */
export interface NodesOwn {
  readonly resources: NodeResources;
  /** libuv's signal pipe. It must keep its numbers: whenever libc's fork is called, libuv closes these, whoever has them (uv__signal_global_reinit). */
  readonly signalPipe: readonly number[];
}

const MAPS_LIMIT = 64 << 20;
const LAST_STANDARD_FD = 2;

/**
 * What there is in this process. Forked children have the same at the same place, so that a parent may look once for all of them, as long
 * as it starts no new event loop, Workers for example. Needs /proc. Sources: proc_pid_maps(5), proc_pid_fd(5).
 */
export function nodeResources(): NodeResources {
  using maps = open("/proc/self/maps", O_RDONLY);
  const lines = Buffer.from(readAll(maps, MAPS_LIMIT)).toString("latin1").split("\n");
  const rings = lines.filter((line) => line.endsWith("anon_inode:[io_uring]")).map(parseMapping);
  using directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
  const eventFds = listDirectory(directory).filter((name) => readLinkAt(directory, name) === "anon_inode:[eventfd]").map(Number);
  return { rings, eventFds };
}

/** To be called first of all in a program: what is a pipe then, and no standard stream, is Node's. */
export function nodesOwn(): NodesOwn {
  using directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
  const signalPipe = listDirectory(directory).map(Number).filter((number) => number > LAST_STANDARD_FD && readLinkAt(directory, String(number)).startsWith("pipe:"));
  return { resources: nodeResources(), signalPipe };
}

function parseMapping(line: string): Mapping {
  const [start, end] = line.slice(0, line.indexOf(" ")).split("-").map((text) => Number.parseInt(text, 16));
  if (start === undefined || end === undefined || !(end > start)) throw new Error(`/proc/self/maps: ${line}`);
  return { address: start, size: end - start };
}

/**
 * Closes every descriptor but 0, 1, 2 and `keep`, puts private eventfds (close-on-exec) in the place of Node's, and unmaps the rings.
 * Preconditions: in a forked child, which never enters Node's event loop; whoever owns one of the closed descriptors uses it no more.
 * @param resources from `nodeResources` in the parent; looked up where left out.
 * @throws SysError
 */
export function dropInherited(keep: readonly FdLike[], resources: NodeResources = nodeResources()): void {
  // SAFETY: the rings belong to libuv, whose loop does not run in a forked child; nothing else holds an address within them.
  for (const { address, size } of resources.rings) check(syscall(SYS.munmap, address, size), "munmap", "io_uring");
  const kept = new Set(keep.map(fdNumber));
  const events = resources.eventFds.filter((number) => !kept.has(number));
  replaceEvents(events);
  let next = LAST_STANDARD_FD + 1;
  for (const number of [...kept, ...events].toSorted((a, b) => a - b)) {
    closeRange(next, number - 1);
    next = Math.max(next, number + 1);
  }
  closeRange(next);
}

function replaceEvents(numbers: readonly number[]): void {
  using fresh = createEventFd();
  for (const number of numbers) check(retrying(SYS.dup3, fresh.number, number, O_CLOEXEC), "dup3", "eventfd");
}
