/** Policies: what becomes of each system call, and which of them the sentry must have a handler for. */
import { rows } from "./table.ts";
import { strictRows } from "./strict.ts";
import { outcomesOf } from "./row.ts";
import type { SyscallRow } from "./row.ts";
import { strictlyTrapped, trappedSyscalls } from "./trapped.ts";
import type { PolicyName } from "./names.ts";
import type { StrictlyTrapped, TrappedSyscall } from "./trapped.ts";

export interface SyscallPolicy {
  readonly name: string;
  /** In the order of the numbers. What is not among them is denied with ENOSYS. */
  readonly rows: readonly SyscallRow[];
}

/** The default: names and data go to the kernel, in mounts and namespaces that are the guest's own; what is left traps or is refused. */
export const balanced: SyscallPolicy = { name: "balanced", rows };

/** As little of the host's kernel as possible: names and data trap as well. Decision 0041. */
export const strict: SyscallPolicy = { name: "strict", rows: strictRows };

/** By the name that the command line and configuration use. */
export const policies: Readonly<Record<PolicyName, SyscallPolicy>> = { balanced, strict };

export { trappedSyscalls };
export type { PolicyName, TrappedSyscall };

/** What has a handler, by policy. */
const handled: Readonly<Record<string, readonly string[]>> = { balanced: trappedSyscalls, strict: strictlyTrapped };

/**
 * The calls that trap under this policy, in the order of their numbers.
 * @throws Error for one that is not in trapped.ts, so that no policy traps what nobody answers.
 */
export function handlersOf(policy: SyscallPolicy): readonly (TrappedSyscall | StrictlyTrapped)[] {
  const trapping = policy.rows.filter((row) => outcomesOf(row).some(({ kind }) => kind === "emulated" || kind === "continued"));
  return trapping.map(({ name }) => {
    if (handled[policy.name]?.includes(name) !== true) throw new Error(`${name} traps under ${policy.name} but is not in trapped.ts`);
    return name as TrappedSyscall | StrictlyTrapped;
  });
}
