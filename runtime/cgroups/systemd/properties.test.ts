import { describe, expect, it } from "vitest";
import type { LinuxDeviceCgroup, LinuxResources } from "../../spec/config-resources.ts";
import { defaultDeviceRules } from "../devices.ts";
import { busLabel } from "./bus.ts";
import { annotationProperties, bitMask, deviceProperties, limitProperties, unitProperties, type Property } from "./properties.ts";

const lines = (properties: readonly Property[]): string[] => properties.map(({ name, signature, words }) => `${name} ${signature} ${words.join(" ")}`);
const limits = (resources: LinuxResources, layout: "v1" | "v2" = "v2", version = 252): string[] => lines(limitProperties(resources, layout, version));
const infinity = "18446744073709551615";

describe("unit properties", () => {
  it("translate every limit that systemd knows on v2", () => {
    expect(limits({
      memory: { limit: 1000, reservation: 500, swap: 1500 }, cpu: { shares: 1024, quota: 12_345, period: 100_000, cpus: "0-2,9", mems: "0" },
      pids: { limit: 0 }, blockIO: { weight: 10 },
    })).toEqual([
      "MemoryMax t 1000", "MemoryLow t 500", "MemorySwapMax t 500", "IOWeight t 1", "CPUWeight t 100",
      "CPUQuotaPeriodUSec t 100000", "CPUQuotaPerSecUSec t 130000", "TasksMax t 1", "AllowedCPUs ay 2 7 2", "AllowedMemoryNodes ay 1 1",
    ]);
  });

  it("translate every limit that systemd knows on v1", () => {
    expect(limits({ memory: { limit: 1000 }, cpu: { shares: 77, quota: -1 }, pids: { limit: -1 }, blockIO: { weight: 300 } }, "v1")).toEqual([
      "MemoryLimit t 1000", "BlockIOWeight t 300", "CPUShares t 77", `CPUQuotaPerSecUSec t ${infinity}`, `TasksMax t ${infinity}`,
    ]);
  });

  it("use infinity for none, and nothing for what is not asked", () => {
    expect(limits({ memory: { limit: -1 } })).toEqual([`MemoryMax t ${infinity}`, `MemorySwapMax t ${infinity}`]);
    expect(limits({})).toEqual([]);
    expect(limits({ memory: { limit: 0 }, cpu: { shares: 0 } })).toEqual([]);
  });

  it("leave to the files what an older systemd does not know", () => {
    expect(limits({ cpu: { idle: 1 } }, "v2", 252)).toEqual(["CPUWeight t 0"]);
    expect(limits({ cpu: { idle: 1, cpus: "1", quota: 5000, period: 10_000 } }, "v2", 241)).toEqual(["CPUQuotaPerSecUSec t 500000"]);
  });

  it("let unified win", () => {
    const unified = {
      "memory.high": "5", "memory.max": "max", "pids.max": "0", "cpu.weight": "7", "cpu.max": "50000 100000", "cpuset.cpus": "1", "hugetlb.2MB.max": "1",
    };
    expect(limits({ memory: { limit: 1000 }, unified })).toEqual([
      `MemoryMax t ${infinity}`, "MemoryHigh t 5", "TasksMax t 1", "CPUWeight t 7", "CPUQuotaPeriodUSec t 100000", "CPUQuotaPerSecUSec t 500000", "AllowedCPUs ay 1 2",
    ]);
    expect(() => limits({ unified: { "memory.high": "lots" } })).toThrow('linux.resources.unified["memory.high"]: must be a number or "max", is "lots"');
  });

  it("describe the scope", () => {
    expect(lines(unitProperties("a box", "a-b.slice", 42, "v2"))).toEqual([
      "Description s a box", "Slice s a-b.slice", "Delegate b true", "PIDs au 1 42", "MemoryAccounting b true", "CPUAccounting b true", "IOAccounting b true",
      "TasksAccounting b true", "DefaultDependencies b false",
    ]);
    expect(lines(unitProperties("", "-.slice", 1, "hybrid"))).toContain("BlockIOAccounting b true");
  });

  it("have masks with the lowest byte first", () => {
    expect(bitMask("0-7,8,31")).toEqual([255, 1, 0, 128]);
  });

  it("list the devices, and where systemd cannot say it leave them to our own rules", () => {
    const [clear, policy, list] = lines(deviceProperties(defaultDeviceRules, "v2"));
    expect([clear, policy]).toEqual(["DeviceAllow a(ss) 0", "DevicePolicy s strict"]);
    expect(list).toMatch(/^DeviceAllow a\(ss\) 10 block-\* m char-\* m \/dev\/char\/1:3 rwm .* char-136 rwm$/);
    const allowed = (layout: "v1" | "v2", ...rules: LinuxDeviceCgroup[]): string | undefined => lines(deviceProperties(rules, layout))[2];
    const [all, anyMajor, hole] = [{ allow: true }, { allow: true, type: "c", minor: 3, access: "r" }, { allow: false, type: "c", major: 1, minor: 3 }] as const;
    const everything = "DeviceAllow a(ss) 2 block-* rwm char-* rwm";
    expect([allowed("v2", all), allowed("v2", anyMajor), allowed("v2", all, hole)]).toEqual([everything, everything, everything]);
    expect([allowed("v1", all), allowed("v1", anyMajor), allowed("v1", all, hole)]).toEqual([everything, undefined, undefined]);
  });

  it("take more from annotations", () => {
    const annotations = {
      "org.systemd.property.TimeoutStopUSec": "uint64 123456789", "org.systemd.property.CollectMode": "'inactive-or-failed'", "org.systemd.property.KillSignal": "37",
      "org.systemd.property.TimeoutStopSec": "2", "org.systemd.property.SendSIGHUP": "true", "org.systemd.property.After": "['a.service', \"b.service\"]", other: "x",
    };
    expect(lines(annotationProperties(annotations))).toEqual([
      "TimeoutStopUSec t 123456789", "CollectMode s inactive-or-failed", "KillSignal i 37", "TimeoutStopUSec t 2000000", "SendSIGHUP b true", "After as 2 a.service b.service",
    ]);
    expect(() => annotationProperties({ "org.systemd.property.X-Y": "1" })).toThrow("is no property name");
    expect(() => annotationProperties({ "org.systemd.property.Foo": "(1, 2)" })).toThrow("is no GVariant text");
  });

  it("name units in object paths", () => {
    expect(busLabel("libpod-0a.scope")).toBe("libpod_2d0a_2escope");
    expect(busLabel("1a")).toBe("_31a");
  });
});
