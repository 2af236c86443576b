/**
 * fork(2) for a Node process. The child is a full copy that runs plain synchronous TypeScript on the same heap.
 *
 * V8 marks its heap MADV_DONTFORK, which would leave the child without it; madvise(MADV_DOFORK) over the whole address range undoes that.
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
import { rawFork, syscall } from "./syscall.unsafe.ts";

const PAGE = 4096;
/** End of user space on x86-64 with four-level page tables, less the guard page. Source: Linux arch/x86/include/asm/page_64_types.h. */
const USER_SPACE_END = 0x7fff_ffff_f000;
const MADV_DOFORK = 11;

/** What a child's `main` that throws or returns ends with. */
export const CHILD_FAILED = 255;

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
  // SAFETY: only changes which mappings a fork copies. Ends in EINVAL at [vvar], behind which nothing of V8's lies.
  syscall(SYS.madvise, PAGE, USER_SPACE_END - PAGE, MADV_DOFORK);
  const mask = setSignalMask(ALL_SIGNALS);
  const pid = rawFork();
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
