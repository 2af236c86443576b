/**
 * The one place where TypeScript calls into libc. Every argument is a number: an integer or an address in this process.
 * Addresses come from memory.unsafe.ts only.
 */
import koffi from "koffi";

const libc = koffi.load(null);
const LONG = "long";

// SAFETY: syscall(2) is variadic, but on every architecture we support integers of a variadic call travel in the same
// registers as named ones, and a register more than the call takes is ignored by the kernel.
const libcSyscall = libc.func("syscall", LONG, [LONG, LONG, LONG, LONG, LONG, LONG, LONG]) as (
  ...args: (number | bigint)[]
) => number;
const dlsym = libc.func("dlsym", "ulong", ["ulong", "str"]) as (handle: number, name: string) => number;

type Arg = number | bigint;

/**
 * One system call. Returns its result, or the negative errno. Never throws, never retries: see `retrying` for EINTR.
 * Source: syscall(2).
 */
export function syscall(nr: number, a: Arg = 0, b: Arg = 0, c: Arg = 0, d: Arg = 0, e: Arg = 0, f: Arg = 0): number {
  const result = libcSyscall(nr, a, b, c, d, e, f);
  return result === -1 ? -koffi.errno() : result;
}

/** The same, again and again while a signal interrupts it. For calls that may be repeated: read, write, wait, poll without time-out. */
export function retrying(nr: number, a: Arg = 0, b: Arg = 0, c: Arg = 0, d: Arg = 0, e: Arg = 0, f: Arg = 0): number {
  for (;;) {
    const result = syscall(nr, a, b, c, d, e, f);
    if (result !== -EINTR) return result;
  }
}

const EINTR = 4;

/** malloc_trim(3): what malloc keeps free goes back to the kernel. A child forked after that has neither the pages nor their page tables. */
export function trimHeap(): void {
  // SAFETY: it takes a number, and frees nothing that is in use.
  (libc.func("malloc_trim", "int", ["ulong"]) as (keep: number) => number)(0);
}

/** Address of a function of libc. Only fork.unsafe.ts calls this. */
export function libcAddress(name: string): number {
  const RTLD_DEFAULT = 0;
  return dlsym(RTLD_DEFAULT, name);
}

/** The function `int f(void)` at `address`. Only fork.unsafe.ts calls this. */
export function functionAt(address: number): () => number {
  // SAFETY: the caller has placed code there which keeps to the C calling convention, and leaves it mapped.
  return koffi.decode(BigInt(address), koffi.proto("int ()")) as () => number;
}

const bind = (name: string, ...args: string[]) => libc.func(name, "int", args) as (...values: (number | Uint8Array)[]) => number;

/** pthread_attr_t. Source: glibc bits/pthreadtypes-arch.h. */
const THREAD_ATTRIBUTES_SIZE = 56;
const DETACHED = 1;

/**
 * A thread that runs `void *f(void *argument)` at `entry`; libc's, so that its place for thread-local things is there. Only kvm-thread.unsafe.ts calls this.
 * @param stackSize bytes, a multiple of the page size. @returns 0, or an errno
 */
export function createThread(entry: number, argument: number, stackSize: number): number {
  const attributes = new Uint8Array(THREAD_ATTRIBUTES_SIZE);
  // SAFETY: both buffers are as large as libc's types, and used during these calls only; the caller keeps to the calling convention at `entry`.
  bind("pthread_attr_init", "void *")(attributes);
  bind("pthread_attr_setstacksize", "void *", "ulong")(attributes, stackSize);
  bind("pthread_attr_setdetachstate", "void *", "int")(attributes, DETACHED);
  return bind("pthread_create", "void *", "void *", "ulong", "ulong")(new Uint8Array(8), attributes, entry, argument);
}

/** errno of the libc function that has just been called. */
export function lastErrno(): number {
  return koffi.errno();
}

/** An ArrayBuffer over memory of this process. Only memory.unsafe.ts and fork.unsafe.ts call this. */
export function rawView(address: number, length: number): ArrayBuffer {
  // SAFETY: the caller mapped [address, address + length) and keeps it mapped for as long as the view is used.
  return koffi.view(address, length) as ArrayBuffer;
}
