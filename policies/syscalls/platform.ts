/** How trapped calls reach the sentry, and what a policy's filter has otherwise for it (decision 0040). */
import { bits, when } from "./checks.ts";
import type { PlatformName } from "./names.ts";
import { continued, denied } from "./row.ts";
import type { SyscallPolicy } from "./policy.ts";
import type { SyscallRow } from "./row.ts";

const CLONE_UNTRACED = 0x0080_0000;

/** What a row becomes where every task has the sentry for its tracer. */
function underTracer(row: SyscallRow, policy: string): SyscallRow {
  switch (row.name) {
    case "ptrace":
      return { ...row, class: "denied", cases: [], otherwise: denied("EPERM"), reason: "Every task has the sentry for its tracer, and can have but one" };
    case "clone":
      return { ...row, cases: [...row.cases, when("flags with CLONE_UNTRACED", [bits(0, CLONE_UNTRACED, CLONE_UNTRACED)], denied("EPERM"))], reason: "As otherwise; and no child without the tracer" };
    case "sched_getaffinity":
    case "sched_setaffinity":
      // Under the other policy the sentry lets tasks go where they are.
      return policy === "balanced" ? { ...row, class: "continued", otherwise: continued, reason: "As otherwise; the sentry, which may bind a task to a processor for as long as it lets it go, sees to it that this does not show" } : row;
    default:
      return row;
  }
}

/** The rows that are not those of the other platform. */
export const changedUnderTracer = ({ name, rows }: SyscallPolicy): SyscallRow[] => rows.filter((row) => underTracer(row, name) !== row).map((row) => underTracer(row, name));

export function onPlatform(policy: SyscallPolicy, platform: PlatformName): SyscallPolicy {
  return platform === "notify" ? policy : { ...policy, rows: policy.rows.map((row) => underTracer(row, policy.name)) };
}
