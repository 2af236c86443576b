import * as fc from "fast-check";
import { compile, encodeProgram, encodeVerdict, opcode, syscallNumber, syscallTable, type ActionName, type Policy } from "seccomp-bpf-ts";
import { describe, expect, test } from "vitest";
import { countsOf } from "../../policies/syscalls/describe.ts";
import { compiledPolicy } from "../../policies/syscalls/compiled.ts";
import { balanced } from "../../policies/syscalls/policy.ts";
import { reachOf, Stack } from "./reach.ts";

const policy = (rules: Policy["rules"], defaultAction: ActionName = "errno"): Uint8Array => compile({ defaultAction, architectures: ["x86_64"], rules });
const nr = (name: string) => syscallNumber("x86_64", name) ?? -1;
const actions = (programs: readonly Uint8Array[], name: string) => [...new Stack(programs).outcomes("x86_64", nr(name)).keys()].sort();

describe("what some arguments get to is found", () => {
  test("by a value", () => {
    expect(actions([policy([{ names: ["socket"], action: "allow", args: [{ index: 0, op: "eq", value: 0xdead_beef_1234_5678n }] }])], "socket")).toEqual(["allow", "errno"]);
  });

  test("by bits under a mask, and by comparison", () => {
    const program = policy([
      { names: ["clone"], action: "allow", args: [{ index: 0, op: "masked-eq", value: 0x7e02_0000, valueTwo: 0 }] },
      { names: ["ioctl"], action: "notify", args: [{ index: 1, op: "gt", value: 0x1_0000_0000n }, { index: 2, op: "le", value: 7 }] },
    ]);
    expect(actions([program], "clone")).toEqual(["allow", "errno"]);
    expect(actions([program], "ioctl")).toEqual(["errno", "notify"]);
  });

  test("where several arguments must hold at once", () => {
    const args = [{ index: 0, op: "eq", value: 11 }, { index: 1, op: "masked-eq", value: 0xff, valueTwo: 0x22 }, { index: 5, op: "ge", value: 1n << 40n }] as const;
    const stack = new Stack([policy([{ names: ["futex"], action: "allow", args: [...args] }])]);
    const call = stack.outcomes("x86_64", nr("futex")).get("allow");
    expect(call?.args[0]).toBe(11n);
    expect((call?.args[1] ?? 0n) & 0xffn).toBe(0x22n);
    expect(call?.args[5]).toBeGreaterThanOrEqual(1n << 40n);
  });

  const ends = (["allow", "trap"] as const).map((action) => ({ code: opcode.retK, jt: 0, jf: 0, k: encodeVerdict({ action, data: 0 }) }));

  test("by where the instruction lies", () => {
    const program = encodeProgram([{ code: opcode.ldAbs, jt: 0, jf: 0, k: 12 }, { code: opcode.jeqK, jt: 0, jf: 1, k: 0x7fff }, ...ends]);
    expect(actions([program], "read")).toEqual(["allow", "trap"]);
  });

  test("where bits under a mask must differ from what they are", () => {
    const load = { code: opcode.ldAbs, jt: 0, jf: 0, k: 16 };
    const program = encodeProgram([load, { code: opcode.andK, jt: 0, jf: 0, k: 0xff00 }, { code: opcode.jeqK, jt: 0, jf: 1, k: 0 }, ...ends]);
    expect(actions([program], "read")).toEqual(["allow", "trap"]);
  });
});

test("of several filters the strictest counts, with arguments that pass all", () => {
  const first = policy([{ names: ["socket"], action: "allow", args: [{ index: 0, op: "le", value: 20 }] }]);
  const second = (family: number) => policy([{ names: ["socket"], action: "errno", args: [{ index: 0, op: "ne", value: family }] }], "allow");
  expect(actions([first, second(16)], "socket")).toEqual(["allow", "errno"]);
  expect(actions([first, second(40)], "socket")).toEqual(["errno"]);
});

test("without a filter everything is within reach", () => {
  expect(reachOf(new Stack([]), "x86_64", []).allowed.length).toBe(new Set(syscallTable("x86_64").values()).size);
});

test("a trap answers where the signal handler is the runtime's, and refuses where it is the guest's", () => {
  const stack = new Stack([policy([{ names: ["read"], action: "trap" }])]);
  expect(reachOf(stack, "x86_64", ["trap"]).answered).toEqual([nr("read")]);
  expect(reachOf(stack, "x86_64", ["notify"]).answered).toEqual([]);
});

describe("the balanced policy", () => {
  const stack = new Stack([compiledPolicy("balanced")]);

  test("has the counts of its table", () => {
    const { allowed, answered, refused } = reachOf(stack, "x86_64", ["notify"]);
    const { native, emulated, continued, denied } = countsOf(balanced);
    expect({ allowed: allowed.length, answered: answered.length, refused: refused.length }).toEqual({ allowed: native, answered: emulated + continued, refused: denied });
  });

  test("does nothing for any arguments that was not found", () => {
    const found = new Map(balanced.rows.map((row) => [row.nr, new Set(stack.outcomes("x86_64", row.nr).keys())]));
    const argument = fc.oneof(fc.bigInt(0n, 0xffff_ffff_ffff_ffffn), fc.bigInt(0n, 100n), fc.nat({ max: 63 }).map((bit) => 1n << BigInt(bit)));
    const call = fc.record({ row: fc.constantFrom(...balanced.rows), args: fc.array(argument, { minLength: 6, maxLength: 6 }) });
    fc.assert(fc.property(call, ({ row, args }) => void expect(found.get(row.nr)?.has(stack.decide({ arch: "x86_64", nr: row.nr, args }).action), row.name).toBe(true)), { numRuns: 2000 });
  });
});
