/** ptrace(2). Source: Linux include/uapi/linux/ptrace.h. */

export const PTRACE_TRACEME = 0;
export const PTRACE_POKEUSR = 6;
export const PTRACE_CONT = 7;
export const PTRACE_GETREGS = 12;
export const PTRACE_SETREGS = 13;
export const PTRACE_DETACH = 17;
export const PTRACE_SYSCALL = 24;
export const PTRACE_GETEVENTMSG = 0x4201;
export const PTRACE_GETSIGINFO = 0x4202;
export const PTRACE_SEIZE = 0x4206;
export const PTRACE_INTERRUPT = 0x4207;
export const PTRACE_LISTEN = 0x4208;
export const PTRACE_GETSIGMASK = 0x420a;
export const PTRACE_SETSIGMASK = 0x420b;
export const PTRACE_GET_SYSCALL_INFO = 0x420e;
export const PTRACE_SECCOMP_GET_FILTER = 0x420c;
export const PTRACE_SECCOMP_GET_METADATA = 0x420d;

export const PTRACE_EVENT_FORK = 1;
export const PTRACE_EVENT_VFORK = 2;
export const PTRACE_EVENT_CLONE = 3;
export const PTRACE_EVENT_EXEC = 4;
export const PTRACE_EVENT_EXIT = 6;
export const PTRACE_EVENT_SECCOMP = 7;
export const PTRACE_EVENT_STOP = 128;

export const PTRACE_O_TRACESYSGOOD = 1;
export const PTRACE_O_EXITKILL = 1 << 20;

/** struct ptrace_syscall_info; `entry`, `exit` and `seccomp` share its end. */
export const SYSCALL_INFO = { op: 0, nr: 24, args: 32, result: 24, size: 88 } as const;
export const PTRACE_SYSCALL_INFO_ENTRY = 1;
export const PTRACE_SYSCALL_INFO_EXIT = 2;
export const PTRACE_SYSCALL_INFO_SECCOMP = 3;

/** Where in struct user_regs_struct of x86-64 a call's result and its number are. Source: Linux arch/x86/include/asm/user_64.h. */
export const REGISTERS = { ax: 80, originalAx: 120 } as const;
/** The others that a call has to do with, its six arguments first, and the structure's size. */
export const CALL_REGISTERS = { arg0: 112, arg1: 104, arg2: 96, arg3: 56, arg4: 72, arg5: 64, ip: 128, sp: 152, size: 216 } as const;

/** Sizes of struct seccomp_metadata, struct sock_filter. */
export const SECCOMP_METADATA_SIZE = 16;
export const SOCK_FILTER_SIZE = 8;
