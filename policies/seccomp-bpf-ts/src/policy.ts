import { ENOSYS, EPERM, encodeVerdict } from "./action.ts";
import type { ActionName, Verdict } from "./action.ts";
import { archs } from "./arch.ts";
import type { ArchName } from "./arch.ts";
import { isSyscallName } from "./syscalls.ts";

export type Op = "ne" | "lt" | "le" | "eq" | "ge" | "gt" | "masked-eq";

/** A comparison of one argument, unsigned. */
export interface ArgCheck {
  /** 0-5. */
  readonly index: number;
  readonly op: Op;
  /** What the argument is compared with; for masked-eq the mask. -2^63 to 2^64-1, negative as two's complement. */
  readonly value: bigint | number;
  /** For masked-eq only, default 0: matches when (argument & value) equals (valueTwo & value). */
  readonly valueTwo?: bigint | number;
}

/** An action with its data, if it takes any. */
export interface Outcome {
  readonly action: ActionName;
  /** For errno: 0-4095, default EPERM. */
  readonly errno?: number;
  /** For trace and trap: 0-65535, default 0. */
  readonly data?: number;
}

export interface Rule extends Outcome {
  /** Kernel names. One that an architecture does not have says nothing about that architecture. */
  readonly names: readonly string[];
  /** All must hold. Absent or empty: the rule always matches. */
  readonly args?: readonly ArgCheck[];
}

export interface Policy {
  /** For calls that no rule matches. */
  readonly defaultAction: ActionName;
  /** Data of the default action: for errno default EPERM, for trace and trap default 0. */
  readonly defaultErrno?: number;
  /** At least one. The first is tested first. All of one byte order. */
  readonly architectures: readonly ArchName[];
  /** The first that matches decides. */
  readonly rules: readonly Rule[];
  /** For calls through any other architecture. Default kill-process. */
  readonly foreignArch?: Outcome;
  /** For x32 calls when x86_64 is in `architectures` and x32 is not. Default errno(ENOSYS), as a kernel without x32. */
  readonly x32?: Outcome;
  /**
   * For numbers above the highest that a rule names on that architecture: "default" (the default) or "enosys", with
   * which programs fall back to older calls as on an older kernel. It is for errno, trap, notify and kill defaults;
   * with allow, log or trace it does nothing.
   */
  readonly newerCalls?: "default" | "enosys";
}

export interface Condition {
  readonly index: number;
  readonly op: Op;
  readonly value: bigint;
  /** For masked-eq the mask, and `value` has no bits outside it; for the others all ones. */
  readonly mask: bigint;
}

export interface PlannedRule {
  readonly rule: Rule;
  readonly verdict: Verdict;
  readonly conditions: readonly Condition[];
}

/** A policy after its checks, with every default filled in. */
export interface Plan {
  readonly architectures: readonly ArchName[];
  readonly rules: readonly PlannedRule[];
  readonly fallback: Verdict;
  readonly foreignArch: Verdict;
  readonly x32: Verdict;
  readonly newerCalls: Verdict;
}

/** A policy that means nothing or cannot be carried out. `field` is a path such as `rules[3].args[0].index`. */
export class PolicyError extends Error {
  readonly field: string;

  constructor(field: string, reason: string) {
    super(`${field}: ${reason}`);
    this.name = "PolicyError";
    this.field = field;
  }
}

const MAX_U64 = (1n << 64n) - 1n;

function toU64(value: bigint | number, field: string): bigint {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new PolicyError(field, `${value} is not exact: write values above 2^53 as bigint`);
  }
  const wide = BigInt(value);
  if (wide > MAX_U64 || wide < -(1n << 63n)) throw new PolicyError(field, `${value} does not fit into 64 bits`);
  return BigInt.asUintN(64, wide);
}

export function planOutcome(outcome: Outcome, field: string): Verdict {
  const { action, errno, data } = outcome;
  if (errno !== undefined && action !== "errno") throw new PolicyError(`${field}.errno`, `${action} takes none`);
  if (data !== undefined && action === "errno") throw new PolicyError(`${field}.data`, "errno takes `errno`");
  const verdict = { action, data: action === "errno" ? (errno ?? EPERM) : (data ?? 0) };
  try {
    encodeVerdict(verdict);
  } catch (error) {
    throw new PolicyError(field, error instanceof Error ? error.message : String(error));
  }
  return verdict;
}

function planCondition(check: ArgCheck, field: string): Condition {
  const { index, op } = check;
  if (!Number.isInteger(index) || index < 0 || index > 5) throw new PolicyError(`${field}.index`, `${index} is not in 0..5`);
  const value = toU64(check.value, `${field}.value`);
  if (op !== "masked-eq") {
    if (check.valueTwo !== undefined) throw new PolicyError(`${field}.valueTwo`, `${op} takes none`);
    return { index, op, value, mask: MAX_U64 };
  }
  return { index, op, value: toU64(check.valueTwo ?? 0, `${field}.valueTwo`) & value, mask: value };
}

function planRule(rule: Rule, field: string): PlannedRule {
  for (const [index, name] of rule.names.entries()) {
    if (!isSyscallName(name)) throw new PolicyError(`${field}.names[${index}]`, `no architecture has a syscall ${name}`);
  }
  return {
    rule,
    verdict: planOutcome(rule, field),
    conditions: (rule.args ?? []).map((check, index) => planCondition(check, `${field}.args[${index}]`)),
  };
}

function checkArchitectures(architectures: readonly ArchName[]): void {
  const [first] = architectures;
  if (first === undefined) throw new PolicyError("architectures", "at least one is needed");
  for (const [index, name] of architectures.entries()) {
    if (!(name in archs)) throw new PolicyError(`architectures[${index}]`, `${name} is not known`);
    if (architectures.indexOf(name) !== index) throw new PolicyError(`architectures[${index}]`, `${name} is there twice`);
    if (archs[name].endian !== archs[first].endian) {
      throw new PolicyError(`architectures[${index}]`, `${name} and ${first} differ in byte order`);
    }
  }
}

function planFallback({ defaultAction, defaultErrno }: Policy): Verdict {
  if (defaultErrno === undefined) return planOutcome({ action: defaultAction }, "defaultAction");
  const data = defaultAction === "errno" ? { errno: defaultErrno } : { data: defaultErrno };
  return planOutcome({ action: defaultAction, ...data }, "defaultErrno");
}

const passes = (action: ActionName): boolean => action === "allow" || action === "log" || action === "trace";

/** @throws PolicyError */
export function planPolicy(policy: Policy): Plan {
  checkArchitectures(policy.architectures);
  const fallback = planFallback(policy);
  const enosys: Verdict = { action: "errno", data: ENOSYS };
  return {
    architectures: policy.architectures,
    rules: policy.rules.map((rule, index) => planRule(rule, `rules[${index}]`)),
    fallback,
    foreignArch: planOutcome(policy.foreignArch ?? { action: "kill-process" }, "foreignArch"),
    x32: planOutcome(policy.x32 ?? { action: "errno", errno: ENOSYS }, "x32"),
    newerCalls: policy.newerCalls === "enosys" && !passes(fallback.action) ? enosys : fallback,
  };
}
