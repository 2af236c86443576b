import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LinuxDeviceCgroup } from "../spec/config-resources.ts";
import { accessBits, deviceProgram, deviceType } from "./device-program.ts";
import { defaultDeviceRules, denyAll, policyFromList, policyFromRules, ruleText, transition, type DevicePolicy } from "./devices.ts";
import { opcode } from "./ebpf.ts";

const rule = (allow: boolean, text: string): LinuxDeviceCgroup => {
  const [type = "a", numbers = "*:*", access = "rwm"] = text.split(" ");
  const [major, minor] = numbers.split(":").map((part) => (part === "*" ? undefined : Number(part)));
  return { allow, type, access, ...(major !== undefined && { major }), ...(minor !== undefined && { minor }) };
};
const allow = (text: string): LinuxDeviceCgroup => rule(true, text);
const deny = (text: string): LinuxDeviceCgroup => rule(false, text);
const texts = ({ exceptions }: DevicePolicy): string[] => exceptions.map(ruleText);

describe("device rules", () => {
  it("begin with nothing allowed, and keep the order of the config", () => {
    expect(policyFromRules([])).toEqual(denyAll);
    expect(texts(policyFromRules([deny("a"), allow("c 1:3 r"), allow("c 1:3 w"), allow("b 8:* rwm"), deny("c 1:3 r")]))).toEqual(["c 1:3 w", "b 8:* rwm"]);
    expect(policyFromRules([allow("c 1:3 r"), allow("a")])).toEqual({ allowByDefault: true, exceptions: [] });
    expect(policyFromRules([allow("c 1:3 r"), deny("a")])).toEqual(denyAll);
    expect(texts(policyFromRules([allow("a"), deny("c 1:3 w")]))).toEqual(["c 1:3 w"]);
    expect(policyFromRules([allow("a"), deny("a")])).toEqual(denyAll);
  });

  it("take -1 and nothing for any device, and nothing for every access", () => {
    expect(texts(policyFromRules([{ allow: true, type: "c", major: -1, minor: -1 }]))).toEqual(["c *:* rwm"]);
    expect(policyFromRules([{ allow: true }])).toMatchObject({ allowByDefault: true });
  });

  it("refuse a hole that neither v1 nor an exception list can have", () => {
    expect(() => policyFromRules([allow("c 1:* rw"), deny("c 1:3 w")])).toThrow('linux.resources.devices[1]: "c 1:3 w" would make a hole in the earlier "c 1:* rw"');
    policyFromRules([allow("c 1:* r"), deny("c 1:3 w")]);
    expect(() => policyFromRules([allow("u 1:3 r")])).toThrow('devices[0].type: must be "a", "b" or "c", is "u"');
    expect(() => policyFromRules([allow("c 1:3 rx")])).toThrow("devices[0].access: must be of the letters rwm");
  });

  it("always allow the default devices, but not the host's console", () => {
    const list = texts(policyFromRules(defaultDeviceRules));
    expect(list).toContain("c 1:3 rwm");
    expect(list).not.toContain("c 5:1 rwm");
  });

  it("change from one list to another without a moment of more or of nothing", () => {
    const from = policyFromList("c 1:3 rwm\nc 1:5 rw\n");
    expect(transition(from, policyFromRules([allow("c 1:3 rwm"), allow("c 1:5 r"), allow("c 1:7 r")]))).toEqual([
      { file: "devices.deny", value: "c 1:5 w" },
      { file: "devices.allow", value: "c 1:7 r" },
    ]);
    expect(transition(from, from)).toEqual([]);
  });

  it("reset a cgroup whose exceptions are unknown", () => {
    const open = policyFromList("a *:* rwm\n");
    expect(transition(open, policyFromRules([allow("c 1:3 r")]))).toEqual([{ file: "devices.deny", value: "a" }, { file: "devices.allow", value: "c 1:3 r" }]);
    expect(transition(denyAll, policyFromRules([allow("a"), deny("c 1:3 r")]))).toEqual([{ file: "devices.allow", value: "a" }, { file: "devices.deny", value: "c 1:3 r" }]);
  });
});

