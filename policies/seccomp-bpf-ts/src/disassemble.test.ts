import { expect, test } from "vitest";
import { encodeProgram, opcode } from "./bpf.ts";
import { compile } from "./compile.ts";
import { disassemble } from "./disassemble.ts";
import { explain } from "./explain.ts";
import type { Policy } from "./policy.ts";

const policy: Policy = {
  defaultAction: "allow",
  architectures: ["x86_64"],
  rules: [
    { names: ["socket"], action: "errno", errno: 97, args: [{ index: 0, op: "masked-eq", value: 0xffff_ffff, valueTwo: 40 }] },
    { names: ["ptrace"], action: "kill-process" },
  ],
};

test("words, architectures, syscalls and verdicts are named", () => {
  const text = disassemble(compile(policy));
  expect(text).toContain("ld [4]                       ; arch");
  expect(text).toMatch(/jeq #0xc000003e, \d+, \d+ +; x86_64 or x32/);
  expect(text).toMatch(/; socket$/m);
  expect(text).toMatch(/ld \[16\] +; args\[0\]\.low/);
  expect(text).toMatch(/ret #0x50061 +; errno\(97\)/);
  expect(text).toMatch(/ret #0x80000000 +; kill-process/);
});

test("every instruction has a text, and what is none is shown as it is", () => {
  const codes = [0x24, 0x3c, 0x60, 0x61, 0x01, 0x80, 0x81, 0x02, 0x03, 0x84, 0x07, 0x87, 0x1d, 0x94];
  const body = codes.map((code) => ({ code, jt: 0, jf: 0, k: 3 }));
  expect(disassemble(encodeProgram([...body, { code: opcode.ja, jt: 0, jf: 0, k: 0 }, { code: opcode.retA, jt: 0, jf: 0, k: 0 }]))).toBe(
    [
      "   0: mul #0x3",
      "   1: div x",
      "   2: ld M[3]",
      "   3: ldx M[3]",
      "   4: ldx #0x3",
      "   5: ld len",
      "   6: ldx len",
      "   7: st M[3]",
      "   8: stx M[3]",
      "   9: neg",
      "  10: tax",
      "  11: txa",
      "  12: jeq x, 13, 13",
      "  13: .word 0x94, 0, 0, 0x3",
      "  14: jmp 15",
      "  15: ret a",
    ].join("\n"),
  );
});

test("nothing is claimed where paths differ", () => {
  const program = encodeProgram([
    { code: opcode.ldAbs, jt: 0, jf: 0, k: 4 },
    { code: opcode.jeqK, jt: 0, jf: 1, k: 0xc000_003e },
    { code: opcode.ldAbs, jt: 0, jf: 0, k: 0 },
    { code: opcode.jeqK, jt: 0, jf: 0, k: 41 },
    { code: opcode.retK, jt: 0, jf: 0, k: 0 },
  ]);
  expect(disassemble(program).split("\n")[3]).toBe("   3: jeq #0x29, 4, 4");
});

test("a policy is explained by the rule that decides", () => {
  expect(explain(policy, { arch: "x86_64", nr: 41, args: [40] }).lines).toEqual([
    "x86_64: socket#41(0x28)",
    "rules[0] where args[0] & 0xffffffff == 0x28",
    "errno(97)",
  ]);
  const why = (arch: "x86_64" | "x86", nr: number): string | undefined => explain(policy, { arch, nr }).lines[1];
  expect(why("x86_64", 101)).toBe("rules[1]");
  expect(why("x86_64", 0)).toBe("no rule matches: the default");
  expect(why("x86_64", 0x4000_0000)).toBe("x32 is not in the policy");
  expect(why("x86", 3)).toBe("the architecture is not in the policy");
});

test("a program is explained by the instructions that run", () => {
  const { action, data, lines } = explain(compile(policy), { arch: "x86_64", nr: 41, args: [40] });
  expect({ action, data }).toEqual({ action: "errno", data: 97 });
  expect(lines[0]).toBe("x86_64: socket#41(0x28)");
  expect(lines[1]).toMatch(/^ {3}0: ld \[4\]/);
  expect(lines.at(-2)).toMatch(/ret #0x50061/);
});
