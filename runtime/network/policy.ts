/** The system calls of the proxy (proxy.ts), an allow list. It makes no socket and opens no file: everything that it uses it was given. */
import { denied, native, type Group } from "../../policies/syscalls/row.ts";
import { bits } from "../../policies/syscalls/checks.ts";

const MAP_SHARED = 1;

export const proxyCalls: readonly Group[] = [
  { reason: "Waiting, and the sockets that it was given", names: "poll ppoll sendto recvfrom close", outcome: native },
  { reason: "The log, and the eventfd by which V8 wakes libuv", names: "write", outcome: native },
  {
    reason: "Memory of V8 and malloc, never shared; executable it must be, for V8 compiles as it runs",
    names: "mmap",
    cases: [{ what: "private flags", anyOf: [[bits(3, MAP_SHARED, 0)]], outcome: native }],
    outcome: denied("EPERM"),
  },
  { reason: "The same", names: "munmap mprotect pkey_mprotect mremap brk madvise", outcome: native },
  {
    reason: "Time, locks within the process, seeds, ids, a signal's return, a stop's end, and its own",
    names: "clock_gettime futex sched_yield getpid gettid getrandom rt_sigprocmask rt_sigreturn restart_syscall exit exit_group",
    outcome: native,
  },
];
