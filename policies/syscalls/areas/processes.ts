import { bits, int, named, oneOf, when } from "../checks.ts";
import { continued, denied, native } from "../row.ts";
import type { Area } from "../row.ts";

// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (linux/sched.h). CLONE_NEWTIME is no flag of clone(2): its bit is in CSIGNAL.
const CLONE_NAMESPACES = [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
const CLONE_PARENT = 0x8000;

const ADDR_NO_RANDOMIZE = 0x004_0000;
const QUERY = 0xffff_ffff;

const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_FILTER_FLAG_NEW_LISTENER = 8;

// Requests (linux/ptrace.h, asm/ptrace-abi.h). PTRACE_SETOPTIONS and PTRACE_SEIZE take options in `data`.
const PTRACE_TRACEME = 0;
export const withOptions = { PTRACE_SETOPTIONS: 0x4200, PTRACE_SEIZE: 0x4206 };
const PTRACE_O_SUSPEND_SECCOMP = 0x20_0000;
export const tracing = {
  PTRACE_PEEKTEXT: 1,
  PTRACE_PEEKDATA: 2,
  PTRACE_PEEKUSR: 3,
  PTRACE_POKETEXT: 4,
  PTRACE_POKEDATA: 5,
  PTRACE_POKEUSR: 6,
  PTRACE_CONT: 7,
  PTRACE_KILL: 8,
  PTRACE_SINGLESTEP: 9,
  PTRACE_GETREGS: 12,
  PTRACE_SETREGS: 13,
  PTRACE_GETFPREGS: 14,
  PTRACE_SETFPREGS: 15,
  PTRACE_ATTACH: 16,
  PTRACE_DETACH: 17,
  PTRACE_SYSCALL: 24,
  PTRACE_GETEVENTMSG: 0x4201,
  PTRACE_GETSIGINFO: 0x4202,
  PTRACE_SETSIGINFO: 0x4203,
  PTRACE_GETREGSET: 0x4204,
  PTRACE_SETREGSET: 0x4205,
  PTRACE_INTERRUPT: 0x4207,
  PTRACE_LISTEN: 0x4208,
  PTRACE_PEEKSIGINFO: 0x4209,
  PTRACE_GETSIGMASK: 0x420a,
  PTRACE_SETSIGMASK: 0x420b,
  PTRACE_GET_SYSCALL_INFO: 0x420e,
};

// FUTEX_WAIT_REQUEUE_PI, FUTEX_CMP_REQUEUE_PI, whatever FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME say (linux/futex.h).
const FUTEX_CMD_MASK = 0xffff_fe7f;
const requeuePi = [11, 12];

export const processes: Area = {
  title: "Processes and threads",
  groups: [
    {
      reason:
        "A task of the guest is a task of the host. Without namespaces of its own, which open kernel code meant for root; and without siblings, " +
        "which of a container's first processes would be children of whoever started the container",
      names: "clone",
      cases: [
        { what: "flags with any CLONE_NEW...", anyOf: CLONE_NAMESPACES.map((flag) => [bits(0, flag, flag)]), outcome: denied("EPERM") },
        when("flags with CLONE_PARENT", [bits(0, CLONE_PARENT, CLONE_PARENT)], denied("EINVAL")),
      ],
      outcome: native,
    },
    { reason: "Its flags lie in memory, where no filter sees them. With ENOSYS libc falls back to clone", names: "clone3", outcome: denied("ENOSYS") },
    { reason: "The name leads to a file of the guest's own mounts; the mounts' noexec and nosuid are the kernel's work", names: "execveat", outcome: native },
    { reason: "The end, and waiting for it: of tasks in the own pid namespace", names: "exit_group waitid", outcome: native },
    {
      reason: "Threads: what libc needs for them, about the calling one only",
      names: "set_tid_address set_robust_list rseq gettid",
      outcome: native,
    },
    {
      reason: "Waiting on memory. Without the requeueing of priority-inheriting waiters, which has had more holes than users: libc's conditions do not use it",
      names: "futex",
      cases: [{ what: "FUTEX_WAIT_REQUEUE_PI, FUTEX_CMP_REQUEUE_PI", anyOf: requeuePi.map((op) => [bits(1, FUTEX_CMD_MASK, op)]), outcome: denied("ENOSYS") }],
      outcome: native,
    },
    { reason: "The newer futex calls: programs that know them fall back to futex", names: "futex_waitv futex_wake futex_wait futex_requeue", outcome: denied("ENOSYS") },
    { reason: "About tasks in the own pid namespace, or the calling one", names: "getpid getppid getpgid setpgid getsid setsid getpriority setpriority", outcome: native },
    { reason: "Descriptors of tasks in the own pid namespace", names: "pidfd_open pidfd_send_signal", outcome: native },
    {
      reason: "The bases of FS and GS, and leave to use large CPU state (AMX). Shadow stacks are off, as on a kernel without them",
      names: "arch_prctl",
      cases: [
        named(0, { ARCH_SET_GS: 0x1001, ARCH_SET_FS: 0x1002, ARCH_GET_FS: 0x1003, ARCH_GET_GS: 0x1004 }, native),
        named(0, { ARCH_GET_XCOMP_SUPP: 0x1021, ARCH_GET_XCOMP_PERM: 0x1022, ARCH_REQ_XCOMP_PERM: 0x1023 }, native),
      ],
      outcome: denied("EINVAL"),
    },
    {
      reason: "Turning off the randomisation of own addresses, for debuggers and sanitizers, and asking. Other personas change what uname says or make data executable",
      names: "personality",
      cases: [{ what: "0, ADDR_NO_RANDOMIZE, 0xffffffff (asks)", anyOf: oneOf(0, [0, ADDR_NO_RANDOMIZE, QUERY]).map((check) => [check]), outcome: native }],
      outcome: denied("EPERM"),
    },
    {
      reason:
        "Debuggers work: the kernel lets a task trace only what it may signal and see, and the filter runs after the tracer has changed a call " +
        "(since 4.8). PTRACE_TRACEME makes the parent the tracer, and a container's first processes have theirs outside: the sentry checks that",
      names: "ptrace",
      cases: [
        named(0, { PTRACE_TRACEME }, continued, [], 64),
        {
          what: "PTRACE_SETOPTIONS, PTRACE_SEIZE with PTRACE_O_SUSPEND_SECCOMP",
          anyOf: oneOf(0, Object.values(withOptions), 64).map((request) => [request, bits(3, PTRACE_O_SUSPEND_SECCOMP, PTRACE_O_SUSPEND_SECCOMP)]),
          outcome: denied("EPERM"),
        },
        named(0, withOptions, native, [], 64),
        named(0, tracing, native, [], 64),
      ],
      outcome: denied("EIO"),
    },
    { reason: "Memory of tasks that the caller could trace", names: "process_vm_readv process_vm_writev", outcome: native },
    { reason: "A descriptor out of another task: what SCM_RIGHTS does with consent", names: "pidfd_getfd", outcome: denied("EPERM") },
    { reason: "For checkpointing; tells the order of kernel addresses", names: "kcmp get_robust_list", outcome: denied("ENOSYS") },
    {
      reason: "The guest may confine itself further: filters stack, the strictest answer counts. One listener is all that the kernel allows, and it is the sentry's",
      names: "seccomp",
      cases: [
        named(0, { SECCOMP_SET_MODE_STRICT: 0, SECCOMP_GET_ACTION_AVAIL: 2, SECCOMP_GET_NOTIF_SIZES: 3 }, native),
        when("SECCOMP_SET_MODE_FILTER without SECCOMP_FILTER_FLAG_NEW_LISTENER", [int(0, SECCOMP_SET_MODE_FILTER), bits(1, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0)], native),
        when("SECCOMP_SET_MODE_FILTER with it", [int(0, SECCOMP_SET_MODE_FILTER)], denied("EBUSY")),
      ],
      outcome: denied("EINVAL"),
    },
    {
      reason: "The guest may confine itself further",
      names: "landlock_create_ruleset landlock_add_rule landlock_restrict_self",
      outcome: native,
    },
    { reason: "New namespaces open kernel code meant for root; existing ones are the runtime's to hand out", names: "unshare setns", outcome: denied("EPERM") },
    {
      reason: "The kernel asks no filter about them (since 6.14 and 6.18), and answers SIGILL and ENXIO anywhere but in a probe's trampoline",
      names: "uretprobe uprobe",
      outcome: native,
    },
  ],
  forms: { fork: "clone", vfork: "clone", execve: "execveat", exit: "exit_group", wait4: "waitid", getpgrp: "getpgid" },
};
