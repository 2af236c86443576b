// What a policy says about one call, straight from its rules: the definition that compiled programs are tested against.
import type { Verdict } from "./action.ts";
import { archOf, archs } from "./arch.ts";
import type { ArchName } from "./arch.ts";
import { planPolicy } from "./policy.ts";
import type { Condition, Plan, PlannedRule, Policy } from "./policy.ts";
import { callAudit } from "./simulate.ts";
import type { Call } from "./simulate.ts";
import { syscallNumber } from "./syscalls.ts";

/** Why a verdict was reached: the index of a rule, or what took the place of one. */
export type Reason = number | "default" | "newer-call" | "foreign-arch" | "x32";

export interface Decision extends Verdict {
  readonly reason: Reason;
}

export function conditionHolds(condition: Condition, argument: bigint, bits: 32 | 64): boolean {
  const mask = BigInt.asUintN(bits, condition.mask);
  const value = BigInt.asUintN(bits, condition.value);
  const actual = BigInt.asUintN(bits, argument) & mask;
  switch (condition.op) {
    case "eq":
    case "masked-eq":
      return actual === value;
    case "ne":
      return actual !== value;
    case "lt":
      return actual < value;
    case "le":
      return actual <= value;
    case "gt":
      return actual > value;
    case "ge":
      return actual >= value;
    default:
      return condition.op satisfies never;
  }
}

/** The highest number that any rule names on `arch`; -1 when none does. */
export function newestNamed(plan: Plan, arch: ArchName): number {
  let newest = -1;
  for (const { rule } of plan.rules) {
    for (const name of rule.names) newest = Math.max(newest, syscallNumber(arch, name) ?? -1);
  }
  return newest;
}

/**
 * The number that stands for calls newer than the kernel: on s390 a number above 255 is passed in a register with svc 0,
 * and stays 0 when the kernel does not know it. No call of today has number 0 there.
 */
export function isMultiplexed(arch: ArchName, nr: number): boolean {
  return (arch === "s390" || arch === "s390x") && nr === 0;
}

function names(planned: PlannedRule, arch: ArchName, nr: number): boolean {
  return planned.rule.names.some((name) => syscallNumber(arch, name) === nr);
}

function decideListed(plan: Plan, arch: ArchName, call: Call): Decision {
  const nr = call.nr >>> 0;
  const { bits } = archs[arch];
  const argument = (index: number): bigint => BigInt.asUintN(64, BigInt(call.args?.[index] ?? 0));
  for (const [index, planned] of plan.rules.entries()) {
    if (!names(planned, arch, nr)) continue;
    if (planned.conditions.every((condition) => conditionHolds(condition, argument(condition.index), bits))) {
      return { ...planned.verdict, reason: index };
    }
  }
  const newest = newestNamed(plan, arch);
  const isNewer = newest >= 0 && (nr > newest || isMultiplexed(arch, nr));
  return isNewer ? { ...plan.newerCalls, reason: "newer-call" } : { ...plan.fallback, reason: "default" };
}

export function decidePlan(plan: Plan, call: Call): Decision {
  const arch = archOf(callAudit(call), call.nr >>> 0);
  if (arch !== undefined && plan.architectures.includes(arch)) return decideListed(plan, arch, call);
  if (arch === "x32" && plan.architectures.includes("x86_64")) return { ...plan.x32, reason: "x32" };
  return { ...plan.foreignArch, reason: "foreign-arch" };
}

/** @throws PolicyError */
export function decide(policy: Policy, call: Call): Decision {
  return decidePlan(planPolicy(policy), call);
}
