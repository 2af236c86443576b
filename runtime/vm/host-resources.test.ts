import { expect, test } from "vitest";
import { bootResources, growthFor, guestResources, hostChange, hostMemory, hostResources, type HostedMachine } from "./host-resources.ts";

const MIB = 1 << 20;
const machine = (size: Partial<HostedMachine>): HostedMachine => ({ memoryMegabytes: 512, growthMegabytes: 1024, grownMegabytes: 0, vcpus: 1, hugePages: false, shared: false, ...size });
const asked = {
  memory: { limit: 64 * MIB, swap: 64 * MIB }, pids: { limit: 5 }, cpu: { quota: 50_000, period: 100_000, shares: 512, cpus: "1" },
  hugepageLimits: [{ pageSize: "2MB", limit: 0 }], blockIO: { weight: 100 }, devices: [{ allow: false, access: "rwm" }],
  unified: { "memory.high": "1000000", "pids.max": "5", "cpu.max": "50000 100000", "io.weight": "100" },
};
const devices = [
  { allow: false, access: "rwm" },
  { allow: true, type: "c", major: 10, minor: 200, access: "rw" },
  { allow: true, type: "c", major: 10, minor: 232, access: "rw" },
];

test("the container that brings the machine: memory for the whole of it, and its processor time", () => {
  expect(hostResources(asked, machine({ memoryMegabytes: 256, vcpus: 2, shared: false }))).toEqual({
    memory: { limit: (192 + 256 + 128 + 64) * MIB }, cpu: asked.cpu, blockIO: { weight: 100 }, devices, unified: { "cpu.max": "50000 100000", "io.weight": "100" },
  });
});

test("a machine that others may join is not held to the first one's time", () => {
  const { cpu, unified } = hostResources(asked, machine({ memoryMegabytes: 256, vcpus: 1, shared: true }));
  expect([cpu, unified]).toEqual([{ shares: 512, cpus: "1" }, { "io.weight": "100" }]);
});

test("a container that joins: the processes around it, and the time in which they serve it", () => {
  const { memory, cpu } = hostResources(asked, undefined);
  expect([memory, cpu]).toEqual([{ limit: 192 * MIB }, asked.cpu]);
});

test("a container without limits has one of memory all the same", () => {
  expect(hostResources({}, machine({ memoryMegabytes: 512, vcpus: 1, shared: false }))).toEqual({ memory: { limit: (192 + 512 + 128 + 32) * MIB }, devices: devices.slice(1) });
});

test("the machine boots with all the time that there is", () => {
  const { cpu, unified, memory } = bootResources(hostResources(asked, machine({ memoryMegabytes: 256, vcpus: 2, shared: false })));
  expect([cpu, unified, memory?.limit]).toEqual([{ shares: 512, cpus: "1" }, { "io.weight": "100" }, 640 * MIB]);
});

test("of a change the host follows processors and disks", () => {
  expect(hostChange(asked, false)).toEqual({ cpu: asked.cpu, blockIO: { weight: 100 } });
  expect(hostChange(asked, true)).toEqual({ cpu: { shares: 512, cpus: "1" }, blockIO: { weight: 100 } });
  expect(hostChange({ memory: { limit: 1 } }, false)).toEqual({});
});

test("a machine of huge pages: they are counted apart", () => {
  expect(hostResources({}, machine({ memoryMegabytes: 512, vcpus: 1, hugePages: true, shared: false })).memory).toEqual({ limit: (192 + 128 + 32) * MIB });
});

test("the guest is told of no processor, disk or network class of the host's", () => {
  const unified = { "memory.high": "1", "cpuset.cpus": "4", "io.max": "8:0 rbps=1", "io.weight": "100" };
  const blockIO = { weight: 100, throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1 }] };
  expect(guestResources({ ...asked, cpu: { quota: 5, cpus: "4-7", mems: "1" }, blockIO, network: { classID: 1 }, unified })).toEqual({
    memory: asked.memory, pids: asked.pids, hugepageLimits: asked.hugepageLimits, devices: asked.devices,
    cpu: { quota: 5 }, blockIO: { weight: 100 }, unified: { "memory.high": "1", "io.weight": "100" },
  });
  expect(guestResources({ cpu: { cpus: "4" } })).toEqual({ cpu: {} });
});

test.for([
  ["what it booted with is enough", [320], 0],
  ["one container's limit", [600], 280],
  ["those of several", [200, 200, 101.5], 184],
  ["no more than there is room for", [9000], 1024],
  ["of those without a limit it takes no note", [-1, 0, 600], 280],
  ["nobody has a limit", [-1, 0], 0],
] as const)("a machine grows: %s", ([, megabytes, growth]) => {
  expect(growthFor(machine({ memoryMegabytes: 512 }), megabytes.map((size) => size * MIB))).toBe(growth);
});

test("the host's limit follows what the machine has been given", () => {
  expect(hostMemory(machine({ memoryMegabytes: 512, grownMegabytes: 100 }))).toEqual({ memory: { limit: (192 + 512 + 100 + 128 + 32) * MIB } });
});