/** Runs a device program: an independent reading of the instruction set, only what the verifier would accept. */
function simulate(program: Uint8Array, [type, access, major, minor]: readonly number[]): number {
  const view = new DataView(program.buffer);
  const context = [((access as number) << 16) | (type as number), major as number, minor as number];
  const registers: Array<number | "context" | undefined> = [undefined, "context", undefined, undefined, undefined, undefined];
  const number = (index: number): number => {
    const value = registers[index];
    if (typeof value !== "number") throw new Error(`register ${index} holds no number`);
    return value;
  };
  for (let pc = 0; pc < program.length / 8; pc++) {
    const [code, pair, offset, immediate] = [view.getUint8(pc * 8), view.getUint8(pc * 8 + 1), view.getInt16(pc * 8 + 2, true), view.getUint32(pc * 8 + 4, true)];
    const [dst, src] = [pair & 15, pair >> 4];
    switch (code) {
      case opcode.load32:
        expect(registers[src]).toBe("context");
        registers[dst] = context[offset / 4];
        break;
      case opcode.move: registers[dst] = number(src); break;
      case opcode.moveImmediate: registers[dst] = immediate; break;
      case opcode.andImmediate: registers[dst] = (number(dst) & immediate) >>> 0; break;
      case opcode.shiftRightImmediate: registers[dst] = number(dst) >>> immediate; break;
      case opcode.skipIf: if (number(dst) === immediate) pc += offset; break;
      case opcode.skipIfNot: if (number(dst) !== immediate) pc += offset; break;
      case opcode.exit: return number(0);
      default: throw new Error(`unknown opcode ${code}`);
    }
  }
  throw new Error("ran off the end");
}

/** What cgroup v1 answers. Source: devcgroup_check_permission() in security/device_cgroup.c. */
function reference({ allowByDefault, exceptions }: DevicePolicy, [type, access, major, minor]: readonly number[]): number {
  const matching = exceptions.filter((one) => deviceType[one.type] === type && [undefined, major].includes(one.major) && [undefined, minor].includes(one.minor));
  const bits = matching.map((one) => accessBits(one.access));
  if (allowByDefault) return bits.some((allowed) => (allowed & (access as number)) !== 0) ? 0 : 1;
  return bits.some((allowed) => ((access as number) & ~allowed) === 0) ? 1 : 0;
}

describe("the eBPF program", () => {
  it("answers for the devices of a container", () => {
    const program = deviceProgram(policyFromRules(defaultDeviceRules));
    const [c, b, r, w, m] = [deviceType.c, deviceType.b, 2, 4, 1];
    expect(simulate(program, [c, r | w, 1, 3])).toBe(1);
    expect(simulate(program, [c, r | w, 136, 77])).toBe(1);
    expect(simulate(program, [c, m, 240, 1])).toBe(1);
    expect(simulate(program, [c, r, 1, 1])).toBe(0);
    expect(simulate(program, [b, r, 8, 0])).toBe(0);
    expect(simulate(program, [b, m, 8, 0])).toBe(1);
  });

  it("denies a combined access of which one part is denied", () => {
    const program = deviceProgram(policyFromRules([allow("a"), deny("c 1:3 w")]));
    expect([2, 4, 6].map((access) => simulate(program, [2, access, 1, 3]))).toEqual([1, 0, 0]);
  });

  it("decides as cgroup v1 does, whatever the rules", () => {
    const number = fc.constantFrom(undefined, 0, 1, 2, 0x8000_0001);
    const anyRule = fc.record({
      allow: fc.boolean(), type: fc.constantFrom("c", "b", "c", "b", "a"), major: number, minor: number,
      access: fc.constantFrom("r", "w", "m", "rw", "rm", "wm", "rwm"),
    }) as fc.Arbitrary<LinuxDeviceCgroup>;
    const request = fc.tuple(fc.constantFrom(1, 2), fc.integer({ min: 1, max: 7 }), fc.constantFrom(0, 1, 2, 3, 0x8000_0001), fc.constantFrom(0, 1, 2, 3));
    fc.assert(fc.property(fc.array(anyRule, { maxLength: 8 }), fc.array(request, { minLength: 10 }), (rules, requests) => {
      let policy: DevicePolicy;
      try {
        policy = policyFromRules(rules);
      } catch {
        return;
      }
      const program = deviceProgram(policy);
      for (const one of requests) expect(simulate(program, one)).toBe(reference(policy, one));
    }), { numRuns: 400 });
  });
});
