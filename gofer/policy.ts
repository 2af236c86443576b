/**
 * The system calls of a gofer, an allow list: what answering requests takes, and what V8 does in any process (memory, locks, JIT). Learned by
 * running the tests under strace(1), with forced collection and deoptimisation; then fixed. Everything else is EPERM.
 *
 * Loaded as compiled.ts has it: after a change run `node gofer/generate.ts`.
 */
import type { ArgCheck, Policy, Rule } from "seccomp-bpf-ts";

const int = (index: number, value: number): ArgCheck => ({ index, op: "masked-eq", value: 0xffff_ffff, valueTwo: value });
const without = (index: number, bits: number): ArgCheck => ({ index, op: "masked-eq", value: bits, valueTwo: 0 });
const allow = (names: string, args?: readonly ArgCheck[]): Rule =>
  args === undefined ? { names: names.split(" "), action: "allow" } : { names: names.split(" "), action: "allow", args };

const F_GETFL = 3;
const F_SETFL = 4;
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const MAP_SHARED = 1;

const EPERM = 1;

export function goferPolicy(): Policy {
  return {
    defaultAction: "errno",
    defaultErrno: EPERM,
    architectures: ["x86_64"],
    rules: [
      // Requests and replies; write(2) is also how V8 wakes libuv by its eventfd.
      allow("read write poll ppoll close"),
      // Names, beneath a lent directory's descriptor. openat(2) opens /proc/self/fd/N again: Landlock and the empty root bound both.
      allow("openat2 openat statx readlinkat mkdirat unlinkat symlinkat linkat renameat2 fchownat fchmodat utimensat"),
      // Regular files, FIFOs and sockets; never devices, which CAP_MKNOD and the mount's nodev would refuse as well.
      allow("mknodat", [{ index: 2, op: "masked-eq", value: 0o170000, valueTwo: 0o010000 }]),
      allow("mknodat", [{ index: 2, op: "masked-eq", value: 0o170000, valueTwo: 0o140000 }]),
      allow("mknodat", [{ index: 2, op: "masked-eq", value: 0o170000, valueTwo: 0o100000 }]),
      // Contents.
      allow("pread64 pwrite64 lseek ftruncate fsync fdatasync fallocate copy_file_range getdents64 fstatfs fstat flock"),
      ...[F_GETFL, F_SETFL, F_OFD_GETLK, F_OFD_SETLK].map((command) => allow("fcntl", [int(1, command)])),
      allow("getxattr setxattr listxattr removexattr"),
      // Changes on the host that the guest's kernel is told of.
      allow("inotify_init1 inotify_add_watch inotify_rm_watch"),
      // Memory of V8 and malloc, never shared with another process or file. It must be able to make it executable: the JIT.
      allow("mmap", [without(3, MAP_SHARED)]),
      // pkey_mprotect: for its code, on processors with protection keys.
      allow("munmap mprotect pkey_mprotect mremap brk"),
      allow("madvise"),
      // Time, locks within the process, signals' return, the end.
      allow("futex clock_gettime clock_nanosleep nanosleep sched_yield getpid gettid rt_sigprocmask rt_sigreturn restart_syscall getrandom"),
      allow("exit exit_group"),
    ],
  };
}
