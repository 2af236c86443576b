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
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { fdNumber, forgetOpened, type FdLike } from "./fd.ts";
import { exitNow } from "./process.ts";
import { ALL_SIGNALS, resetSignalActions, setSignalMask } from "./signal.ts";
import { functionAt, lastErrno, libcAddress, rawView, syscall } from "./syscall.unsafe.ts";

const PAGE = 4096;
/** struct clone_args, its first version with `cgroup`. Source: clone(2), Linux include/uapi/linux/sched.h. */
const CLONE_ARGS_SIZE = 88;
const CLONE_ARGS = { flags: 0, exitSignal: 32, cgroup: 80 } as const;
const CLONE_INTO_CGROUP = 0x2_0000_0000n;
const CLONE_PARENT = 0x8000n;
const SIGCHLD = 17n;
/** End of user space on x86-64 with four-level page tables, less the guard page. Source: Linux arch/x86/include/asm/page_64_types.h. */
const USER_SPACE_END = 0x7fff_ffff_f000;
const MADV_DOFORK = 11;
const PROT_READ_WRITE = 3;
const PROT_READ_EXEC = 5;
const MAP_PRIVATE_ANONYMOUS = 0x22;

/** What a child's `main` that throws or returns ends with. */
export const CHILD_FAILED = 255;

const littleEndian = (value: number, bytes: number) => Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff);

/** madvise(PAGE, USER_SPACE_END - PAGE, MADV_DOFORK), its result ignored. */
const INHERIT_HEAP = [
  0xbf, ...littleEndian(PAGE, 4), // mov edi, PAGE
  0x48, 0xbe, ...littleEndian(USER_SPACE_END - PAGE, 8), // movabs rsi, length
  0xba, ...littleEndian(MADV_DOFORK, 4), // mov edx, MADV_DOFORK
  0xb8, ...littleEndian(SYS.madvise, 4), // mov eax, madvise
  0x0f, 0x05, // syscall
];

/** The jump to libc's fork, which returns to our caller. */
function jumpTo(forkAddress: number): number[] {
  return [
    0x48, 0xb8, ...littleEndian(forkAddress, 8), // movabs rax, fork
    0xff, 0xe0, // jmp rax
  ];
}

/** clone3(args, CLONE_ARGS_SIZE), and back. */
function callClone3(args: number): number[] {
  return [
    0x48, 0xbf, ...littleEndian(args, 8), // movabs rdi, args
    0xbe, ...littleEndian(CLONE_ARGS_SIZE, 4), // mov esi, size
    0xb8, ...littleEndian(SYS.clone3, 4), // mov eax, clone3
    0x0f, 0x05, // syscall
    0xc3, // ret
  ];
}

/**
 * SAFETY: madvise only changes which mappings a fork copies. It ends in EINVAL at [vvar], behind which nothing of V8's lies. libc's fork,
 * not the system call, because its atfork handlers put malloc's locks right.
 */
function makeFunction(code: readonly number[]): () => number {
  const address = check(syscall(SYS.mmap, 0, PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0), "mmap");
  new Uint8Array(rawView(address, PAGE)).set([...INHERIT_HEAP, ...code]);
  check(syscall(SYS.mprotect, address, PAGE, PROT_READ_EXEC), "mprotect");
  return functionAt(address);
}

const forkWithHeap = makeFunction(jumpTo(libcAddress("fork")));

/** SAFETY: mapped for good, and written only before the call that reads it. */
const cloneArgsAddress = check(syscall(SYS.mmap, 0, PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0), "mmap");
const cloneArgs = new DataView(rawView(cloneArgsAddress, PAGE));
const cloneWithHeap = makeFunction(callClone3(cloneArgsAddress));

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
  const sibling = options.sibling === true;
  const flags = BigInt(options.namespaces) | (options.cgroup === undefined ? 0n : CLONE_INTO_CGROUP) | (sibling ? CLONE_PARENT : 0n);
  cloneArgs.setBigUint64(CLONE_ARGS.flags, flags, true);
  // A sibling takes the caller's own.
  cloneArgs.setBigUint64(CLONE_ARGS.exitSignal, sibling ? 0n : SIGCHLD, true);
  cloneArgs.setBigUint64(CLONE_ARGS.cgroup, BigInt(options.cgroup === undefined ? 0 : fdNumber(options.cgroup)), true);
  const mask = setSignalMask(ALL_SIGNALS);
  const pid = cloneWithHeap();
  if (pid === 0) runChild(main, mask);
  setSignalMask(mask);
  return pid;
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
