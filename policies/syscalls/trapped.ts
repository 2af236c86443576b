/** What the sentry answers; by itself, since the table takes milliseconds to set up. */

/** The calls that trap under any policy, for some arguments at least: the sentry has a handler for each. */
export const trappedSyscalls = ["ptrace", "sync", "sysinfo", "uname"] as const;

export type TrappedSyscall = (typeof trappedSyscalls)[number];
