import type { DevicePolicy, DeviceRule } from "./devices.ts";
import { assemble, opcode, type Instruction } from "./ebpf.ts";

/** `BPF_DEVCG_*`. Source: include/uapi/linux/bpf.h. */
export const deviceType = { b: 1, c: 2 } as const;
export const deviceAccess = { m: 1, r: 2, w: 4 } as const;
const allAccess = 7;

export const accessBits = (access: string): number => [...access].reduce((bits, letter) => bits | deviceAccess[letter as keyof typeof deviceAccess], 0);

/**
 * struct bpf_cgroup_dev_ctx: access in the high and type in the low half of the first word, then major and minor.
 * Result 1 allows, 0 denies with EPERM.
 */
const registers = { result: 0, context: 1, type: 2, access: 3, major: 4, minor: 5 } as const;

const prologue: readonly Instruction[] = [
  { code: opcode.load32, dst: registers.type, src: registers.context, offset: 0 },
  { code: opcode.move, dst: registers.access, src: registers.type },
  { code: opcode.andImmediate, dst: registers.type, immediate: 0xffff },
  { code: opcode.shiftRightImmediate, dst: registers.access, immediate: 16 },
  { code: opcode.load32, dst: registers.major, src: registers.context, offset: 4 },
  { code: opcode.load32, dst: registers.minor, src: registers.context, offset: 8 },
];

const answer = (allow: boolean): Instruction[] => [{ code: opcode.moveImmediate, dst: registers.result, immediate: allow ? 1 : 0 }, { code: opcode.exit }];

/**
 * A BPF_PROG_TYPE_CGROUP_DEVICE program that decides as cgroup v1 does: one exception must cover everything that is
 * asked for to allow it, and touch anything of it to deny it. Source: match_exception() and match_exception_partial()
 * in security/device_cgroup.c.
 */
export function deviceProgram({ allowByDefault, exceptions }: DevicePolicy): Uint8Array {
  return assemble([...prologue, ...exceptions.flatMap((rule) => exceptionBlock(rule, !allowByDefault)), ...answer(allowByDefault)]);
}

/** Leaves with `allow` where `rule` matches, else goes on behind the block. */
function exceptionBlock(rule: DeviceRule, allow: boolean): Instruction[] {
  const checks = [
    ...skipUnless(registers.type, deviceType[rule.type]),
    ...accessCheck(accessBits(rule.access), allow),
    ...skipUnless(registers.major, rule.major),
    ...skipUnless(registers.minor, rule.minor),
  ];
  const block = [...checks, ...answer(allow)];
  return block.map((one, index) => (one.code === opcode.skipIfNot || one.code === opcode.skipIf ? { ...one, offset: block.length - index - 1 } : one));
}

/** The offsets of the skips are filled in by the block. */
const skipUnless = (dst: 2 | 4 | 5, immediate: number | undefined): Instruction[] => (immediate === undefined ? [] : [{ code: opcode.skipIfNot, dst, immediate }]);

/** The context's register is free once everything is loaded. */
function accessCheck(bits: number, allow: boolean): Instruction[] {
  if (bits === allAccess) return [];
  const temporary = registers.context;
  return [
    { code: opcode.move, dst: temporary, src: registers.access },
    { code: opcode.andImmediate, dst: temporary, immediate: allow ? allAccess & ~bits : bits },
    { code: allow ? opcode.skipIfNot : opcode.skipIf, dst: temporary, immediate: 0 },
  ];
}
