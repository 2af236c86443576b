import { expect, test } from "vitest";
import { formatVerdict } from "./action.ts";
import { decide } from "./decide.ts";
import { importOci } from "./oci.ts";
import type { OciSeccomp, OciSyscall } from "./oci.ts";

const base = (syscalls: readonly OciSyscall[]): OciSeccomp => ({
  defaultAction: "SCMP_ACT_ERRNO",
  architectures: ["SCMP_ARCH_X86_64"],
  syscalls,
});

function verdicts(oci: OciSeccomp, nr: number, ...firstArgs: number[]): string[] {
  const { policy } = importOci(oci, { nativeArch: "x86_64" });
  return firstArgs.map((arg) => formatVerdict(decide(policy, { arch: "x86_64", nr, args: [arg] })));
}

const eq = (value: number) => ({ index: 0, value, op: "SCMP_CMP_EQ" });
const GETPID = 39;

test("a rule without arguments beats those with, whatever their order", () => {
  const free: OciSyscall = { names: ["getpid"], action: "SCMP_ACT_ALLOW" };
  const one: OciSyscall = { names: ["getpid"], action: "SCMP_ACT_TRAP", args: [eq(1)] };
  expect(verdicts(base([free, one]), GETPID, 1)).toEqual(["allow"]);
  expect(verdicts(base([one, free]), GETPID, 1)).toEqual(["allow"]);
});

test("of two rules without arguments the first stays", () => {
  const rules = base([
    { names: ["getpid"], action: "SCMP_ACT_TRAP" },
    { names: ["getpid"], action: "SCMP_ACT_ALLOW" },
  ]);
  expect(verdicts(rules, GETPID, 0)).toEqual(["trap(0)"]);
});

test("a rule with the default's action takes nothing from the others", () => {
  const rules = base([
    { names: ["getpid"], action: "SCMP_ACT_ERRNO", errnoRet: 1 },
    { names: ["getpid"], action: "SCMP_ACT_ALLOW", args: [eq(1)] },
  ]);
  expect(verdicts(rules, GETPID, 1, 2)).toEqual(["allow", "errno(1)"]);
});

test("several comparisons of one argument are alternatives, of different ones they are combined", () => {
  const same = base([{ names: ["getpid"], action: "SCMP_ACT_ALLOW", args: [eq(1), eq(2)] }]);
  expect(verdicts(same, GETPID, 1, 2, 3)).toEqual(["allow", "allow", "errno(1)"]);
  const both = base([{ names: ["getpid"], action: "SCMP_ACT_ALLOW", args: [eq(1), { ...eq(5), index: 1 }] }]);
  expect(verdicts(both, GETPID, 1)).toEqual(["errno(1)"]);
});

test("SCMP_CMP_MASKED_EQ has the mask first", () => {
  const rules = base([{ names: ["getpid"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, value: 6, valueTwo: 4, op: "SCMP_CMP_MASKED_EQ" }] }]);
  expect(verdicts(rules, GETPID, 4, 5, 6, 2)).toEqual(["allow", "allow", "errno(1)", "errno(1)"]);
});

const viaSocketcall = (syscalls: readonly OciSyscall[], call: number | bigint, part: Partial<OciSeccomp> = {}): string => {
  const { policy } = importOci({ ...base(syscalls), architectures: ["SCMP_ARCH_X86"], ...part }, { nativeArch: "x86_64" });
  return formatVerdict(decide(policy, { arch: "x86", nr: 102, args: [call] }));
};

test("rules hold through socketcall too", () => {
  expect(viaSocketcall([{ names: ["connect"], action: "SCMP_ACT_ALLOW" }], 3)).toBe("allow");
  expect(viaSocketcall([{ names: ["connect"], action: "SCMP_ACT_ALLOW" }], 2)).toBe("errno(1)");
  const open = { defaultAction: "SCMP_ACT_ALLOW" };
  expect(viaSocketcall([{ names: ["socket"], action: "SCMP_ACT_ERRNO" }], 1, open)).toBe("errno(1)");
  expect(viaSocketcall([{ names: ["socket"], action: "SCMP_ACT_ERRNO" }], 0xffff_ffff_0000_0001n, open)).toBe("errno(1)");
});

