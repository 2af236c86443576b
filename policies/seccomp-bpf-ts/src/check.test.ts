import { expect, test } from "vitest";
import { encodeProgram, opcode } from "./bpf.ts";
import type { Instruction } from "./bpf.ts";
import { check } from "./check.ts";

const op = (code: number, k = 0, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k });
const allow = op(opcode.retK, 0x7fff_0000);

test.each<[string, Instruction[]]>([
  ["a return", [allow]],
  ["a load of the last word", [op(opcode.ldAbs, 60), op(opcode.retA)]],
  ["jumps to the last instruction", [op(opcode.jeqK, 0, 1, 0), allow, allow]],
  ["memory stored on both paths", [op(opcode.jeqK, 0, 0, 2), op(opcode.st, 3), op(opcode.ja, 1), op(opcode.st, 3), op(opcode.ldMem, 3), allow]],
  ["division by X, which may be 0", [op(0x3c), allow]],
])("accepts %s", (_, program) => {
  expect(check(encodeProgram(program))).toBeUndefined();
});

test.each<[string, Instruction[], number, RegExp]>([
  ["an empty program", [], 0, /empty/],
  ["no return at the end", [op(opcode.ldAbs, 0)], 0, /must return/],
  ["an unaligned load", [op(opcode.ldAbs, 2), allow], 0, /aligned/],
  ["a load behind seccomp_data", [op(opcode.ldAbs, 64), allow], 0, /aligned/],
  ["a load of a byte, which sockets have", [op(0x30, 0), allow], 0, /0x30 is not allowed/],
  ["modulo", [op(0x94, 3), allow], 0, /0x94 is not allowed/],
  ["division by 0", [op(0x34, 0), allow], 0, /division/],
  ["a shift by 32", [op(0x64, 32), allow], 0, /shift/],
  ["a jump past the end", [op(opcode.ja, 1), allow], 0, /past the end/],
  ["a jump back", [allow, op(opcode.ja, 0xffff_fffe), allow], 1, /past the end/],
  ["a conditional jump past the end", [op(opcode.jeqK, 0, 0, 1), allow], 0, /past the end/],
  ["memory that does not exist", [op(opcode.st, 16), allow], 0, /M\[16\]/],
  ["memory stored on one path only", [op(opcode.jeqK, 0, 0, 1), op(opcode.st, 3), op(opcode.ldMem, 3), allow], 2, /before it is stored/],
])("refuses %s", (_, program, at, reason) => {
  const refusal = check(encodeProgram(program));
  expect(refusal?.at).toBe(at);
  expect(refusal?.reason).toMatch(reason);
});

test("refuses more than 4096 instructions", () => {
  expect(check(encodeProgram(Array<Instruction>(4096).fill(allow)))).toBeUndefined();
  expect(check(encodeProgram(Array<Instruction>(4097).fill(allow)))?.reason).toMatch(/4097 instructions/);
});
