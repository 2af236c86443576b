/** ptrace(2). Source: Linux include/uapi/linux/ptrace.h. */

export const PTRACE_DETACH = 17;
export const PTRACE_SEIZE = 0x4206;
export const PTRACE_INTERRUPT = 0x4207;
export const PTRACE_SECCOMP_GET_FILTER = 0x420c;
export const PTRACE_SECCOMP_GET_METADATA = 0x420d;
export const PTRACE_EVENT_STOP = 128;

/** Sizes of struct seccomp_metadata, struct sock_filter. */
export const SECCOMP_METADATA_SIZE = 16;
export const SOCK_FILTER_SIZE = 8;
