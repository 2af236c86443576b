/** What can be chosen, by itself: the tables behind the names take long to load, and every command reads its options. */

/** From the most native calls to the fewest. */
export const POLICY_NAMES = ["balanced", "strict"] as const;

export type PolicyName = (typeof POLICY_NAMES)[number];

export const PLATFORMS = ["notify", "ptrace"] as const;

/** `notify`: SECCOMP_RET_USER_NOTIF and a listener; `ptrace`: SECCOMP_RET_TRACE and a tracer, without which such a call is ENOSYS. */
export type PlatformName = (typeof PLATFORMS)[number];
