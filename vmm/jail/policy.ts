/**
 * The system calls of a VMM whose guest runs, an allow list: running vCPUs, moving data between rings and descriptors that it holds already, and
 * what V8 does in any process (memory, locks, JIT). Learned by running it under strace(1) with forced collection, compilation and
 * deoptimisation, several vCPUs, pause and snapshot; then fixed. Everything else is EPERM.
 *
 * Nothing here opens, connects, executes, starts or looks at another process. Setting a machine up (memory slots, interrupts, vCPUs, their
 * registers) is over, and refused.
 *
 * Loaded as compiled.ts has it: after a change run `node vmm/jail/generate.ts`.
 */
import * as kvm from "../../linux/abi/kvm.ts";
import { TUNSETOFFLOAD } from "../../linux/kvm-tap.ts";
import { bits, int, named, when } from "../../policies/syscalls/checks.ts";
import { compileAllowList } from "../../policies/syscalls/filter.ts";
import { denied, native, type Group } from "../../policies/syscalls/row.ts";
import { KICK_SIGNAL } from "../threads/vcpu.ts";

const MAP_SHARED = 1;
const MAP_ANONYMOUS = 0x20;
const PROT_EXEC = 4;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
/** In a pid namespace of its own it is the first process. */
const OWN_PID = 1;

/** While the guest runs, and to tell of a triple fault. */
const RUNNING = { KVM_RUN: kvm.KVM_RUN, KVM_GET_REGS: kvm.KVM_GET_REGS, KVM_KVMCLOCK_CTRL: kvm.KVM_KVMCLOCK_CTRL };

const SAVING = {
  KVM_GET_MSR_INDEX_LIST: kvm.KVM_GET_MSR_INDEX_LIST, KVM_GET_MSRS: kvm.KVM_GET_MSRS, KVM_GET_MP_STATE: kvm.KVM_GET_MP_STATE,
  KVM_GET_SREGS: kvm.KVM_GET_SREGS, KVM_GET_XSAVE: kvm.KVM_GET_XSAVE, KVM_GET_XCRS: kvm.KVM_GET_XCRS, KVM_GET_DEBUGREGS: kvm.KVM_GET_DEBUGREGS,
  KVM_GET_LAPIC: kvm.KVM_GET_LAPIC, KVM_GET_VCPU_EVENTS: kvm.KVM_GET_VCPU_EVENTS, KVM_GET_CLOCK: kvm.KVM_GET_CLOCK, KVM_GET_PIT2: kvm.KVM_GET_PIT2,
  KVM_GET_IRQCHIP: kvm.KVM_GET_IRQCHIP,
};

export const vmmCalls: readonly Group[] = [
  {
    reason: "Running vCPUs, saving the machine's state, a tap's offloads as the guest's driver negotiates them; no other command of any device",
    names: "ioctl",
    cases: [named(1, RUNNING, native), named(1, SAVING, native), named(1, { TUNSETOFFLOAD }, native)],
    outcome: denied("EPERM"),
  },
  { reason: "Waiting for doorbells, sockets and taps", names: "ppoll", outcome: native },
  {
    reason: "Data between the guest's rings and what is open: sockets, taps, eventfds, disks, the console's and the log's file",
    names: "read readv write writev pread64 preadv pwrite64 pwritev fsync fdatasync close",
    outcome: native,
  },
  { reason: "Those who connect to the vsock's and the control socket: with descriptors where a snapshot is to be written", names: "accept4 recvmsg shutdown", outcome: native },
  { reason: "The size of a snapshot's file", names: "ftruncate", outcome: native },
  {
    reason: "Connections that never wait",
    names: "fcntl",
    cases: [when("F_GETFL", [int(1, F_GETFL)], native), when("F_SETFL to O_RDWR | O_NONBLOCK", [int(1, F_SETFL), bits(2, 0xffff_ffff & ~O_NONBLOCK, 2)], native)],
    outcome: denied("EPERM"),
  },
  {
    reason: "Interrupts a vCPU's thread; no other signal, nobody else",
    names: "tgkill",
    cases: [when("the kick, within this process", [int(0, OWN_PID), int(2, KICK_SIGNAL)], native)],
    outcome: denied("EPERM"),
  },
  {
    reason: "Memory of V8 and malloc. Never of a file or a device, nor shared with a process",
    names: "mmap",
    cases: [when("private, anonymous, not executable", [bits(3, MAP_SHARED | MAP_ANONYMOUS, MAP_ANONYMOUS), bits(2, PROT_EXEC, 0)], native)],
    outcome: denied("EPERM"),
  },
  {
    reason: "The same. V8 compiles as it runs: its code must become executable. pkey_mprotect: on processors with protection keys",
    names: "munmap mprotect pkey_mprotect mremap brk madvise",
    outcome: native,
  },
  {
    reason: "Time, where the vDSO does not have it, locks within the process, seeds, threads' and signals' ends, its own",
    names: "clock_gettime gettimeofday clock_nanosleep futex sched_yield getpid gettid getrandom rt_sigprocmask rt_sigreturn restart_syscall exit exit_group",
    outcome: native,
  },
  { reason: "Node's own loops: V8's tasks that are due later", names: "epoll_pwait epoll_ctl", outcome: native },
  { reason: "V8's locks ask for the priority of the thread that holds one, its pool for the number of processors", names: "sched_getparam sched_getscheduler sched_getaffinity", outcome: native },
];

/** struct sock_filter[]; takes tens of milliseconds. */
export const compileVmmFilter = (): Uint8Array => compileAllowList(vmmCalls, "EPERM");
