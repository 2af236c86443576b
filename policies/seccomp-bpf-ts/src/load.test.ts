import { expect, test } from "vitest";
import { encodeVerdict } from "./action.ts";
import { compile } from "./compile.ts";
import { LoadError, actionAvailable, encodeFlags, encodeFprog, load } from "./load.ts";
import type { LoadFlags, SeccompPort } from "./load.ts";

const program = compile({ defaultAction: "allow", architectures: ["x86_64"], rules: [{ names: ["ptrace"], action: "errno" }] });

interface Recorded {
  readonly calls: { operation: number; flags: number; args: number[] }[];
  readonly memory: Uint8Array[];
  freed: number;
}

function recordingPort(result: number): { port: SeccompPort; recorded: Recorded } {
  const recorded: Recorded = { calls: [], memory: [], freed: 0 };
  const port: SeccompPort = {
    pointerSize: 8,
    endian: "little",
    seccomp: (operation, flags, args) => {
      recorded.calls.push({ operation, flags, args: [...args] });
      return result;
    },
    withMemory: (bytes, use) => {
      recorded.memory.push(bytes.slice());
      try {
        return use(0x7f00_1122_3344n);
      } finally {
        recorded.freed++;
      }
    },
  };
  return { port, recorded };
}

test("one call with a pointer to struct sock_fprog", () => {
  const { port, recorded } = recordingPort(0);
  expect(load(program, { log: true, tsync: true }, port)).toBeUndefined();
  const length = program.length / 8;
  expect(recorded.calls).toEqual([
    { operation: 1, flags: 3, args: [length, 0, 0, 0, 0, 0, 0, 0, 0x44, 0x33, 0x22, 0x11, 0x00, 0x7f, 0, 0] },
  ]);
  expect(recorded.memory).toEqual([program]);
  expect(recorded.freed).toBe(1);
});

test("struct sock_fprog of 32-bit and of big-endian processes", () => {
  expect([...encodeFprog(0x102, 0x1122_3344n, 4, "little")]).toEqual([2, 1, 0, 0, 0x44, 0x33, 0x22, 0x11]);
  expect([...encodeFprog(0x102, 0x55n, 8, "big")]).toEqual([1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x55]);
});

test("the listener is handed on, also as descriptor 0", () => {
  expect(load(program, { newListener: true }, recordingPort(0).port)).toBe(0);
  expect(load(program, { newListener: true, waitKillableRecv: true }, recordingPort(7).port)).toBe(7);
});

test.each<[string, LoadFlags, number, number]>([
  ["EACCES: no_new_privs is not set", {}, -13, 13],
  ["EBUSY: an earlier filter has a notification listener", { newListener: true }, -16, 16],
  ["errno 99", {}, -99, 99],
  ["tsync: thread 1234 could not take over", { tsync: true }, 1234, 0],
])("%s", (message, flags, result, errno) => {
  const { port, recorded } = recordingPort(result);
  const attempt = (): unknown => load(program, flags, port);
  expect(attempt).toThrow(message);
  expect(attempt).toThrow(expect.objectContaining({ errno }));
  expect(recorded.freed).toBe(2);
});

test.each<[string, LoadFlags]>([
  ["tsync with newListener needs tsyncEsrch", { tsync: true, newListener: true }],
  ["waitKillableRecv needs newListener", { waitKillableRecv: true }],
])("%s", (message, flags) => {
  const { port, recorded } = recordingPort(0);
  expect(() => load(program, flags, port)).toThrow(message);
  expect(recorded.calls).toEqual([]);
});

test("a program that the kernel would refuse is not shown to it", () => {
  const { port, recorded } = recordingPort(0);
  expect(() => load(program.slice(0, 8), {}, port)).toThrow(LoadError);
  expect(recorded.calls).toEqual([]);
});

test("each flag is its bit", () => {
  const all: LoadFlags = { tsync: true, log: true, specAllow: true, newListener: true, tsyncEsrch: true, waitKillableRecv: true };
  expect(encodeFlags(all)).toBe(63);
  expect(encodeFlags({ log: false })).toBe(0);
});

test("asking for an action", () => {
  const { port, recorded } = recordingPort(0);
  expect(actionAvailable(encodeVerdict({ action: "errno", data: 5 }), port)).toBe(true);
  expect(recorded.calls).toEqual([{ operation: 2, flags: 0, args: [0, 0, 5, 0] }]);
  expect(actionAvailable(0x1234_0000, recordingPort(-95).port)).toBe(false);
});
