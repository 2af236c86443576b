import { describe, expect, it } from "vitest";
import { EINVAL } from "../../../linux/abi/errno.ts";
import { recordingDir } from "../recording-dir.ts";
import { cpuMax, setCpuV1, setCpuV2, setRealtimeV1, sharesToWeight, withWholeBandwidth } from "./cpu.ts";
import { parseList } from "../stats/cpu.ts";

describe("cpu", () => {
  it("converts shares to a weight that meets minimum, default and maximum", () => {
    const known = [[1, 1], [2, 1], [3, 2], [1024, 100], [262_143, 10_000], [262_144, 10_000], [262_145, 10_000]];
    for (let shares = 2; shares < 262_144; shares *= 2) expect(sharesToWeight(shares * 2)).toBeGreaterThan(sharesToWeight(shares));
    for (const [shares, weight] of known) expect(sharesToWeight(shares as number), `${shares} shares`).toBe(weight);
  });

  it("writes quota and period in microseconds, and max for none", () => {
    expect(cpuMax({ quota: 50_000, period: 200_000 })).toBe("50000 200000");
    expect(cpuMax({ quota: -1 })).toBe("max 100000");
    expect(cpuMax({ period: 50_000 })).toBe("max 50000");
  });

  it("keeps of quota and period the one that an update does not name", () => {
    const dir = recordingDir({ "cpu.max": "20000 50000" });
    expect(withWholeBandwidth(dir, { period: 40_000 })).toEqual({ quota: 20_000, period: 40_000 });
    expect(withWholeBandwidth(dir, { shares: 5 })).toEqual({ shares: 5 });
    setCpuV2(dir, { quota: 30_000 });
    setCpuV2(dir, { period: 40_000 });
    setCpuV2(dir, { quota: -1 });
    expect(dir.writes).toEqual(["cpu.max = 30000 50000", "cpu.max = 30000 40000", "cpu.max = max 40000"]);
  });

  it("tries a value again after the others where their order matters", () => {
    let quota = 100_000;
    const dir = recordingDir({}, (file, value) => {
      if (file === "cpu.cfs_quota_us") quota = Number(value);
      return file === "cpu.cfs_period_us" && quota > Number(value) ? EINVAL : undefined;
    });
    setCpuV1(dir, { quota: 5000, period: 10_000 });
    expect(dir.writes).toEqual(["cpu.cfs_quota_us = 5000", "cpu.cfs_period_us = 10000"]);
  });

  it("reports a value that stays refused", () => {
    expect(() => setRealtimeV1(recordingDir({}, () => EINVAL), { realtimePeriod: 5, realtimeRuntime: 9 })).toThrow("EINVAL");
  });

  it("gives no shares to an idle cgroup, and unsets idle before shares", () => {
    const dir = recordingDir({ "cpu.shares": "" });
    setCpuV1(dir, { idle: 1, shares: 100 });
    expect(dir.writes).toEqual(["cpu.idle = 1"]);
    const v2 = recordingDir({});
    setCpuV2(v2, { idle: 0, shares: 1024, quota: -1, burst: 0 });
    expect(v2.writes).toEqual(["cpu.idle = 0", "cpu.weight = 100", "cpu.max = max 100000", "cpu.max.burst = 0"]);
  });

  it("says so where the kernel clamps shares", () => {
    const dir = recordingDir({ "cpu.shares": "2" });
    expect(() => setCpuV1({ ...dir, write: () => undefined }, { shares: 1 })).toThrow("1 is below the minimum of 2");
  });

  it("has no real-time budget on v2", () => {
    expect(() => setCpuV2(recordingDir({}), { realtimeRuntime: 1 })).toThrow("cpu.realtimeRuntime");
  });

  it("reads lists of CPUs", () => {
    expect(parseList("0-2,7")).toEqual([0, 1, 2, 7]);
    expect(parseList("")).toEqual([]);
  });
});