test("a call that is allowed for some arguments only is not allowed through socketcall, one that is refused for some is refused", () => {
  expect(viaSocketcall([{ names: ["socket"], action: "SCMP_ACT_ALLOW", args: [eq(2)] }], 1)).toBe("errno(1)");
  const refuse: OciSyscall = { names: ["socket"], action: "SCMP_ACT_ERRNO", args: [eq(40)] };
  expect(viaSocketcall([refuse], 1, { defaultAction: "SCMP_ACT_ALLOW" })).toBe("errno(1)");
});

test("ipc's version does not hide the call", () => {
  const oci = { ...base([{ names: ["shmat"], action: "SCMP_ACT_ERRNO" }]), defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86"] };
  const { policy } = importOci(oci, { nativeArch: "x86_64" });
  expect(decide(policy, { arch: "x86", nr: 117, args: [0x1_0015] }).action).toBe("errno");
});

test("errnoRet is data of errno and trace, EPERM when absent", () => {
  const actions: [string, number | undefined, string][] = [
    ["SCMP_ACT_ERRNO", 5, "errno(5)"],
    ["SCMP_ACT_TRACE", undefined, "trace(1)"],
    ["SCMP_ACT_TRACE", 7, "trace(7)"],
    ["SCMP_ACT_KILL", undefined, "kill-thread"],
    ["SCMP_ACT_KILL_PROCESS", 9, "kill-process"],
    ["SCMP_ACT_LOG", undefined, "log"],
    ["SCMP_ACT_NOTIFY", undefined, "notify"],
  ];
  for (const [action, errnoRet, expected] of actions) {
    const rule: OciSyscall = { names: ["getpid"], action, ...(errnoRet !== undefined && { errnoRet }) };
    expect(verdicts(base([rule]), GETPID, 0)).toEqual([expected]);
  }
  expect(verdicts({ ...base([]), defaultErrnoRet: 38 }, GETPID, 0)).toEqual(["errno(38)"]);
});

test("unknown names are reported and left out", () => {
  const { policy, unknown } = importOci(base([{ names: ["getpid", "frobnicate", "chown32"], action: "SCMP_ACT_ALLOW" }]), { nativeArch: "x86_64" });
  expect(unknown).toEqual(["frobnicate"]);
  expect(policy.rules[0]?.names).toEqual(["getpid", "chown32"]);
});

test("numbers above the newest that is named get ENOSYS, unless not wanted", () => {
  const oci = base([{ names: ["mseal"], action: "SCMP_ACT_ALLOW" }]);
  expect(verdicts(oci, 463, 0)).toEqual(["errno(38)"]);
  expect(verdicts(oci, 461, 0)).toEqual(["errno(1)"]);
  const { policy } = importOci(oci, { nativeArch: "x86_64", newerCalls: "default" });
  expect(decide(policy, { arch: "x86_64", nr: 463 })).toMatchObject({ action: "errno", data: 1 });
  expect(verdicts({ ...oci, defaultAction: "SCMP_ACT_LOG" }, 463, 0)).toEqual(["log"]);
});

test("the machine's own architecture is always there, others are killed", () => {
  const { policy } = importOci({ defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86"] }, { nativeArch: "x86_64" });
  expect(policy.architectures).toEqual(["x86_64", "x86"]);
  expect(decide(policy, { arch: "aarch64", nr: 0 }).action).toBe("kill-thread");
});

test("flags", () => {
  const flags = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"];
  expect(importOci({ ...base([]), flags }, { nativeArch: "x86_64" }).flags).toEqual({ log: true, specAllow: true });
});

test.each<[string, Partial<OciSeccomp>]>([
  ["defaultAction: SCMP_ACT_FOO is not known", { defaultAction: "SCMP_ACT_FOO" }],
  ["architectures[0]: SCMP_ARCH_VAX is not known", { architectures: ["SCMP_ARCH_VAX"] }],
  ["flags[0]: toString is not known", { flags: ["toString"] }],
  ["syscalls[0].action: allow is not known", { syscalls: [{ names: [], action: "allow" }] }],
  ["syscalls[0].args[0].op: = is not known", { syscalls: [{ names: [], action: "SCMP_ACT_LOG", args: [{ index: 0, value: 0, op: "=" }] }] }],
  ["syscalls[0].args[0].value: must not be negative", { syscalls: [{ names: [], action: "SCMP_ACT_LOG", args: [eq(-1)] }] }],
  ["defaultErrnoRet: errno: data 5000 is not in 0..4095", { defaultErrnoRet: 5000 }],
])("%s", (message, part) => {
  expect(() => importOci({ ...base([]), ...part }, { nativeArch: "x86_64" })).toThrow(message);
});
