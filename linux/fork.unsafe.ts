/**
 * fork(2) for a Node process. The child is a full copy that runs plain synchronous TypeScript on the same heap.
 *
 * V8 marks its heap MADV_DONTFORK, which would leave the child without it; madvise(MADV_DOFORK) over the whole address range undoes that.
 * Every page V8 adds afterwards is marked again, and anything done in JavaScript may add one, converting a number for koffi even: with a
 * few statements between madvise and fork, about 1 child in 300 of an allocating parent died of SIGSEGV. So the two are one piece of
 * machine code, in which V8 has no part.
 *
 * Preconditions, for the caller to keep:
 * - the process was started with --single-threaded (checked): garbage collection and compilation then need no other thread, and the
 *   child has none;
 * - in the child: no promises, timers, Workers, thread pool or koffi `.async`. It ends by exec or exit, never in the event loop.
 *
 * Child and parent share the address-space layout and the state of Math.random; what must differ is drawn from getrandom(2).
 */
import process from "node:process";
import { CLONE_PARENT, CLONE_PARENT_SETTID, CLONE_VM } from "./abi/sched.ts";
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { fdNumber, forgetOpened, type FdLike } from "./fd.ts";
import { pipe, read } from "./file.ts";
import { le32, le64, mapCode } from "./machine-code.unsafe.ts";
import { permanentBlock } from "./memory.unsafe.ts";
import { exitNow } from "./process.ts";
import { ALL_SIGNALS, resetSignalActions, setSignalMask } from "./signal.ts";
import { functionAt, lastErrno, libcAddress } from "./syscall.unsafe.ts";

const PAGE = 4096;
/** struct clone_args, its first version with `cgroup`. Source: clone(2), Linux include/uapi/linux/sched.h. */
const CLONE_ARGS_SIZE = 88;
const CLONE_ARGS = { flags: 0, parentTid: 24, exitSignal: 32, cgroup: 80 } as const;
const CLONE_INTO_CGROUP = 0x2_0000_0000n;
const SIGCHLD = 17n;
/** End of user space on x86-64 with four-level page tables, less the guard page. Source: Linux arch/x86/include/asm/page_64_types.h. */
const USER_SPACE_END = 0x7fff_ffff_f000;
const MADV_DOFORK = 11;

/** What a child's `main` that throws or returns ends with. */
export const CHILD_FAILED = 255;

/** madvise(PAGE, USER_SPACE_END - PAGE, MADV_DOFORK), its result ignored. */
const INHERIT_HEAP = [
  0xbf, ...le32(PAGE), // mov edi, PAGE
  0x48, 0xbe, ...le64(USER_SPACE_END - PAGE), // movabs rsi, length
  0xba, ...le32(MADV_DOFORK), // mov edx, MADV_DOFORK
  0xb8, ...le32(SYS.madvise), // mov eax, madvise
  0x0f, 0x05, // syscall
];

/** The jump to libc's fork, which returns to our caller. */
function jumpTo(forkAddress: number): number[] {
  return [
    0x48, 0xb8, ...le64(forkAddress), // movabs rax, fork
    0xff, 0xe0, // jmp rax
  ];
}

/** clone3(args, CLONE_ARGS_SIZE), and back. */
function callClone3(args: number): number[] {
  return [
    0x48, 0xbf, ...le64(args), // movabs rdi, args
    0xbe, ...le32(CLONE_ARGS_SIZE), // mov esi, size
    0xb8, ...le32(SYS.clone3), // mov eax, clone3
    0x0f, 0x05, // syscall
    0xc3, // ret
  ];
}

/**
 * clone3 as above; in the child, and where it fails, back. The caller itself closes every descriptor but one, whose number is at `kept`, waits at that one
 * for the end of the file, and exits: in registers alone, since its stack and its heap are the child's now.
 */
function callClone3AndLeave(args: number, kept: number): number[] {
  const closeRange = [0x31, 0xd2, 0xb8, ...le32(SYS.close_range), 0x0f, 0x05]; // xor edx, edx; mov eax, close_range; syscall
  const backUnlessParent = [
    0x85, 0xc0, // test eax, eax
    0x7f, 0x01, // jg over the ret
    0xc3, // ret
  ];
  return [
    ...callClone3(args).slice(0, -1),
    ...backUnlessParent,
    0x48, 0xb8, ...le64(kept), // movabs rax, kept
    0x44, 0x8b, 0x20, // mov r12d, [rax]
    0x31, 0xff, // xor edi, edi
    0x41, 0x8d, 0x74, 0x24, 0xff, // lea esi, [r12-1]
    ...closeRange,
    0x41, 0x8d, 0x7c, 0x24, 0x01, // lea edi, [r12+1]
    0xbe, 0xff, 0xff, 0xff, 0xff, // mov esi, ~0
    ...closeRange,
    0x44, 0x89, 0xe7, // mov edi, r12d
    0x48, 0xbe, ...le64(kept), // movabs rsi, kept
    0xba, ...le32(1), // mov edx, 1
    0xb8, ...le32(SYS.read), 0x0f, 0x05, // mov eax, read; syscall
    0x31, 0xff, // xor edi, edi
    0xb8, ...le32(SYS.exit_group), 0x0f, 0x05, // mov eax, exit_group; syscall
  ];
}

/**
 * SAFETY: madvise only changes which mappings a fork copies. It ends in EINVAL at [vvar], behind which nothing of V8's lies. libc's fork,
 * not the system call, because its atfork handlers put malloc's locks right.
 */
