import { expect, test } from "vitest";
import type { ArchName } from "./arch.ts";
import { PolicyError, planPolicy } from "./policy.ts";
import type { ArgCheck, Policy, Rule } from "./policy.ts";

const policy = (part: Partial<Policy>): Policy => ({ defaultAction: "errno", architectures: ["x86_64"], rules: [], ...part });
const rule = (part: Partial<Rule>): Policy => policy({ rules: [{ names: ["read"], action: "allow", ...part }] });
const arg = (part: Partial<ArgCheck>): Policy => rule({ args: [{ index: 0, op: "eq", value: 0, ...part }] });

test.each<[string, Policy]>([
  ["architectures: at least one is needed", policy({ architectures: [] })],
  ["architectures[1]: x86_64 is there twice", policy({ architectures: ["x86_64", "x86_64"] })],
  ["architectures[1]: s390x and x86_64 differ in byte order", policy({ architectures: ["x86_64", "s390x"] })],
  ["architectures[0]: vax is not known", policy({ architectures: ["vax" as ArchName] })],
  ["rules[0].names[0]: no architecture has a syscall raed", rule({ names: ["raed"] })],
  ["rules[0]: errno: data 4096 is not in 0..4095", rule({ action: "errno", errno: 4096 })],
  ["rules[0].errno: allow takes none", rule({ errno: 1 })],
  ["rules[0].data: errno takes `errno`", rule({ action: "errno", data: 1 })],
  ["rules[0]: kill-process: data 1 is not in 0..0", rule({ action: "kill-process", data: 1 })],
  ["rules[0].args[0].index: 6 is not in 0..5", arg({ index: 6 })],
  ["rules[0].args[0].valueTwo: eq takes none", arg({ valueTwo: 1 })],
  ["rules[0].args[0].value: 18446744073709552000 is not exact", arg({ value: 2 ** 64 })],
  ["rules[0].args[0].value: 18446744073709551616 does not fit into 64 bits", arg({ value: 1n << 64n })],
  ["foreignArch: errno: data -1 is not in 0..4095", policy({ foreignArch: { action: "errno", errno: -1 } })],
  ["defaultErrno: errno: data 5000 is not in 0..4095", policy({ defaultErrno: 5000 })],
])("%s", (message, wrong) => {
  expect(() => planPolicy(wrong)).toThrow(PolicyError);
  expect(() => planPolicy(wrong)).toThrow(message);
});

test("defaults", () => {
  expect(planPolicy(policy({}))).toMatchObject({
    fallback: { action: "errno", data: 1 },
    foreignArch: { action: "kill-process", data: 0 },
    x32: { action: "errno", data: 38 },
    newerCalls: { action: "errno", data: 1 },
  });
});

test("negative values are two's complement", () => {
  expect(planPolicy(arg({ value: -1 })).rules[0]?.conditions[0]?.value).toBe(0xffff_ffff_ffff_ffffn);
});
