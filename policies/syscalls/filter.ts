/** From tables to filters: a policy's, which the guest's tasks carry, and the allow lists of our own processes. */
import { compile } from "seccomp-bpf-ts";
import type { ArgCheck, Outcome as FilterOutcome, Policy, Rule } from "seccomp-bpf-ts";
import type { PlatformName } from "./names.ts";
import { onPlatform } from "./platform.ts";
import { errnos } from "./row.ts";
import type { ErrnoName, Group, Outcome, SyscallRow } from "./row.ts";
import type { SyscallPolicy } from "./policy.ts";

const TRAPS: Readonly<Record<PlatformName, FilterOutcome>> = { notify: { action: "notify" }, ptrace: { action: "trace" } };

function filterOutcome(outcome: Outcome, platform: PlatformName): FilterOutcome {
  switch (outcome.kind) {
    case "native":
      return { action: "allow" };
    case "emulated":
    case "continued":
      return TRAPS[platform];
    case "denied":
      return { action: "errno", errno: errnos[outcome.errno] };
    default:
      return outcome satisfies never;
  }
}

function rulesFor(names: readonly string[], { cases, otherwise }: Pick<SyscallRow, "cases" | "otherwise">, platform: PlatformName): Rule[] {
  const rule = (outcome: Outcome, args: readonly ArgCheck[]): Rule => ({ names, ...filterOutcome(outcome, platform), args });
  return [...cases.flatMap(({ anyOf, outcome }) => anyOf.map((checks) => rule(outcome, checks))), rule(otherwise, [])];
}

const enosys: FilterOutcome = { action: "errno", errno: errnos.ENOSYS };

/**
 * The policy as seccomp-bpf-ts takes it. A call through `int 0x80` or from a 32-bit program ends the process: it has numbers and argument
 * widths of its own, and a program that makes one could not go on without. x32 numbers and those that have no row look absent (ENOSYS).
 */
export function filterPolicy(policy: SyscallPolicy, platform: PlatformName = "notify"): Policy {
  return {
    defaultAction: "errno",
    defaultErrno: errnos.ENOSYS,
    architectures: ["x86_64"],
    rules: onPlatform(policy, platform).rows.flatMap((row) => rulesFor([row.name], row, platform)),
    foreignArch: { action: "kill-process" },
    x32: enosys,
  };
}

/**
 * struct sock_filter[], for setSeccompFilter. What traps is SECCOMP_RET_USER_NOTIF, and needs SECCOMP_FILTER_FLAG_NEW_LISTENER, or SECCOMP_RET_TRACE,
 * which without a tracer is ENOSYS.
 */
export function compilePolicy(policy: SyscallPolicy, platform: PlatformName = "notify"): Uint8Array {
  return compile(filterPolicy(policy, platform));
}

/**
 * The filter of a process of our own: what the groups say, and nothing else.
 * @param refused what happens to any other call: the process ends with SIGSYS, or the call fails.
 * @throws Error for an outcome that traps: nobody listens.
 */
export function compileAllowList(groups: readonly Group[], refused: "kill" | ErrnoName): Uint8Array {
  const rules = groups.flatMap(({ names, cases = [], outcome }) => rulesFor(names.split(" "), { cases, otherwise: outcome }, "notify"));
  if (rules.some(({ action }) => action === "notify")) throw new Error("an allow list has no listener");
  const others: FilterOutcome = refused === "kill" ? { action: "kill-process" } : { action: "errno", errno: errnos[refused] };
  return compile({
    defaultAction: others.action,
    ...(others.errno !== undefined && { defaultErrno: others.errno }),
    architectures: ["x86_64"],
    rules,
    x32: others,
  });
}
