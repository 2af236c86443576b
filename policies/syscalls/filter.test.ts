import * as fc from "fast-check";
import { check, simulator, syscallTable } from "seccomp-bpf-ts";
import type { Run } from "seccomp-bpf-ts";
import { describe, expect, test } from "vitest";
import { compileAllowList, compilePolicy } from "./filter.ts";
import { balanced } from "./policy.ts";
import { denied, emulated, errnos, native } from "./row.ts";
import type { Outcome } from "./row.ts";
import { ones, satisfying, tableSays, zeros } from "./test-table.ts";

const program = compilePolicy(balanced);
const run = simulator(program);
const byName = new Map(balanced.rows.map((row) => [row.name, row]));

function verdict({ action, data }: Run): string {
  return action === "errno" ? `errno ${data}` : action;
}

function expected(outcome: Outcome): string {
  switch (outcome.kind) {
    case "native":
      return "allow";
    case "emulated":
    case "continued":
      return "notify";
    case "denied":
      return `errno ${errnos[outcome.errno]}`;
    default:
      return outcome satisfies never;
  }
}

const call = (name: string, ...args: (bigint | number)[]): string => {
  const row = byName.get(name);
  if (row === undefined) throw new Error(name);
  return verdict(run({ arch: "x86_64", nr: row.nr, args }));
};

const word = fc.oneof(fc.bigInt(0n, 0xffff_ffff_ffff_ffffn), fc.bigInt(0n, 300n));
const noise = fc.array(word, { minLength: 6, maxLength: 6 });

const anyCall = fc.constantFrom(...balanced.rows).chain((row) => {
  const alternatives = row.cases.flatMap(({ anyOf }) => anyOf);
  const args = alternatives.length === 0 ? noise : fc.oneof(noise, fc.tuple(fc.constantFrom(...alternatives), noise).map(([checks, bits]) => satisfying(checks, bits)));
  return fc.tuple(fc.constant(row), args);
});

describe("the balanced policy's filter", () => {
  test("is one that the kernel takes", () => expect(check(program)).toBeUndefined());

  test("does what the table says, whatever the arguments", () => {
    fc.assert(
      fc.property(anyCall, ([row, args]) => {
        expect([row.name, args, verdict(run({ arch: "x86_64", nr: row.nr, args }))]).toEqual([row.name, args, expected(tableSays(row, args))]);
      }),
      { numRuns: 5000 },
    );
  });

  test("reaches every case of the table", () => {
    for (const row of balanced.rows) {
      for (const { what, anyOf, outcome } of row.cases) {
        const reached = anyOf.some((checks) => [zeros, ones].some((rest) => tableSays(row, satisfying(checks, rest)) === outcome));
        expect(reached, `${row.name}: ${what}`).toBe(true);
      }
    }
  });

  test("has numbers without a row, and negative ones, look absent", () => {
    for (const nr of [336 + 1, 400, 423, 472, 1000, 0x3fff_ffff, 0x8000_0000, 0xffff_ffff]) expect(verdict(run({ arch: "x86_64", nr })), String(nr)).toBe("errno 38");
  });

  test("has every x32 number look absent", () => {
    for (const nr of syscallTable("x32").values()) expect(verdict(run({ arch: "x32", nr })), String(nr)).toBe("errno 38");
  });

  test("ends who enters by the 32-bit way, or any other", () => {
    for (const nr of syscallTable("x86").values()) expect(verdict(run({ arch: "x86", nr })), String(nr)).toBe("kill-process");
    for (const arch of ["aarch64", 0, 0xffff_ffff] as const) expect(verdict(run({ arch, nr: 39 }))).toBe("kill-process");
  });
});

// By the kernel's own declarations (SYSCALL_DEFINE in Linux 6.18): parameters of 32 bits, or cut to so many. A second list on purpose.
const intArguments: Readonly<Record<string, readonly number[]>> = {
  socket: [0, 1, 2],
  socketpair: [0, 1, 2],
  setsockopt: [1, 2],
  getsockopt: [1, 2],
  ioctl: [1],
  prctl: [0],
  arch_prctl: [0],
  clone: [0],
  madvise: [2],
  memfd_create: [1],
  shmget: [2],
  futex: [1],
  personality: [0],
  seccomp: [0, 1],
  mknod: [1],
  mknodat: [2],
};
/** Parameters of a full register, of which the policies look at flags or whole values. */
const wideArguments: Readonly<Record<string, readonly number[]>> = { mmap: [3], ptrace: [0, 3] };

