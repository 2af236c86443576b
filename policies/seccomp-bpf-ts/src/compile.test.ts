import * as fc from "fast-check";
import { expect, test } from "vitest";
import { callFor, everyShape, policyOf } from "../test/arbitrary.ts";
import { formatVerdict } from "./action.ts";
import { archs } from "./arch.ts";
import { decodeProgram, opcode } from "./bpf.ts";
import { check } from "./check.ts";
import { compile } from "./compile.ts";
import { decide, decidePlan } from "./decide.ts";
import { planPolicy } from "./policy.ts";
import type { ArgCheck, Policy, Rule } from "./policy.ts";
import { simulate, simulator } from "./simulate.ts";
import { syscallTable } from "./syscalls.ts";

const policyAndCalls = policyOf(everyShape).chain((policy) =>
  fc.record({ policy: fc.constant(policy), calls: fc.array(callFor(policy.architectures), { minLength: 30, maxLength: 30 }) }),
);

const endianOf = (policy: Policy) => archs[policy.architectures[0] ?? "x86_64"].endian;

test("the program decides as the policy does", () => {
  fc.assert(
    fc.property(policyAndCalls, ({ policy, calls }) => {
      const run = simulator(compile(policy), endianOf(policy));
      const plan = planPolicy(policy);
      for (const call of calls) expect([call, formatVerdict(run(call))]).toEqual([call, formatVerdict(decidePlan(plan, call))]);
    }),
    { numRuns: 500 },
  );
});

const allow = (names: readonly string[], args: readonly ArgCheck[] = []): Rule => ({ names, action: "allow", args });

const x86 = (rules: readonly Rule[]): Policy => ({ defaultAction: "errno", architectures: ["x86_64"], rules });

test("the first matching rule wins, with and without arguments", () => {
  const rules: Rule[] = [
    { names: ["socket"], action: "errno", errno: 97, args: [{ index: 0, op: "eq", value: 40 }] },
    allow(["socket"]),
    { names: ["socket"], action: "kill-process" },
  ];
  const program = compile(x86(rules));
  expect(simulate(program, { arch: "x86_64", nr: 41, args: [40] })).toMatchObject({ action: "errno", data: 97 });
  expect(simulate(program, { arch: "x86_64", nr: 41, args: [2] })).toMatchObject({ action: "allow" });
});

test("a 32-bit architecture compares low words, as its arguments have no others", () => {
  const policy: Policy = {
    defaultAction: "errno",
    architectures: ["x86_64", "x86"],
    rules: [allow(["personality"], [{ index: 0, op: "eq", value: -1 }])],
  };
  const program = compile(policy);
  expect(simulate(program, { arch: "x86", nr: 136, args: [0xffff_ffff] }).action).toBe("allow");
  expect(simulate(program, { arch: "x86_64", nr: 135, args: [0xffff_ffff] }).action).toBe("errno");
  expect(simulate(program, { arch: "x86_64", nr: 135, args: [-1] }).action).toBe("allow");
});

test("every second number allowed: a search, not a chain", () => {
  const names = [...syscallTable("x86_64").entries()].filter(([, nr]) => nr % 2 === 0).map(([name]) => name);
  const program = compile(x86([allow(names)]));
  const run = simulator(program);
  for (const nr of syscallTable("x86_64").values()) {
    const result = run({ arch: "x86_64", nr });
    expect([nr, result.action]).toEqual([nr, nr % 2 === 0 ? "allow" : "errno"]);
    expect(result.trace.length).toBeLessThan(18);
  }
});

test("targets further than 255 instructions are reached", () => {
  const rules = [...syscallTable("x86_64").keys()].map((name, index): Rule => ({
    names: [name],
    action: "errno",
    errno: 100 + index,
    args: [{ index: index % 6, op: "gt", value: index * 7 }],
  }));
  const policy: Policy = { ...x86(rules), defaultAction: "allow", architectures: ["x86_64", "x86", "aarch64"] };
  const program = compile(policy);
  const run = simulator(program);
  expect(decodeProgram(program).some(({ code, k }) => code === opcode.ja && k > 255)).toBe(true);
  for (const [index, [name, nr]] of [...syscallTable("x86_64")].entries()) {
    const verdicts = [index * 7, index * 7 + 1, 2 ** 40].map((value) =>
      formatVerdict(run({ arch: "x86_64", nr, args: [value, value, value, value, value, value] })),
    );
    expect([name, ...verdicts]).toEqual([name, "allow", `errno(${100 + index})`, `errno(${100 + index})`]);
  }
});

test("many overlapping argument rules stay within the kernel's limit", () => {
  const rules = Array.from({ length: 60 }, (_, index): Rule => ({
    names: ["clone"],
    action: "errno",
    errno: 100 + index,
    args: [0, 1, 2, 3].map((arg): ArgCheck => ({ index: arg, op: "masked-eq", value: 0xff << (index % 20), valueTwo: index * 512 })),
  }));
  const policy = x86(rules);
  const program = compile(policy);
  expect(program.length / 8).toBeLessThan(1000);
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 2 ** 20 }), { minLength: 4, maxLength: 4 }), (args) => {
      const call = { arch: "x86_64", nr: 56, args } as const;
      const { action, data } = decide(policy, call);
      expect(simulate(program, call)).toMatchObject({ action, data });
    }),
  );
});

test("too large a policy is refused with its size", () => {
  const rules = [...syscallTable("x86_64").keys()].flatMap((name, index) =>
    [0, 1, 2, 3].map((arg): Rule => ({ names: [name], action: "errno", errno: 1 + index + 450 * arg, args: [{ index: arg, op: "gt", value: 5n << 33n }] })),
  );
  expect(() => compile(x86(rules))).toThrow(/needs \d{4,} instructions, the kernel takes 4096/);
});

test("numbers are told apart with nothing but comparisons, so that the kernel can cache what is always allowed", () => {
  const program = compile({ ...x86([allow(["read", "write", "mseal"])]), architectures: ["x86_64", "x86"], newerCalls: "enosys" });
  const simple: number[] = [opcode.ldAbs, opcode.jeqK, opcode.jgeK, opcode.jgtK, opcode.ja, opcode.retK];
  for (const { code } of decodeProgram(program)) expect(simple).toContain(code);
});

test("what earlier tests have settled is not tested again", () => {
  const values = [0, 8, 0x20000, 0x20008, 0xffff_ffff];
  const rules = values.map((value) => allow(["personality"], [{ index: 0, op: "eq", value }]));
  const loads = decodeProgram(compile(x86(rules))).filter(({ code, k }) => code === opcode.ldAbs && k >= 16);
  expect(loads.map(({ k }) => k)).toEqual([16, 20]);
});

test("big-endian architectures get big-endian programs", () => {
  const program = compile({ defaultAction: "allow", architectures: ["s390x"], rules: [] });
  expect([program[0], program[1]]).toEqual([0x00, 0x20]);
  expect(check(program, "big")).toBeUndefined();
});
