/** waitid(2) and wait4(2). Source: Linux include/uapi/linux/wait.h, asm-generic/siginfo.h. */

export const P_PIDFD = 3;
export const WNOHANG = 1;
export const WEXITED = 4;
/** Children of every kind, traced ones included. */
export const __WALL = 0x40000000;

export const CLD_EXITED = 1;

/** Size of siginfo_t, and where it has what waitid(2) fills in. */
export const SIGINFO_SIZE = 128;
export const SI_CODE_OFFSET = 8;
export const SI_PID_OFFSET = 16;
export const SI_STATUS_OFFSET = 24;
