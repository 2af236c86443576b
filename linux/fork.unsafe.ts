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
import { exitNow } from "./process.ts";
import { ALL_SIGNALS, resetSignalActions, setSignalMask } from "./signal.ts";
import { functionAt, libcAddress, rawView, syscall } from "./syscall.unsafe.ts";

const PAGE = 4096;
/** End of user space on x86-64 with four-level page tables, less the guard page. Source: Linux arch/x86/include/asm/page_64_types.h. */
const USER_SPACE_END = 0x7fff_ffff_f000;
const MADV_DOFORK = 11;
const PROT_READ_WRITE = 3;
const PROT_READ_EXEC = 5;
const MAP_PRIVATE_ANONYMOUS = 0x22;

/** What a child's `main` that throws or returns ends with. */
export const CHILD_FAILED = 255;

const littleEndian = (value: number, bytes: number) => Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff);

/** madvise(PAGE, USER_SPACE_END - PAGE, MADV_DOFORK), its result ignored, then the jump to libc's fork, which returns to our caller. */
function code(forkAddress: number): number[] {
  return [
    0xbf, ...littleEndian(PAGE, 4), // mov edi, PAGE
    0x48, 0xbe, ...littleEndian(USER_SPACE_END - PAGE, 8), // movabs rsi, length
    0xba, ...littleEndian(MADV_DOFORK, 4), // mov edx, MADV_DOFORK
    0xb8, ...littleEndian(SYS.madvise, 4), // mov eax, madvise
    0x0f, 0x05, // syscall
    0x48, 0xb8, ...littleEndian(forkAddress, 8), // movabs rax, fork
    0xff, 0xe0, // jmp rax
  ];
}

/**
 * SAFETY: madvise only changes which mappings a fork copies. It ends in EINVAL at [vvar], behind which nothing of V8's lies. libc's fork,
 * not the system call, because its atfork handlers put malloc's locks right.
 */
function makeForkWithHeap(): () => number {
  const address = check(syscall(SYS.mmap, 0, PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0), "mmap");
  new Uint8Array(rawView(address, PAGE)).set(code(libcAddress("fork")));
  check(syscall(SYS.mprotect, address, PAGE, PROT_READ_EXEC), "mprotect");
  return functionAt(address);
}

const forkWithHeap = makeForkWithHeap();

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
  const pid = forkWithHeap();
  if (pid === 0) runChild(main, mask);
  setSignalMask(mask);
  return check(pid, "fork");
}

function runChild(main: () => number, mask: bigint): never {
  let code = CHILD_FAILED;
  try {
    resetSignalActions();
    setSignalMask(mask);
    code = main();
  } finally {
    exitNow(code);
  }
}
