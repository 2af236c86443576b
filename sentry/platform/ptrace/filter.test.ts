import { simulator, syscallTable } from "seccomp-bpf-ts";
import { expect, test } from "vitest";
import { compileSentryFilter } from "../../policy.ts";

const filter = simulator(compileSentryFilter("ptrace"));
const made = (name: string, ...args: number[]) => filter({ arch: "x86_64", nr: syscallTable("x86_64").get(name) ?? -1, args }).action;

test.each([
  ["following a task", "ptrace", [0x4206], "allow"],
  ["letting it go on", "ptrace", [7], "allow"],
  ["what call it is at", "ptrace", [0x420e], "allow"],
  ["that call's result", "ptrace", [6, 7, 80], "allow"],
  ["another register", "ptrace", [6, 7, 128], "errno"],
  ["all of its registers", "ptrace", [13], "errno"],
  ["a word of its memory", "ptrace", [5], "errno"],
  ["letting it out of its filter", "ptrace", [0x4200], "errno"],
  ["a request that differs above 32 bits", "ptrace", [0x1_0000_0007], "errno"],
  ["being traced itself", "ptrace", [0], "errno"],
  ["killing", "kill", [7, 9], "allow"],
  ["stopping", "kill", [7, 19], "errno"],
  ["who is at the gate", "getsockopt", [7, 1, 17], "allow"],
  ["another option", "getsockopt", [7, 1, 8], "errno"],
  ["a command of a device or of seccomp", "ioctl", [7, 0xc0502100], "errno"],
  ["another process", "clone", [17], "errno"],
] as const)("%s: %s %o is %s", (_what, name, args, action) => {
  expect(made(name, ...args)).toBe(action);
});
