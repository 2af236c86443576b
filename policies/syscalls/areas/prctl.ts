import { named } from "../checks.ts";
import { denied, native } from "../row.ts";
import type { Area } from "../row.ts";

// linux/prctl.h; checked against the headers in test/kernel/policies/constants.test.ts.
export const nativeOptions = {
  PR_SET_PDEATHSIG: 1,
  PR_GET_PDEATHSIG: 2,
  PR_GET_DUMPABLE: 3,
  PR_SET_DUMPABLE: 4,
  PR_GET_KEEPCAPS: 7,
  PR_SET_KEEPCAPS: 8,
  PR_SET_NAME: 15,
  PR_GET_NAME: 16,
  PR_GET_SECCOMP: 21,
  PR_SET_SECCOMP: 22,
  PR_CAPBSET_READ: 23,
  PR_CAPBSET_DROP: 24,
  PR_GET_SECUREBITS: 27,
  PR_SET_SECUREBITS: 28,
  PR_SET_TIMERSLACK: 29,
  PR_GET_TIMERSLACK: 30,
  PR_SET_CHILD_SUBREAPER: 36,
  PR_GET_CHILD_SUBREAPER: 37,
  PR_SET_NO_NEW_PRIVS: 38,
  PR_GET_NO_NEW_PRIVS: 39,
  PR_SET_THP_DISABLE: 41,
  PR_GET_THP_DISABLE: 42,
  PR_CAP_AMBIENT: 47,
  PR_GET_SPECULATION_CTRL: 52,
  PR_SET_MDWE: 65,
  PR_GET_MDWE: 66,
  PR_GET_AUXV: 0x4155_5856,
  PR_SET_VMA: 0x5356_4d41,
  PR_SET_PTRACER: 0x5961_6d61,
};

/** Moves the boundaries that /proc shows, and the executable behind /proc/self/exe. */
export const deniedOptions = { PR_SET_MM: 35 };

export const prctl: Area = {
  title: "Properties of a process",
  groups: [
    {
      reason: "By option, about the calling process. Left out: memory merging and core scheduling (side channels), counters, machine checks, checkpointing, other architectures'",
      names: "prctl",
      cases: [named(0, nativeOptions, native), named(0, deniedOptions, denied("EPERM"))],
      outcome: denied("EINVAL"),
    },
  ],
};
