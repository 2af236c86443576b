import { expect, test } from "vitest";
import { encodeVerdict } from "./action.ts";
import type { Verdict } from "./action.ts";
import { encodeProgram, opcode } from "./bpf.ts";
import type { Instruction } from "./bpf.ts";
import { simulate, simulateStack } from "./simulate.ts";

const op = (code: number, k = 0, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k });
const call = { arch: "x86_64", nr: 39, args: [0x1122_3344_5566_7788n, -1], ip: 0xaaaa_bbbb_cccc_ddddn } as const;

const valueOf = (...program: Instruction[]): number => simulate(encodeProgram([...program, op(opcode.retA)]), call).value;
const ldx = (k: number): Instruction => op(opcode.ldxImm, k);
const ld = (k: number): Instruction => op(opcode.ldImm, k);

test.each<[string, number, Instruction[]]>([
  ["nr", 39, [op(opcode.ldAbs, 0)]],
  ["arch", 0xc000_003e, [op(opcode.ldAbs, 4)]],
  ["ip, low word first", 0xcccc_dddd, [op(opcode.ldAbs, 8)]],
  ["an argument's low word", 0x5566_7788, [op(opcode.ldAbs, 16)]],
  ["an argument's high word", 0x1122_3344, [op(opcode.ldAbs, 20)]],
  ["a negative argument's high word", 0xffff_ffff, [op(opcode.ldAbs, 28)]],
  ["an absent argument", 0, [op(opcode.ldAbs, 56)]],
  ["the length", 64, [op(opcode.ldLen)]],
  ["add wraps", 1, [ld(0xffff_ffff), op(0x04, 2)]],
  ["sub wraps", 0xffff_ffff, [ld(1), op(0x14, 2)]],
  ["mul keeps 32 bits", 1, [ld(0xffff_ffff), op(0x24, 0xffff_ffff)]],
  ["div is unsigned", 0x7fff_ffff, [ld(0xffff_fffe), op(0x34, 2)]],
  ["neg", 0xffff_ffff, [ld(1), op(opcode.neg)]],
  ["xor by X", 0xff, [ld(0xf0), ldx(0x0f), op(0xac)]],
  ["a shift by X takes five bits of it", 2, [ld(1), ldx(33), op(0x6c)]],
  ["rsh is unsigned", 1, [ld(0x8000_0000), op(0x74, 31)]],
  ["memory and registers", 7, [ld(7), op(opcode.st, 2), ld(0), op(opcode.ldxMem, 2), op(opcode.txa)]],
  ["jset takes any bit", 1, [ld(6), op(opcode.jsetK, 3, 0, 1), ld(1)]],
  ["jge is unsigned", 1, [ld(0x8000_0000), op(opcode.jgeK, 0x7fff_ffff, 0, 1), ld(1)]],
])("%s", (_, expected, program) => {
  expect(valueOf(...program)).toBe(expected);
});

test("division by an X of 0 ends the program with kill-thread", () => {
  const program = encodeProgram([ld(1), op(0x3c), op(opcode.retK, 0x7fff_0000)]);
  expect(simulate(program, call)).toMatchObject({ action: "kill-thread", value: 0, trace: [0, 1] });
});

test("an action that the kernel does not know kills the process, an errno is at most 4095", () => {
  expect(simulate(encodeProgram([op(opcode.retK, 0x1234_0000)]), call).action).toBe("kill-process");
  expect(simulate(encodeProgram([op(opcode.retK, 0x0005_ffff)]), call)).toMatchObject({ action: "errno", data: 4095 });
});

test("big-endian machines have the high word first", () => {
  const program = encodeProgram([op(opcode.ldAbs, 16), op(opcode.retA)], "big");
  expect(simulate(program, { arch: "s390x", nr: 0, args: [0x1122_3344_5566_7788n] }).value).toBe(0x1122_3344);
});

test("a program that the kernel refuses is not run", () => {
  expect(() => simulate(encodeProgram([op(opcode.ldAbs, 1), op(opcode.retA)]), call)).toThrow("instruction 0: load at 1");
});

const returning = (verdict: Verdict): Uint8Array => encodeProgram([op(opcode.retK, encodeVerdict(verdict))]);

test("of several filters the most restrictive decides, of equals the one loaded last", () => {
  const allow = returning({ action: "allow", data: 0 });
  const first = returning({ action: "errno", data: 1 });
  const last = returning({ action: "errno", data: 2 });
  const kill = returning({ action: "kill-process", data: 0 });
  expect(simulateStack([], call).action).toBe("allow");
  expect(simulateStack([first, allow, last], call)).toMatchObject({ action: "errno", data: 2 });
  expect(simulateStack([kill, returning({ action: "kill-thread", data: 0 })], call).action).toBe("kill-process");
});
