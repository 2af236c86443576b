// OCI's linux.seccomp (runtime-spec, config-linux.md "Seccomp") as a policy that decides as runc with libseccomp does.
import { EPERM, encodeVerdict } from "./action.ts";
import type { ActionName } from "./action.ts";
import { archFromOci } from "./arch.ts";
import type { ArchName } from "./arch.ts";
import type { LoadFlags } from "./load.ts";
import { multiplexed } from "./multiplex.ts";
import { PolicyError, planOutcome } from "./policy.ts";
import type { ArgCheck, Op, Outcome, Policy, Rule } from "./policy.ts";
import { isSyscallName } from "./syscalls.ts";

export interface OciSeccompArg {
  readonly index: number;
  /** Unsigned. JSON.parse rounds values above 2^53: hand those over as bigint. */
  readonly value: number | bigint;
  readonly valueTwo?: number | bigint | undefined;
  readonly op: string;
}

export interface OciSyscall {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number | undefined;
  readonly args?: readonly OciSeccompArg[] | undefined;
}

export interface OciSeccomp {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number | undefined;
  readonly architectures?: readonly string[] | undefined;
  readonly flags?: readonly string[] | undefined;
  readonly listenerPath?: string | undefined;
  readonly listenerMetadata?: string | undefined;
  readonly syscalls?: readonly OciSyscall[] | undefined;
}

export interface ImportOptions {
  /** The machine's own, which libseccomp's filters always contain. */
  readonly nativeArch: ArchName;
  /** As Policy.newerCalls. runc does what "enosys" does, so that is the default here. */
  readonly newerCalls?: "default" | "enosys";
}

export interface ImportResult {
  readonly policy: Policy;
  readonly flags: LoadFlags;
  /** Names that no architecture has, in order. They are left out, as runc does. */
  readonly unknown: readonly string[];
}

const actions: Record<string, ActionName> = {
  SCMP_ACT_KILL: "kill-thread",
  SCMP_ACT_KILL_THREAD: "kill-thread",
  SCMP_ACT_KILL_PROCESS: "kill-process",
  SCMP_ACT_TRAP: "trap",
  SCMP_ACT_ERRNO: "errno",
  SCMP_ACT_TRACE: "trace",
  SCMP_ACT_ALLOW: "allow",
  SCMP_ACT_LOG: "log",
  SCMP_ACT_NOTIFY: "notify",
};

const ops: Record<string, Op> = {
  SCMP_CMP_NE: "ne",
  SCMP_CMP_LT: "lt",
  SCMP_CMP_LE: "le",
  SCMP_CMP_EQ: "eq",
  SCMP_CMP_GE: "ge",
  SCMP_CMP_GT: "gt",
  SCMP_CMP_MASKED_EQ: "masked-eq",
};

const flagNames: Record<string, keyof LoadFlags> = {
  SECCOMP_FILTER_FLAG_TSYNC: "tsync",
  SECCOMP_FILTER_FLAG_LOG: "log",
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: "specAllow",
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: "waitKillableRecv",
};

/** The names that importOci understands, for a runtime's `features`. */
export const ociActions: readonly string[] = Object.keys(actions);
export const ociOperators: readonly string[] = Object.keys(ops);
export const ociFlags: readonly string[] = Object.keys(flagNames);

function lookUp<T>(table: Readonly<Record<string, T>>, name: string, field: string): T {
  const found = Object.hasOwn(table, name) ? table[name] : undefined;
  if (found === undefined) throw new PolicyError(field, `${name} is not known`);
  return found;
}

// errnoRet is the data of errno and of trace, EPERM when absent; the other actions ignore it (runc getAction).
function outcome(name: string, errnoRet: number | undefined, field: string): Outcome {
  const action = lookUp(actions, name, field);
  if (action === "errno") return { action, errno: errnoRet ?? EPERM };
  if (action === "trace") return { action, data: errnoRet ?? EPERM };
  return { action };
}

function argCheck(arg: OciSeccompArg, field: string): ArgCheck {
  const op = lookUp(ops, arg.op, `${field}.op`);
  for (const key of ["value", "valueTwo"] as const) {
    if ((arg[key] ?? 0) < 0) throw new PolicyError(`${field}.${key}`, "must not be negative");
  }
  if (op !== "masked-eq") return { index: arg.index, op, value: arg.value };
  return { index: arg.index, op, value: arg.value, valueTwo: arg.valueTwo ?? 0 };
}

