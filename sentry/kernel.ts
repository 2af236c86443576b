/** What the sentry's handlers share: the state of the kernel that the guest sees. */
import type { Machine } from "./machine.ts";
import type { Tasks } from "./tasks.ts";

export interface Kernel {
  readonly machine: Machine;
  readonly tasks: Tasks;
  readonly uts: Uts;
}

/** Names of the UTS namespace. */
export interface Uts {
  readonly nodename: string;
  readonly domainname: string;
}

/** What uname(2) and /proc/version tell: one kernel for all hosts, whose release no program takes for too old. */
export const IDENTITY = {
  sysname: "Linux",
  release: "6.12.0-tssandbox",
  version: "#1 SMP PREEMPT_DYNAMIC",
  machine: "x86_64",
} as const;