describe("arguments", () => {
  test("are int or wide, for every call that is told apart by them", () => {
    for (const { name, cases } of balanced.rows) {
      const looked = new Set(cases.flatMap(({ anyOf }) => anyOf.flatMap((checks) => checks.map(({ index }) => index))));
      const listed = [...(intArguments[name] ?? []), ...(wideArguments[name] ?? [])];
      expect([...looked].sort(), name).toEqual(listed);
    }
  });

  test("of int size decide by their lower half alone", () => {
    const high = fc.bigInt(0n, 0xffff_ffffn);
    const conditional = fc.constantFrom(...Object.keys(intArguments)).chain((name) => {
      const row = byName.get(name);
      const alternatives = row?.cases.flatMap(({ anyOf }) => anyOf) ?? [];
      return fc.tuple(fc.constant(name), fc.oneof(noise, fc.constantFrom(...alternatives).map((checks) => satisfying(checks, zeros))), high);
    });
    fc.assert(
      fc.property(conditional, ([name, args, upper]) => {
        const tricked = args.map((arg, index) => (intArguments[name]?.includes(index) === true ? (arg & 0xffff_ffffn) | (upper << 32n) : arg));
        expect(call(name, ...tricked)).toBe(call(name, ...args));
      }),
      { numRuns: 3000 },
    );
  });

  test("never let through a family, a type or a protocol that is not listed", () => {
    const small = fc.nat({ max: 300 });
    fc.assert(
      fc.property(small, fc.nat({ max: 15 }), small, fc.constantFrom(0, 0x8_0000, 0x800, 0x8_0800), fc.bigInt(0n, 0xffff_ffffn), (family, type, protocol, flags, upper) => {
        const isAllowed = call("socket", BigInt(family) | (upper << 32n), type | flags, protocol) === "allow";
        const internet = (family === 2 || family === 10) && ((type === 1 && [0, 6].includes(protocol)) || (type === 2 && [0, 17, family === 2 ? 1 : 58].includes(protocol)));
        const unix = family === 1 && [1, 2, 5].includes(type) && protocol === 0;
        const route = family === 16 && [2, 3].includes(type) && protocol === 0;
        expect(isAllowed).toBe(internet || unix || route);
      }),
      { numRuns: 5000 },
    );
  });

  test("never let a namespace be made", () => {
    const flags = [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
    fc.assert(fc.property(fc.constantFrom(...flags), word, (flag, rest) => void expect(call("clone", rest | BigInt(flag))).toBe("errno 1")));
    for (const flag of [...flags, 0x80, 0]) expect(call("unshare", flag)).toBe("errno 1");
  });

  test.each([
    ["an AF_VSOCK socket with a bit that the kernel ignores", ["socket", 0x1_0000_0028, 1, 0], "errno 97"],
    ["a packet socket", ["socket", 17, 3, 0], "errno 97"],
    ["a raw socket", ["socket", 2, 3, 1], "errno 1"],
    ["a raw unix socket", ["socket", 1, 3, 0], "errno 94"],
    ["MPTCP, which Go tries first", ["socket", 2, 1, 262], "errno 93"],
    ["netfilter's netlink", ["socket", 16, 3, 12], "errno 93"],
    ["TIOCSTI", ["ioctl", 0, 0x5412, 0], "errno 1"],
    ["TIOCSTI with a bit that the kernel ignores", ["ioctl", 0, 0x1_0000_5412, 0], "errno 1"],
    ["IPT_SO_SET_REPLACE", ["setsockopt", 3, 0, 64], "errno 92"],
    ["IP6T_SO_SET_REPLACE", ["setsockopt", 3, 41, 64], "errno 92"],
    ["SO_ATTACH_FILTER", ["setsockopt", 3, 1, 26], "errno 92"],
    ["TCP_ULP", ["setsockopt", 3, 6, 31], "errno 92"],
    ["a listener of the guest's own", ["seccomp", 1, 8], "errno 16"],
    ["a filter of the guest's own", ["seccomp", 1, 0], "allow"],
    ["a block device", ["mknodat", 3, 0, 0o060644], "errno 1"],
    ["a FIFO", ["mknodat", 3, 0, 0o010644], "allow"],
    ["being traced by the parent", ["ptrace", 0, 0], "notify"],
    ["suspending filters", ["ptrace", 0x4206, 1, 0, 0x20_0000], "errno 1"],
    ["merging pages", ["madvise", 0, 0, 12], "errno 22"],
    ["a task of the init's parent", ["clone", 0x8000 | 17], "errno 22"],
    ["a thread", ["clone", 0x3d0f00], "allow"],
  ] as const)("%s", (_what, [name, ...args], result) => expect(call(name, ...args)).toBe(result));
});

describe("an allow list", () => {
  const groups = [
    { reason: "test", names: "read write", outcome: native },
    { reason: "test", names: "openat", cases: [{ what: "flags 0", anyOf: [[{ index: 2, op: "masked-eq" as const, value: 3 }]], outcome: native }], outcome: denied("EPERM") },
  ];

  test("lets through what it names", () => {
    const only = simulator(compileAllowList(groups, "kill"));
    const of = (nr: number, ...args: number[]): string => verdict(only({ arch: "x86_64", nr, args }));
    expect([of(0), of(1), of(257, 0, 0, 0), of(257, 0, 0, 1), of(2), of(0x4000_0000), of(9999)]).toEqual([
      "allow",
      "allow",
      "allow",
      "errno 1",
      "kill-process",
      "kill-process",
      "kill-process",
    ]);
  });

  test("refuses the rest with an errno where told so", () => {
    expect(verdict(simulator(compileAllowList(groups, "ENOSYS"))({ arch: "x86_64", nr: 2 }))).toBe("errno 38");
  });

  test("does not take what traps", () => {
    expect(() => compileAllowList([{ reason: "test", names: "uname", outcome: emulated }], "kill")).toThrow(/no listener/);
  });
});