// Several comparisons of one argument become alternatives instead of being combined: what runc does ("old behavior",
// seccomp_linux.go matchCall), because libseccomp cannot compare an argument twice in a rule.
function alternatives(checks: readonly ArgCheck[]): readonly (readonly ArgCheck[])[] {
  const isRepeated = new Set(checks.map(({ index }) => index)).size < checks.length;
  return isRepeated ? checks.map((check) => [check]) : [checks];
}

function importSyscall(call: OciSyscall, field: string): Rule[] {
  const checks = (call.args ?? []).map((arg, index) => argCheck(arg, `${field}.args[${index}]`));
  const names = call.names.filter(isSyscallName);
  const base = outcome(call.action, call.errnoRet, `${field}.action`);
  const rules = alternatives(checks).map((args): Rule => ({ names, ...base, ...(args.length > 0 && { args }) }));
  return [...rules, ...throughMultiplexers({ names, ...base }, checks.length > 0)];
}

// libseccomp extends rules to socketcall and ipc (src/syscalls.c abi_rule_add), and so does this, but for one case: it
// drops comparisons of arguments there, which no filter can see, and so allows what the rule allows only for some
// arguments. Here a conditional rule only extends to them when it refuses.
function throughMultiplexers(rule: Rule, isConditional: boolean): Rule[] {
  const allows = rule.action === "allow" || rule.action === "log" || rule.action === "trace";
  return isConditional && allows ? [] : multiplexed(rule);
}

// libseccomp's precedence in terms of first match (src/db.c db_rule_add): a rule without arguments replaces those with
// arguments of the same call and is itself never replaced. A rule whose action is the default's is not added at all by
// runc; here such rules go last, where they only count as naming their calls.
function order(rules: readonly Rule[], fallback: number): Rule[] {
  const isDefault = (rule: Rule): boolean => encodeVerdict(planOutcome(rule, "action")) === fallback;
  const rank = (rule: Rule): number => (isDefault(rule) ? 2 : rule.args === undefined ? 0 : 1);
  return [0, 1, 2].flatMap((wanted) => rules.filter((rule) => rank(rule) === wanted));
}

function importArchitectures(oci: OciSeccomp, nativeArch: ArchName): ArchName[] {
  const names = (oci.architectures ?? []).map((name, index) => {
    const arch = archFromOci(name);
    if (arch === undefined) throw new PolicyError(`architectures[${index}]`, `${name} is not known`);
    return arch;
  });
  return [...new Set([nativeArch, ...names])];
}

function importFlags(names: readonly string[]): LoadFlags {
  const flags: LoadFlags = {};
  for (const [index, name] of names.entries()) flags[lookUp(flagNames, name, `flags[${index}]`)] = true;
  return flags;
}

/**
 * `listenerPath` and `listenerMetadata` are the caller's business: nothing in a filter depends on them.
 *
 * @throws PolicyError naming the field, relative to linux.seccomp.
 */
export function importOci(oci: OciSeccomp, options: ImportOptions): ImportResult {
  const calls = oci.syscalls ?? [];
  const fallback = outcome(oci.defaultAction, oci.defaultErrnoRet, "defaultAction");
  const verdict = planOutcome(fallback, "defaultErrnoRet");
  const rules = calls.flatMap((call, index) => importSyscall(call, `syscalls[${index}]`));
  const policy: Policy = {
    defaultAction: verdict.action,
    defaultErrno: verdict.data,
    architectures: importArchitectures(oci, options.nativeArch),
    rules: order(rules, encodeVerdict(verdict)),
    // libseccomp's default for SCMP_FLTATR_ACT_BADARCH, which runc leaves as it is and which x32 falls under too.
    foreignArch: { action: "kill-thread" },
    x32: { action: "kill-thread" },
    newerCalls: options.newerCalls ?? "enosys",
  };
  const names = new Set(calls.flatMap((call) => call.names));
  return { policy, flags: importFlags(oci.flags ?? []), unknown: [...names].filter((name) => !isSyscallName(name)) };
}
