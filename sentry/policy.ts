/**
 * The system calls of a sentry, an allow list: what answering its guest takes, and what V8 does in any process (memory, locks, JIT). Learned
 * by running it under strace(1) with forced collection, compilation and deoptimisation; then fixed. Everything else is EPERM.
 *
 * Loaded as compiled.ts has it: after a change run `node sentry/generate.ts`.
 */
import * as pt from "../linux/abi/ptrace.ts";
import { SIGNALS } from "../linux/abi/signal.ts";
import { NOTIFY_COMMANDS } from "../linux/seccomp-notify.ts";
import { SO_PEERCRED, SOL_SOCKET } from "../linux/socket.ts";
import { bits, int, named, when } from "../policies/syscalls/checks.ts";
import { compileAllowList } from "../policies/syscalls/filter.ts";
import type { PlatformName } from "../policies/syscalls/names.ts";
import { denied, native, type Case, type Group } from "../policies/syscalls/row.ts";

const MAP_SHARED = 1;
const CLOCK_MONOTONIC = 1;
const TRACER_REQUESTS = {
  PTRACE_SEIZE: pt.PTRACE_SEIZE,
  PTRACE_CONT: pt.PTRACE_CONT,
  PTRACE_SYSCALL: pt.PTRACE_SYSCALL,
  PTRACE_LISTEN: pt.PTRACE_LISTEN,
  PTRACE_INTERRUPT: pt.PTRACE_INTERRUPT,
  PTRACE_GET_SYSCALL_INFO: pt.PTRACE_GET_SYSCALL_INFO,
  PTRACE_GETEVENTMSG: pt.PTRACE_GETEVENTMSG,
  PTRACE_GETSIGINFO: pt.PTRACE_GETSIGINFO,
};

/** @param more requests besides. */
export const tracing = (more: Readonly<Record<string, number>> = {}): readonly Case[] => [
  named(0, { ...TRACER_REQUESTS, ...more }, native, [], 64),
  named(2, pt.REGISTERS, native, [{ index: 0, op: "eq", value: BigInt(pt.PTRACE_POKEUSR) }], 64),
];

const everySentry: readonly Group[] = [
  {
    reason: "Waiting for calls, for listeners, and for the gofer's end",
    names: "poll accept4 recvmsg close",
    outcome: native,
  },
  {
    reason: "The guest's memory: the kernel asks for ptrace's right over the task, which the sentry has over its own guest alone",
    names: "process_vm_readv process_vm_writev",
    outcome: native,
  },
  {
    reason: "The guest's tasks, in a procfs that hangs nowhere; there is no other file to open",
    names: "openat2 read",
    outcome: native,
  },
  { reason: "The cgroups' limits and use, and what the gofers count, by descriptors that are given to it", names: "pread64", outcome: native },
  {
    reason: "The end of a container whose gofer has ended, where others live on: over no process has it a right but its guests",
    names: "pidfd_send_signal",
    cases: [named(1, { SIGKILL: SIGNALS.SIGKILL }, native)],
    outcome: denied("EPERM"),
  },
  {
    reason: "A line on standard error before its end, and the eventfd by which V8 wakes libuv: nobody reads it, but libuv aborts where it cannot write",
    names: "write",
    outcome: native,
  },
  {
    reason: "Memory of V8 and malloc. Never shared with a process or a file; executable it must be, for V8 compiles as it runs",
    names: "mmap",
    cases: [{ what: "private flags", anyOf: [[bits(3, MAP_SHARED, 0)]], outcome: native }],
    outcome: denied("EPERM"),
  },
  {
    reason: "The same. pkey_mprotect is what V8 uses for its code on processors with protection keys",
    names: "munmap mprotect pkey_mprotect mremap brk madvise",
    outcome: native,
  },
  {
    reason: "Uptime, where the vDSO does not have it",
    names: "clock_gettime",
    cases: [named(0, { CLOCK_REALTIME: 0, CLOCK_MONOTONIC }, native)],
    outcome: denied("EPERM"),
  },
  {
    reason: "Locks within the process, seeds, a signal's return, a stop's end, and its own",
    names: "futex sched_yield getpid gettid getrandom rt_sigprocmask rt_sigreturn restart_syscall exit exit_group",
    outcome: native,
  },
];

const ofPlatform: Readonly<Record<PlatformName, readonly Group[]>> = {
  notify: [
    {
      reason: "Taking and answering calls; no other command of any device, terminal or file system",
      names: "ioctl",
      cases: [named(1, NOTIFY_COMMANDS, native)],
      outcome: denied("EPERM"),
    },
  ],
  ptrace: [
    {
      reason: "Following the guest's tasks, over which alone it has the right; of their registers a call's number and result, of their memory nothing",
      names: "ptrace",
      cases: tracing(),
      outcome: denied("EPERM"),
    },
    { reason: "Waiting for calls", names: "wait4", outcome: native },
    { reason: "Which processor it and a task of its guest run on; of other tasks than these it knows no number", names: "sched_getaffinity sched_setaffinity getcpu", outcome: native },
    {
      reason: "The end of a task that another program took over in the middle of its call",
      names: "kill",
      cases: [when("SIGKILL", [int(1, SIGNALS.SIGKILL)], native)],
      outcome: denied("EPERM"),
    },
    { reason: "Having the bell wait for one descriptor more or less", names: "epoll_ctl", outcome: native },
    {
      reason: "Who stands at a gate",
      names: "getsockopt",
      cases: [when("SO_PEERCRED", [int(1, SOL_SOCKET), int(2, SO_PEERCRED)], native)],
      outcome: denied("EPERM"),
    },
  ],
};

export const sentryCalls = (platform: PlatformName): readonly Group[] => [...everySentry, ...ofPlatform[platform]];

/** struct sock_filter[]; takes tens of milliseconds. */
export const compileSentryFilter = (platform: PlatformName): Uint8Array => compileAllowList(sentryCalls(platform), "EPERM");
