/** Policies: what becomes of each system call, and which of them the sentry must have a handler for. */
import { rows } from "./table.ts";
import { outcomesOf } from "./row.ts";
import type { SyscallRow } from "./row.ts";
import { trappedSyscalls } from "./trapped.ts";
import type { TrappedSyscall } from "./trapped.ts";

export interface SyscallPolicy {
  readonly name: string;
  /** In the order of the numbers. What is not among them is denied with ENOSYS. */
  readonly rows: readonly SyscallRow[];
}

/** The default: names and data go to the kernel, in mounts and namespaces that are the guest's own; what is left traps or is refused. */
export const balanced: SyscallPolicy = { name: "balanced", rows };

/** By the name that the command line and configuration use. */
export const policies = { balanced } as const satisfies Record<string, SyscallPolicy>;

export type PolicyName = keyof typeof policies;

export { trappedSyscalls };
export type { TrappedSyscall };

const isTrapped = (name: string): name is TrappedSyscall => trappedSyscalls.some((known) => known === name);

/**
 * The calls that trap under this policy, in the order of their numbers.
 * @throws Error for one that is not in `trappedSyscalls`, so that no policy traps what nobody answers.
 */
export function handlersOf(policy: SyscallPolicy): readonly TrappedSyscall[] {
  const trapping = policy.rows.filter((row) => outcomesOf(row).some(({ kind }) => kind === "emulated" || kind === "continued"));
  return trapping.map(({ name }) => {
    if (!isTrapped(name)) throw new Error(`${name} traps under ${policy.name} but is not in trappedSyscalls`);
    return name;
  });
}