function makeFunction(code: readonly number[]): () => number {
  return placeFunction([...INHERIT_HEAP, ...code]);
}

/** SAFETY: as of `makeFunction`; nothing is copied, so that V8's marks do not matter. */
function placeFunction(code: readonly number[]): () => number {
  return functionAt(mapCode(code));
}

const forkWithHeap = makeFunction(jumpTo(libcAddress("fork")));

/** Behind the arguments: what the code reads, and what the kernel writes. */
const KEPT_OFFSET = 128;
const PID_OFFSET = 136;
const { address: cloneArgsAddress, view: cloneArgs } = permanentBlock(PID_OFFSET + 8);
const cloneWithHeap = makeFunction(callClone3(cloneArgsAddress));
const cloneAndLeave = placeFunction(callClone3AndLeave(cloneArgsAddress, cloneArgsAddress + KEPT_OFFSET));

function requireSingleThreaded(): void {
  if (!process.execArgv.includes("--single-threaded")) {
    throw new Error("fork needs Node to run with --single-threaded; start tssandbox by its bin/tssandbox");
  }
}

/**
 * Forks; the child runs `main` and then exits with what it returns. Signals are blocked across the fork, and in the child every action is
 * the default one before they are unblocked: a signal to the child never reaches the parent's handlers through a shared pipe.
 * @returns the child's pid, to the parent.
 * @throws SysError EAGAIN or ENOMEM.
 */
export function fork(main: () => number): number {
  requireSingleThreaded();
  const mask = setSignalMask(ALL_SIGNALS);
  const result = forkWithHeap();
  const pid = result === -1 ? -lastErrno() : result;
  if (pid === 0) runChild(main, mask);
  setSignalMask(mask);
  return check(pid, "fork");
}

/** What a clone takes beyond a fork. */
export interface CloneOptions {
  /** CLONE_NEW* of namespaces that the child is born in; not a user or time namespace, which need something done first. */
  readonly namespaces: number;
  /** Whether the child's parent is the caller's: not for init of a pid namespace. */
  readonly sibling?: boolean;
  /** A v2 cgroup's directory: the child is born in it, where moving it would wait for the whole kernel. */
  readonly cgroup: FdLike | undefined;
}

/**
 * clone3(2) as a fork with options. The system call itself: libc's atfork handlers do not run, so no other thread of Node's may be within
 * malloc at this moment; those that there are under --single-threaded sleep unless the thread pool is used.
 * @returns the child's pid or the negative errno, among them what a cgroup may answer: EACCES, EBUSY, EOPNOTSUPP.
 */
export function tryClone(options: CloneOptions, main: () => number): number {
  requireSingleThreaded();
  setCloneArgs(options, 0);
  const mask = setSignalMask(ALL_SIGNALS);
  const pid = cloneWithHeap();
  if (pid === 0) runChild(main, mask);
  setSignalMask(mask);
  return pid;
}

function setCloneArgs({ namespaces, sibling = false, cgroup }: CloneOptions, flags: number): void {
  cloneArgs.setBigUint64(CLONE_ARGS.flags, BigInt(namespaces) | (cgroup === undefined ? 0n : CLONE_INTO_CGROUP) | BigInt((sibling ? CLONE_PARENT : 0) | flags), true);
  // A sibling takes the caller's own.
  cloneArgs.setBigUint64(CLONE_ARGS.exitSignal, sibling ? 0n : SIGCHLD, true);
  cloneArgs.setBigUint64(CLONE_ARGS.cgroup, BigInt(cgroup === undefined ? 0 : fdNumber(cgroup)), true);
}

/**
 * The calling program goes on in a new process, a sibling of the one it was in so far, with the same memory, of which nothing is copied. The old process has none of its own
 * any more: it waits, without a descriptor but one, for the new one to execute something or to end, and ends as well. With it goes the memory, which the new one's
 * execve(2) thus need not take down: some 3 ms.
 *
 * Preconditions: the caller is a forked child, so that its signals have no handlers, and its memory is nobody else's: an out-of-memory kill of the new process takes the old one with it.
 * Not for a new user or time namespace, which the kernel refuses to a process that shares its memory (unshare(2), EINVAL).
 * @returns the new process's pid as the old one counts, in the new one; or the negative errno as `tryClone` does, and then nothing has changed.
 */
export function becomeSibling(options: Omit<CloneOptions, "sibling">): number {
  const [kept, held] = pipe();
  const [settled, open] = pipe();
  setCloneArgs({ ...options, sibling: true }, CLONE_VM | CLONE_PARENT_SETTID);
  cloneArgs.setBigUint64(CLONE_ARGS.parentTid, BigInt(cloneArgsAddress + PID_OFFSET), true);
  cloneArgs.setInt32(KEPT_OFFSET, kept.number, true);
  const mask = setSignalMask(ALL_SIGNALS);
  const result = cloneAndLeave();
  for (const fd of [kept, open]) fd.close();
  if (result < 0) held.close();
  else {
    held.release();
    // Until the old process has let go of all descriptors: locks and sockets among them are the new one's alone from here on.
    read(settled, 1);
    forgetOpened();
  }
  settled.close();
  setSignalMask(mask);
  return result < 0 ? result : cloneArgs.getInt32(PID_OFFSET, true);
}

function runChild(main: () => number, mask: bigint): never {
  let code = CHILD_FAILED;
  try {
    forgetOpened();
    resetSignalActions();
    setSignalMask(mask);
    code = main();
  } finally {
    exitNow(code);
  }
}
